"""The demo: the service as a user meets it, over HTTP, with two real campaigns and two simulated ones.

It has a database of its own in the data directory and touches no other. What it makes it makes once: a second run finds
the same things, sends the same bytes and changes no number. The simulated platform runs beside it on another port; its
world ends at the instant of the first run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from importlib import resources
from typing import Any

import httpx
import msgspec
from rich.console import Console

from connectors.synthetic_platform import Platform, webhooks
from connectors.synthetic_world import World
from service import context as contexts
from service import demo_plan, ids, serve
from service.access import keys
from service.api.state import Services
from service.app import build
from service.commands.endings import Code, Ended
from service.commands.output import Tell, steps
from service.commands.verifying import Proved, prove, told
from service.context import Context
from service.demo_memory import Memory, recall, remember
from service.demo_report import show_campaign
from service.errors import Busy, Misconfigured
from service.fetch.plan import TaskState
from service.fetch.pull import Puller
from service.fetch.rounds import Rounds
from service.registry import workspaces
from service.serve_protocol import Limits
from service.settings import Settings

_SETTLE_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_WORKSPACE = "Demo"
_LIMITS = Limits()


class Demo:
    """One run against a service that listens at ``address``."""

    def __init__(self, parts: Services, address: str, memory: Memory, clock: Clock, tell: Tell) -> None:
        self.parts = parts
        self.address = address
        self.memory = memory
        self.clock = clock
        self.world: World = demo_plan.world_until(memory.until)
        self._tell = tell
        self._client = httpx.AsyncClient(base_url=address, trust_env=False, timeout=60.0)

    async def close(self) -> None:
        await self._client.aclose()

    async def run(self) -> None:
        """Make what is missing, bring every number in, wait until the books have settled."""
        await self._workspace()
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
        await self._settled()

    # -------------------------------------------------------------------------------------------- HTTP

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request with the workspace's key. Ends the demo when it is not answered with success."""
        more.setdefault("headers", {"authorization": f"Bearer {self.memory.key}"})
        answer = await self._client.request(method, path, **more)
        if not answer.is_success:
            raise Ended(Code.FAILED, f"{method} {path} is answered with {answer.status_code}: {_detail(answer)}")
        return answer

    async def _once(self, name: str, path: str, body: Mapping[str, Any]) -> None:
        """Make a thing unless it was made before, and remember what was answered."""
        if name in self.memory.made:
            return
        answer = (await self.ask("POST", path, json={"name": name, **body})).json()
        kept = {key: answer[key] for key in ("id", "webhook_path", "secret") if answer.get(key)}
        self.memory.made[name] = kept
        self._remember()

    def _remember(self) -> None:
        remember(self.parts.settings.data_dir, self.memory)

    def _id(self, name: str) -> str:
        return self.memory.made[name]["id"]

    # -------------------------------------------------------------------------------------------- what is made

    async def _workspace(self) -> None:
        """Find the workspace of an earlier run, or make one with an instance key that ends at once."""
        if self.memory.key:
            bearer = {"authorization": f"Bearer {self.memory.key}"}
            found = await self._client.get(f"/v1/workspaces/{self.memory.workspace}", headers=bearer)
            if found.status_code == HTTPStatus.OK:
                return
            # The database is another one than that of the earlier run: nothing remembered is there.
            self.memory.made.clear()
        db, context = self.parts.db, self.parts.context
        async with db.control() as connection:
            instance = await keys.create_instance(connection, context)
        wanted = {"name": _WORKSPACE, "zone": demo_plan.ZONE, "currency": demo_plan.CURRENCY}
        headers = {"authorization": f"Bearer {instance.token}"}
        made = (await self.ask("POST", "/v1/workspaces", json=wanted, headers=headers)).json()
        async with db.control() as connection:
            await keys.revoke_instance(connection, instance.key_id)
        self.memory.workspace, self.memory.key = made["id"], made["key"]["token"]
        self._remember()

    async def _plan(self) -> None:
        await self._once(demo_plan.STRATEGY, "/v1/strategies", {"objectives": ["Every number can be proved."]})
        for name, source in demo_plan.SOURCES.items():
            token = {"credentials": {"access_token": self.memory.platform_token}}
            await self._once(name, "/v1/sources", {**source, **(token if source["connector"] == "synthetic" else {})})
        crew = demo_plan.creators(self.world)
        for name, creator in crew.items():
            await self._once(name, "/v1/creators", creator)
        known = {name: self._id(name) for name in demo_plan.SOURCES}
        people = {name: self._id(name) for name in crew}
        for name, campaign in demo_plan.campaigns(self.world, known, people).items():
            await self._once(name, "/v1/campaigns", {**campaign, "strategy": self._id(demo_plan.STRATEGY)})

    # -------------------------------------------------------------------------------------------- what comes in

    async def _upload(self, source: str, name: str) -> None:
        body = resources.files("service.data").joinpath(name).read_bytes()
        path = f"/v1/sources/{self._id(source)}/uploads"
        await self.ask("POST", path, params={"filename": name}, content=body)

    async def _fetch(self) -> None:
        """Pull the simulated platform as the scheduler would have, day by day; on a later run as it is at the end."""
        source = self.memory.made["Simulated platform"]
        begun = "fetched" in source
        for at in [self.memory.until] if begun else demo_plan.instants(self.world, self.memory.until):
            self.clock.at = at
            await self._fetch_once(source["id"], self.parts.context if begun else _at(self.parts.context, at))
        source["fetched"] = "yes"
        self._remember()

    async def _fetch_once(self, source: str, context: Context) -> None:
        parts = self.parts
        puller = Puller(parts.db, context, parts.settings, parts.vault, parts.http_for, parts.lander.landed)
        rounds = Rounds(parts.db, context, parts.connectors, puller)
        workspace_id = ids.read("workspace", self.memory.workspace)
        for pulled in await rounds.fetch_source(workspace_id, ids.read("source", source)):
            if pulled.state in {TaskState.FAILED, TaskState.WAITING}:
                raise Ended(Code.FAILED, f"the simulated platform could not be pulled: {pulled.error}")

    async def _push(self) -> None:
        shop, until = self.memory.made["Simulated shop"], self.memory.until
        for headers, body in webhooks(self.world, self.world.start, until, shop["secret"], self.parts.context.now()):
            await self.ask("POST", shop["webhook_path"], headers=headers, content=body)

    async def _settled(self) -> None:
        """Return when no delivery waits. Ends the demo when one could not be read."""
        late = self.parts.context.monotonic() + _SETTLE_SECONDS
        while await self._deliveries("queued"):
            if self.parts.context.monotonic() > late:
                raise Busy("deliveries are still waiting to be read")
            await asyncio.sleep(_LOOK_SECONDS)
        for dead in await self._deliveries("dead"):
            raise Ended(Code.FAILED, f"{dead['id']} could not be read: {dead['last']['error']}")

    async def _deliveries(self, fate: str) -> list[dict[str, Any]]:
        found = await self.ask("GET", "/v1/deliveries", params={"fate": fate, "limit": 1})
        rows: list[dict[str, Any]] = found.json()["data"]
        return rows

    # -------------------------------------------------------------------------------------------- what is shown

    async def show(self, console: Console) -> None:
        """Print the campaigns, the proof and where to look further."""
        posting = 0
        for name, shown in demo_plan.shown(self.world).items():
            answer = await self._kpis(name, shown.metrics, {"range": shown.range})
            days = None
            if shown.first is not None and shown.last is not None:
                span = {"from": shown.first.isoformat(), "to": shown.last.isoformat(), "compare": "previous_period"}
                days = await self._kpis(name, shown.metrics, span)
            show_campaign(console, name, answer, days, simulated=bool(answer["meta"]["simulated"]))
            posting = answer["meta"]["posting"]
        workspace_id = ids.read("workspace", self.memory.workspace)
        async with self.parts.db.workspace(workspace_id) as connection:
            home = await workspaces.get(connection, workspace_id)
        report = await prove(self.parts, home)
        console.print(f"Books at posting {posting}. Verified: ", end="")
        for line in told(Proved(workspace=self.memory.workspace, name=home.name, report=report)):
            console.print(line, soft_wrap=True)
        if report.total_differences:
            raise Ended(Code.FAILED, "the books differ from the ledger")

    async def _kpis(self, campaign: str, metrics: tuple[str, ...], question: Mapping[str, str]) -> dict[str, Any]:
        path = f"/v1/campaigns/{self._id(campaign)}/kpis"
        answer = await self.ask("GET", path, params={"metrics": ",".join(metrics), **question})
        found: dict[str, Any] = answer.json()
        return found

    def where(self) -> list[str]:
        """Return the lines that say where the numbers are to be had."""
        path = f"/v1/campaigns/{self._id(demo_plan.MICRO)}/kpis?range=flight&metrics=ctr,cpa"
        return [
            f"Address  {self.address}",
            f"Key      {self.memory.key}",
            f"Try      curl -H 'Authorization: Bearer {self.memory.key}' '{self.address}{path}'",
        ]


