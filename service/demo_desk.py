"""A caller of the demo: it speaks to the service over HTTP with the key of one workspace and remembers what it made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
import msgspec
from rich.console import Console

from service import ids
from service.access import keys
from service.api.state import Services
from service.commands.endings import Code, Ended
from service.commands.verifying import Proved, prove, told
from service.demo_memory import Memory, remember
from service.errors import Busy
from service.fetch.plan import TaskState
from service.fetch.rounds import Rounds
from service.registry import workspaces

_SETTLE_SECONDS = 120.0
_LOOK_SECONDS = 0.1


class Desk:
    """``file`` is where ``memory`` is kept; ``address`` is where the service listens."""

    def __init__(self, parts: Services, address: str, memory: Memory, file: str) -> None:
        self.parts = parts
        self.address = address
        self.memory = memory
        self._file = file
        self._client = httpx.AsyncClient(base_url=address, trust_env=False, timeout=60.0)

    async def close(self) -> None:
        await self._client.aclose()

    # -------------------------------------------------------------------------------------------- HTTP

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request with the workspace's key. Ends the demo when it is not answered with success."""
        more.setdefault("headers", {"authorization": f"Bearer {self.memory.key}"})
        answer = await self._client.request(method, path, **more)
        if not answer.is_success:
            raise Ended(Code.FAILED, f"{method} {path} is answered with {answer.status_code}: {_detail(answer)}")
        return answer

    async def once(self, name: str, path: str, body: Mapping[str, Any]) -> str:
        """Make a thing unless it was made before, remember what was answered, and return its id."""
        if name not in self.memory.made:
            answer = (await self.ask("POST", path, json={"name": name, **body})).json()
            kept = {key: answer[key] for key in ("id", "webhook_path", "secret") if answer.get(key)}
            self.memory.made[name] = kept
            self.remember()
        return self.id(name)

    def remember(self) -> None:
        remember(self.parts.settings.data_dir, self.memory, self._file)

    def id(self, name: str) -> str:
        return self.memory.made[name]["id"]

    async def workspace(self, wanted: Mapping[str, str]) -> None:
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
        headers = {"authorization": f"Bearer {instance.token}"}
        made = (await self.ask("POST", "/v1/workspaces", json=dict(wanted), headers=headers)).json()
        async with db.control() as connection:
            await keys.revoke_instance(connection, instance.key_id)
        self.memory.workspace, self.memory.key = made["id"], made["key"]["token"]
        self.remember()

    # -------------------------------------------------------------------------------------------- what comes in

    async def fetch(self, rounds: Rounds, source: str) -> None:
        """Pull every kind of a source. Ends the demo when that fails."""
        workspace_id = ids.read("workspace", self.memory.workspace)
        for pulled in await rounds.fetch_source(workspace_id, ids.read("source", source)):
            if pulled.state in {TaskState.FAILED, TaskState.WAITING}:
                raise Ended(Code.FAILED, f"the platform could not be pulled: {pulled.error}")

    async def settled(self) -> None:
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

    async def kpis(self, campaign: str, metrics: tuple[str, ...], question: Mapping[str, str]) -> dict[str, Any]:
        path = f"/v1/campaigns/{self.id(campaign)}/kpis"
        answer = await self.ask("GET", path, params={"metrics": ",".join(metrics), **question})
        found: dict[str, Any] = answer.json()
        return found

    async def prove(self, console: Console, posting: int) -> None:
        """Print that the books are what the ledger says. Ends the demo when they are not."""
        workspace_id = ids.read("workspace", self.memory.workspace)
        async with self.parts.db.workspace(workspace_id) as connection:
            home = await workspaces.get(connection, workspace_id)
        report = await prove(self.parts, home)
        console.print(f"Books at posting {posting}. Verified: ", end="")
        for line in told(Proved(workspace=self.memory.workspace, name=home.name, report=report)):
            console.print(line, soft_wrap=True)
        if report.total_differences:
            raise Ended(Code.FAILED, "the books differ from the ledger")

    def where(self, campaign: str, query: str) -> list[str]:
        """Return the lines that say where the numbers of a campaign are to be had."""
        path = f"/v1/campaigns/{self.id(campaign)}/kpis?{query}"
        return [
            f"Address  {self.address}",
            f"Key      {self.memory.key}",
            f"Try      curl -H 'Authorization: Bearer {self.memory.key}' '{self.address}{path}'",
        ]


def _detail(answer: httpx.Response) -> str:
    try:
        found = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return "no problem document"
    return str(found.get("detail") or found.get("title") or "")
