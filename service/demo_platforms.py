"""The demo of a platform: its real connector against a stand-in of the platform, from the first page to the KPI table.

The stand-ins are those of the tests, which are no part of what is installed: they are looked for in the checkout that
this file belongs to, and without one there is no such demo. The stand-in takes the place of the network, so no request
leaves the process, whichever host it is for. It is asked twice, a day apart, and between the two it restates numbers.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec
from rich.console import Console

from service import context as contexts
from service import demo_serving
from service.app import build, rounds_of
from service.commands import settling
from service.commands.endings import Code, Ended
from service.commands.output import Tell, steps
from service.context import Context
from service.db.partitions import make_partitions
from service.demo_desk import Desk
from service.demo_memory import Memory, recall
from service.demo_report import show_campaign
from service.settings import Settings

STAGES = "tests.fakes.stages"
_ROOT = Path(__file__).resolve().parents[1]
_FLIGHT = timedelta(days=20)
_DAY = timedelta(days=1)


class Stage(Protocol):
    """What a checkout says of one platform: how its source is connected, its stand-in, and what is worth showing.

    ``opened`` makes the stand-in as it is at an instant, with a field ``now``; ``restated`` changes what it says by the
    next day. ``rules`` choose what counts in the campaign (none: all of the source).
    """

    source: Mapping[str, Any]
    rules: Sequence[Mapping[str, str]]
    metrics: tuple[str, ...]
    opened: Callable[[datetime], Any]
    restated: Callable[[Any], None]


def stages(root: Path = _ROOT) -> Mapping[str, Stage]:
    """Return what there is by platform. Ends the command where this is no checkout."""
    if not root.joinpath(*STAGES.split(".")).with_suffix(".py").is_file():
        raise Ended(Code.USAGE, "the demo of a platform needs a checkout of the source: its stand-in is in the tests")
    if str(root) not in sys.path:
        sys.path.append(str(root))
    found: Mapping[str, Stage] = importlib.import_module(STAGES).STAGES
    return found


def stage_of(name: str, known: Mapping[str, Stage]) -> Stage:
    """Return the stage of a platform. Ends the command for a name that is none."""
    if name not in known:
        raise Ended(Code.USAGE, f"there is no demo of {name!r}: choose one of {', '.join(sorted(known))}")
    return known[name]


class Clock(msgspec.Struct):
    """The time of the service: where it is put while the platform is asked, and real afterwards."""

    real: Context
    at: datetime | None = None

    def now(self) -> datetime:
        return self.at or self.real.now()


class Play:
    """One run of a stage."""

    def __init__(self, desk: Desk, name: str, stage: Stage, platform: Any, clock: Clock, tell: Tell) -> None:
        self.desk = desk
        self.name = name
        self.stage = stage
        self.platform = platform
        self.clock = clock
        self._tell = tell
        self.campaign = f"Demo of {name} (made up)"

    async def run(self) -> None:
        """Connect the source, ask the platform, wait until the books have settled."""
        self._tell("connecting the source")
        source = await self._connected()
        self._tell("asking the platform")
        until = self.desk.memory.until
        if "fetched" not in self.desk.memory.made[self.name]:
            await self._ask(source, until - _DAY)
        self._tell("asking it a day later")
        self.stage.restated(self.platform)
        await self._ask(source, until)
        self.desk.memory.made[self.name]["fetched"] = "yes"
        self.desk.remember()

    async def _connected(self) -> str:
        until = self.desk.memory.until
        self.clock.at = until - _DAY
        async with self.desk.parts.db.control() as connection:
            await make_partitions(connection, self.clock.at.date())
        await self.desk.workspace({"name": f"Demo of {self.name}", "zone": "Europe/Berlin", "currency": "EUR"})
        tracked = {"tracks_from": (until - 2 * _FLIGHT).isoformat()}
        wanted = {"connector": self.name, **tracked, **self.stage.source}
        source = await self.desk.once(self.name, "/v1/sources", wanted)
        flight = {"starts": (until - _FLIGHT).date().isoformat(), "ends": until.date().isoformat()}
        rules = list(self.stage.rules) or [{"source": source}]
        await self.desk.once(self.campaign, "/v1/campaigns", {"kind": "broad", **flight, "rules": rules})
        return source

    async def _ask(self, source: str, at: datetime) -> None:
        self.clock.at = self.platform.now = at
        await self.desk.fetch(rounds_of(self.desk.parts), source)
        # Not by a worker beside: it would see the clock move under its claims.
        await settling.drain(self.desk.parts)
        await self.desk.settled()
        self.clock.at = None

    async def show(self, console: Console) -> None:
        """Print the campaign and the proof of its books."""
        answer = await self.desk.kpis(self.campaign, self.stage.metrics, {"range": "flight"})
        show_campaign(console, self.campaign, answer, None, simulated=True)
        await self.desk.prove(console, answer["meta"]["posting"])


# ------------------------------------------------------------------------------------------------ a run


async def run(settings: Settings, console: Console, name: str, *, once: bool) -> None:
    """Run the demo of a platform and print its KPI table; then serve until told to stop, unless ``once``."""
    stage = stage_of(name, stages())
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await play(demo_serving.settings_of(settings, {}), console, name, stage, once=once)


async def play(settings: Settings, console: Console, name: str, stage: Stage, *, once: bool = True) -> None:
    """Serve the books of ``settings`` with a platform in place of the network, and show what becomes of its numbers."""
    real, file = contexts.real(), f"demo-{name}.json"
    memory = recall(settings.data_dir, file) or Memory(until=_noon_before(real.now()))
    clock = Clock(real=real)
    platform = stage.opened(memory.until - _DAY)
    transport = httpx.ASGITransport(app=platform)
    app = build(settings, msgspec.structs.replace(real, now=clock.now), roles=("api",), transport=transport)
    with ExitStack() as progress:
        tell = progress.enter_context(steps("starting", 3))
        async with demo_serving.desk(app, settings, memory, file) as desk:
            shown = Play(desk, name, stage, platform, clock, tell)
            await shown.run()
            progress.close()
            await shown.show(console)
            query = f"range=flight&metrics={','.join(stage.metrics)}"
            await demo_serving.stay(console, desk.where(shown.campaign, query), once=once)


def _noon_before(now: datetime) -> datetime:
    """Return the last noon (UTC) that is over, so that what is shown is the same at any hour of the day."""
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    return noon if noon <= now else noon - _DAY