class Clock(msgspec.Struct):
    """The simulated platform's clock: it stands where it is put."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def _at(context: Context, at: datetime) -> Context:
    """Return a context whose clock stands at ``at``; ids and randomness stay real."""
    return msgspec.structs.replace(context, now=lambda: at)


def _detail(answer: httpx.Response) -> str:
    try:
        found = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return "no problem document"
    return str(found.get("detail") or found.get("title") or "")


# ------------------------------------------------------------------------------------------------ a run


async def run(settings: Settings, console: Console, *, once: bool) -> None:
    """Run the demo and print what it shows; then serve until told to stop, unless ``once``."""
    context = contexts.real()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    memory = recall(settings.data_dir) or _new_memory(context)
    clock = Clock(at=memory.until)
    with ExitStack() as progress:
        tell = progress.enter_context(steps("starting", 6))
        async with _started(settings, context, memory, clock, tell) as demo:
            await demo.run()
            progress.close()
            await demo.show(console)
            for line in demo.where():
                console.print(line, soft_wrap=True)
            if not once:
                await _wait(console)


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
    own = _settings(settings, serve.address_of(beside))
    app = build(own, context, roles=("api", "worker"))
    async with (
        serve.answering(platform, beside, _LIMITS),
        serve.listening(app, _bind(own), _LIMITS) as listening,
    ):
        demo = Demo(app.state.services, listening.address, memory, clock, tell)
        try:
            yield demo
        finally:
            await demo.close()


def _settings(settings: Settings, platform: str) -> Settings:
    """Return the settings of the demo: whatever database the environment names, it is none of the demo's."""
    own = {"env": "dev", "host": "127.0.0.1", "database_url": None, "migrate_url": None, "master_key": None}
    return settings.model_copy(update=own | {"connector_urls": {"synthetic": platform}})


def _bind(settings: Settings) -> Any:
    """Return a socket on the port of the settings, or on a free one when that is taken."""
    try:
        return serve.bind(settings.host, settings.port)
    except Misconfigured:
        return serve.bind(settings.host, 0)


async def _wait(console: Console) -> None:
    with serve.stop_signals() as told_to_stop:
        console.print("Serving until Ctrl-C.")
        await told_to_stop.once.wait()
