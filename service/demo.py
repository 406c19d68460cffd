"""The demo: the service as a user meets it, over HTTP, with two real campaigns and two simulated ones.

It has a database of its own in the data directory and touches no other. What it makes it makes once: a second run finds
the same things, sends the same bytes and changes no number. The simulated platform runs beside it on another port; its
world ends at the instant of the first run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from importlib import resources

import msgspec
from rich.console import Console

from connectors.synthetic_platform import Platform, webhooks
from connectors.synthetic_world import World
from service import context as contexts
from service import demo_plan, demo_serving, serve
from service.app import build
from service.commands.output import Tell, steps
from service.context import Context
from service.demo_desk import Desk
from service.demo_memory import FILE, Memory, recall
from service.demo_report import show_campaign
from service.fetch.pull import Puller
from service.fetch.rounds import Rounds
from service.serve_protocol import Limits
from service.settings import Settings

_HOME = {"name": "Demo", "zone": demo_plan.ZONE, "currency": demo_plan.CURRENCY}
_LIMITS = Limits()


class Demo:
    """One run against a service that listens at the address of ``desk``."""

    def __init__(self, desk: Desk, clock: Clock, tell: Tell) -> None:
        self.desk = desk
        self.memory = desk.memory
        self.clock = clock
        self.world: World = demo_plan.world_until(desk.memory.until)
        self._tell = tell

    async def run(self) -> None:
        """Make what is missing, bring every number in, wait until the books have settled."""
        await self.desk.workspace(_HOME)
        self._tell("planning campaigns")
        await self._plan()
        self._tell("uploading files")
        for source, name in demo_plan.FILES.items():
            await self._upload(source, name)
        self._tell("pulling the simulated platform")
        await self._fetch()
        self._tell("pushing sales")
        await self._push()
        self._tell("reading deliveries")
        await self.desk.settled()

    async def _plan(self) -> None:
        once, at = self.desk.once, self.desk.id
        await once(demo_plan.STRATEGY, "/v1/strategies", {"objectives": ["Every number can be proved."]})
        for name, source in demo_plan.SOURCES.items():
            token = {"credentials": {"access_token": self.memory.platform_token}}
            await once(name, "/v1/sources", {**source, **(token if source["connector"] == "synthetic" else {})})
        crew = demo_plan.creators(self.world)
        for name, creator in crew.items():
            await once(name, "/v1/creators", creator)
        known = {name: at(name) for name in demo_plan.SOURCES}
        people = {name: at(name) for name in crew}
        for name, campaign in demo_plan.campaigns(self.world, known, people).items():
            await once(name, "/v1/campaigns", {**campaign, "strategy": at(demo_plan.STRATEGY)})

    # -------------------------------------------------------------------------------------------- what comes in

    async def _upload(self, source: str, name: str) -> None:
        body = resources.files("service.data").joinpath(name).read_bytes()
        path = f"/v1/sources/{self.desk.id(source)}/uploads"
        await self.desk.ask("POST", path, params={"filename": name}, content=body)

    async def _fetch(self) -> None:
        """Pull the simulated platform as the scheduler would have, day by day; on a later run as it is at the end."""
        source = self.memory.made["Simulated platform"]
        begun, now = "fetched" in source, self.desk.parts.context
        for at in [self.memory.until] if begun else demo_plan.instants(self.world, self.memory.until):
            self.clock.at = at
            await self.desk.fetch(self._rounds(now if begun else _at(now, at)), source["id"])
        source["fetched"] = "yes"
        self.desk.remember()

    def _rounds(self, context: Context) -> Rounds:
        parts = self.desk.parts
        puller = Puller(parts.db, context, parts.settings, parts.vault, parts.http_for, parts.lander.landed)
        return Rounds(parts.db, context, parts.connectors, puller)

    async def _push(self) -> None:
        shop, until = self.memory.made["Simulated shop"], self.memory.until
        now = self.desk.parts.context.now()
        for headers, body in webhooks(self.world, self.world.start, until, shop["secret"], now):
            await self.desk.ask("POST", shop["webhook_path"], headers=headers, content=body)

    # -------------------------------------------------------------------------------------------- what is shown

    async def show(self, console: Console) -> None:
        """Print the campaigns, the proof and where to look further."""
        posting = 0
        for name, shown in demo_plan.shown(self.world).items():
            answer = await self.desk.kpis(name, shown.metrics, {"range": shown.range})
            days = None
            if shown.first is not None and shown.last is not None:
                span = {"from": shown.first.isoformat(), "to": shown.last.isoformat(), "compare": "previous_period"}
                days = await self.desk.kpis(name, shown.metrics, span)
            show_campaign(console, name, answer, days, simulated=bool(answer["meta"]["simulated"]))
            posting = answer["meta"]["posting"]
        await self.desk.prove(console, posting)

    def where(self) -> list[str]:
        """Return the lines that say where the numbers are to be had."""
        return self.desk.where(demo_plan.MICRO, "range=flight&metrics=ctr,cpa")


class Clock(msgspec.Struct):
    """The simulated platform's clock: it stands where it is put."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def _at(context: Context, at: datetime) -> Context:
    """Return a context whose clock stands at ``at``; ids and randomness stay real."""
    return msgspec.structs.replace(context, now=lambda: at)


# ------------------------------------------------------------------------------------------------ a run


async def run(settings: Settings, console: Console, *, once: bool) -> None:
    """Run the demo and print what it shows; then serve until told to stop, unless ``once``."""
    context = contexts.real()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    memory = recall(settings.data_dir, FILE) or _new_memory(context)
    clock = Clock(at=memory.until)
    with ExitStack() as progress:
        tell = progress.enter_context(steps("starting", 6))
        async with _started(settings, context, memory, clock, tell) as demo:
            await demo.run()
            progress.close()
            await demo.show(console)
            await demo_serving.stay(console, demo.where(), once=once)


def _new_memory(context: Context) -> Memory:
    return Memory(until=context.now().replace(microsecond=0), platform_token=context.token(24).hex())


@asynccontextmanager
async def _started(
    settings: Settings, context: Context, memory: Memory, clock: Clock, tell: Tell
) -> AsyncIterator[Demo]:
    """Start the simulated platform and the service on ports of this machine; stop both at the end."""
    world = demo_plan.world_until(memory.until)
    platform = Platform(world, clock.now, memory.platform_token)
    beside = serve.bind("127.0.0.1", 0)
    own = demo_serving.settings_of(settings, {"synthetic": serve.address_of(beside)})
    app = build(own, context, roles=("api", "worker"))
    async with (
        serve.answering(platform, beside, _LIMITS),
        demo_serving.desk(app, own, memory, FILE) as desk,
    ):
        yield Demo(desk, clock, tell)
