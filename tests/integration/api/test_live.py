"""Streams: a snapshot and then what changes, resumed by number, bounded, and ended when they should be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from service.access.keys import Scope
from service.api import live
from service.pipeline.worker import Worker
from tests.integration.api.furniture import Things, furnish, read_all
from tests.integration.api.office import Desk, Office, open_office

MORE = b"Id,By,Likes,Shown\np1,ada,5,120\n"
WATCHED = "?range=lifetime&metrics=likes,cost"


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL", 0.02)
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)


@pytest_asyncio.fixture
async def things(office: Office, desk: Desk) -> Things:
    return await furnish(office, desk)


class Reader:
    """An open stream, read as the ASGI messages come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.news = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.gone = asyncio.Event()
        self.stopping = asyncio.Event()

    async def send(self, message: Any) -> None:
        await self.room.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]
        self.news.set()

    def events(self) -> list[tuple[str, str | None, Any]]:
        """Return (kind, id, data) of the whole events so far."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            if "event" in lines:
                found.append((lines["event"], lines.get("id"), json.loads(lines["data"])))
        return found

    async def until(self, *kinds: str) -> list[tuple[str, str | None, Any]]:
        """Wait until events of these kinds have come, in this order."""
        async with asyncio.timeout(20):
            while True:
                waiting = list(kinds)
                for kind, _, _ in self.events():
                    if waiting and kind == waiting[0]:
                        waiting.pop(0)
                if not waiting:
                    return self.events()
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def watching(
    desk: Desk, things: Things, query: str = WATCHED, last: str | None = None, *, keyed: bool = True
) -> AsyncIterator[Any]:
    reader = Reader()
    path, _, text = f"/v1/campaigns/{things.campaign}/stream{query}".partition("?")
    headers = [(b"authorization", f"Bearer {desk.token}".encode())] if keyed else []
    if last is not None:
        headers.append((b"last-event-id", last.encode()))
    waiting = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        await reader.gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": text.encode(), "http_version": "1.1", "scheme": "http", "headers": headers,
        live.STOPPING: reader.stopping,
    }  # fmt: skip
    task = asyncio.create_task(desk.app(scope, receive, reader.send))
    reader.task = task  # type: ignore[attr-defined]
    try:
        yield reader
    finally:
        reader.gone.set()
        reader.room.set()
        await asyncio.wait_for(task, 20)


async def upload(office: Office, desk: Desk, things: Things, content: bytes) -> None:
    await desk.ask("POST", f"/v1/sources/{things.source}/uploads?filename=b.csv", content=content)
    await read_all(office)


async def test_a_snapshot_then_what_changes(office: Office, desk: Desk, things: Things) -> None:
    async with watching(desk, things) as reader:
        (kind, number, answer), *_ = await reader.until("snapshot", "heartbeat")
        assert (reader.status, reader.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (reader.headers["cache-control"], reader.headers["x-accel-buffering"]) == ("no-store", "no")
        assert (kind, number) == ("snapshot", str(answer["meta"]["posting"]))
        told = await desk.get(f"/v1/campaigns/{things.campaign}/kpis{WATCHED}")
        assert answer["totals"]["likes"]["value"] == told["totals"]["likes"]["value"] == 7
        await upload(office, desk, things, MORE)
        events = await reader.until("snapshot", "delta")
        delta, number = next((data, number) for kind, number, data in events if kind == "delta")
        assert delta["totals"].keys() == {"likes"}
        assert delta["totals"]["likes"]["value"] == 9
        assert int(number) == delta["posting"] > answer["meta"]["posting"]


async def test_what_another_process_posts_is_seen(
    office: Office, desk: Desk, things: Things, database_url: str
) -> None:
    async with watching(desk, things) as reader, open_office(database_url) as second:
        await reader.until("snapshot")
        await desk.ask("POST", f"/v1/sources/{things.source}/uploads?filename=b.csv", content=MORE)
        parts = second.services
        await Worker(parts.db, parts.context, parts.settings, parts.connectors).drain()
        await reader.until("delta")


async def test_resumed_by_number(office: Office, desk: Desk, things: Things) -> None:
    async with watching(desk, things) as reader:
        ((_, number, _), *_) = await reader.until("snapshot")
    async with watching(desk, things, last=number) as reader:
        await reader.until("heartbeat", "heartbeat")
        assert {kind for kind, _, _ in reader.events()} == {"heartbeat"}
        await upload(office, desk, things, MORE)
        await reader.until("delta")
    for last in (number, "0", "nonsense", "9" * 30):
        async with watching(desk, things, last=last) as reader:
            events = await reader.until("snapshot")
            assert next(data for kind, _, data in events if kind == "snapshot")["totals"]["likes"]["value"] == 9


async def test_what_was_taken_back_is_told_with_its_cause(office: Office, desk: Desk, things: Things) -> None:
    body = {
        "columns": {"likes": "Likes"}, "kinds": {"likes": "period"}, "id_column": "Id", "subject_type": "post",
        "instant_column": "Day", "window": "day",
    }  # fmt: skip
    made = await desk.post("/v1/sources", {"connector": "files", "name": "Days", "platform": "daily", "options": body})
    flight = {"name": "D", "kind": "broad", "starts": "2026-06-01", "ends": "2026-07-15"}
    campaign = await desk.post("/v1/campaigns", flight | {"rules": [{"platform": "daily"}]})
    things = msgspec.structs.replace(things, campaign=campaign["id"])
    days = b"Id,Day,Likes\nq1,2026-06-03,%d\n"

    async def say(value: int) -> None:
        sent = await desk.ask("POST", f"/v1/sources/{made['id']}/uploads?filename={value}.csv", content=days % value)
        assert sent.status_code == 202, sent.text
        await read_all(office)

    await say(100)
    query = "?from=2026-06-01&to=2026-06-30&metrics=likes"
    async with watching(desk, things, query) as reader:
        ((_, number, first), *_) = await reader.until("snapshot")
        await say(130)
        events = await reader.until("restatement", "delta")
        told = next(data for kind, _, data in events if kind == "restatement")
        was = first["totals"]["likes"]["value"]
        assert (told["metric"], told["old"], told["new"] - told["old"]) == ("likes", was, 30)
        assert set(told["causes"]) & {"source_restated", "reversal"}
    async with watching(desk, things, query, last=number) as reader:
        await reader.until("restatement", "snapshot")


async def test_a_slow_reader_gets_the_newest(office: Office, desk: Desk, things: Things) -> None:
    async with watching(desk, things) as reader:
        await reader.until("snapshot")
        reader.room.clear()
        for likes in (5, 6, 7, 8, 9):
            await upload(office, desk, things, b"Id,By,Likes,Shown\np1,ada,%d,120\n" % likes)
        await asyncio.sleep(0.2)
        reader.room.set()
        async with asyncio.timeout(20):
            while not any(
                kind == "delta" and data["totals"]["likes"]["value"] == 13 for kind, _, data in reader.events()
            ):
                reader.news.clear()
                await reader.news.wait()
        assert sum(kind == "delta" for kind, _, _ in reader.events()) <= 3


async def test_a_key_has_few_and_gets_them_back(desk: Desk, things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PER_KEY", 2)
    path = f"/v1/campaigns/{things.campaign}/stream{WATCHED}"
    async with watching(desk, things) as first:
        async with watching(desk, things) as second:
            await first.until("snapshot")
            await second.until("snapshot")
            refused = await desk.ask("GET", path)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        async with watching(desk, things) as third:
            await third.until("snapshot")
    assert not live._open


async def test_it_ends_when_the_server_stops_and_when_the_key_is_revoked(
    office: Office, desk: Desk, things: Things
) -> None:
    async with watching(desk, things) as reader:
        await reader.until("snapshot")
        reader.stopping.set()
        await asyncio.wait_for(reader.task, 20)
    made = await desk.post("/v1/keys", {"name": "short", "scopes": ["kpis:read"]})
    async with watching(Desk(office.app, made["token"], desk.workspace), things) as reader:
        await reader.until("snapshot")
        await desk.ask("DELETE", f"/v1/keys/{made['id']}")
        await asyncio.wait_for(reader.task, 20)


async def test_a_ticket_opens_one_stream_and_nothing_else(office: Office, desk: Desk, things: Things) -> None:
    reader = await office.caller(desk, [Scope.KPIS_READ])
    path = f"/v1/campaigns/{things.campaign}/stream"
    ticket = (await reader.post(f"{path}/tickets", {}))["ticket"]
    await office.nobody.problem(401, "GET", f"/v1/campaigns/{things.campaign}/kpis?ticket={ticket}")
    async with watching(desk, things, f"{WATCHED}&ticket={ticket}", keyed=False) as stream:
        ((_, number, answer), *_) = await stream.until("snapshot", "heartbeat")
        assert answer["totals"]["cost"]["reason"] == "not_permitted"
        async with asyncio.timeout(20):
            await office.nobody.problem(401, "GET", f"{path}{WATCHED}&ticket={ticket}")
    other = (await reader.post(f"{path}/tickets", {}))["ticket"]
    resumed = f"{WATCHED}&last_event_id={number}&ticket={other}"
    async with watching(desk, things, resumed, keyed=False) as stream:
        await stream.until("heartbeat", "heartbeat")
        assert {kind for kind, _, _ in stream.events()} == {"heartbeat"}
    for wrong in ("", "x", ticket[:-2], reader.token, ticket.replace("tbk_once_", "tbk_read_")):
        await office.nobody.problem(401, "GET", f"{path}{WATCHED}&ticket={wrong}")
    for where in ("cmp_" + "0" * 32, "cmp_x"):
        await reader.problem(404, "POST", f"/v1/campaigns/{where}/stream/tickets", {})


async def test_costs_stay_hidden_and_mistakes_are_problems(office: Office, desk: Desk, things: Things) -> None:
    reader = await office.caller(desk, [Scope.KPIS_READ])
    async with watching(reader, things) as stream:
        ((_, _, answer), *_) = await stream.until("snapshot")
        assert answer["totals"]["cost"]["reason"] == "not_permitted"
        assert answer["totals"]["likes"]["provenance"] is None
    path = f"/v1/campaigns/{things.campaign}/stream"
    for query in ("?metrics=lkes", "?as_of=2026-01-01T00:00:00Z", "?range=last_7", "?granularity=day"):
        await desk.problem(422, "GET", path + query)
    await desk.problem(404, "GET", path.replace(things.campaign, "cmp_" + "0" * 32))
