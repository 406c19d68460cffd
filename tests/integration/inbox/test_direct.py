"""The direct way of a push, over sockets: what it takes, what it leaves to the route, and that both say the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from connectors.contract import Outcome, Reply, Source, Verified, WebhookRequest
from service import serve, serve_direct, telemetry
from service.api import webhooks
from service.api.direct import Answer, Asked, DirectWebhooks
from service.api.webhooks import addresses_of
from service.db.engine import Database
from service.inbox.store import Landed, store
from service.serve import Listening
from service.serve_protocol import Limits
from tests.integration.inbox.test_webhooks import Site, opened, stored
from tests.integration.inbox.world import Toy, count

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Said = tuple[int, dict[str, str], bytes]
SAFE = {"x-content-type-options", "cache-control", "referrer-policy", "content-security-policy", "x-request-id", "date"}


class Watched(DirectWebhooks):
    """Notes which requests were taken."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.app.state)
        self.taken: list[bool] = []

    def take(self, asked: Asked, answer: Answer) -> bool:
        self.taken.append(super().take(asked, answer))
        return self.taken[-1]


class Post(msgspec.Struct):
    """A site behind a socket, with its address known."""

    site: Site
    listening: Listening
    watched: Watched

    @property
    def port(self) -> int:
        return int(self.listening.address.rpartition(":")[2])

    async def dial(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def request(self, body: bytes = b"x", *more: str, signature: str = "good", version: str = "1.1") -> bytes:
        lines = (f"POST {self.site.path} HTTP/{version}", "host: h", f"webhook-signature: {signature}", *more)
        length = () if any("transfer" in line for line in more) else (f"content-length: {len(body)}",)
        return "\r\n".join((*lines, *length, "", "")).encode() + body

    async def ask(self, *parts: bytes) -> Said:
        streams = await self.dial()
        for part in parts:
            streams[1].write(part)
            await streams[1].drain()
            await asyncio.sleep(0.01)
        said = await answer(streams[0])
        streams[1].close()
        return said


async def answer(reader: asyncio.StreamReader) -> Said:
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body


@pytest_asyncio.fixture
async def post(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    # A body that is written after its head comes soon, however busy this machine is.
    monkeypatch.setattr(serve_direct, "SOON", 5.0)
    async with opened(database) as site:
        watched = site.app.direct = Watched(site)
        await addresses_of(site.app.state).find(site.services, site.path.rpartition("/")[2])
        async with serve.answering(site.app, serve.bind("127.0.0.1", 0), Limits()) as listening:
            yield Post(site, listening, watched)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as found:
        yield found


async def test_a_push_in_one_piece_is_taken(database: Database, post: Post) -> None:
    status, headers, body = await post.ask(post.request(b"\x00raw"))
    assert (status, body, headers["x-toy"], post.watched.taken) == (200, b"stored", "yes", [True])
    assert headers.keys() >= SAFE
    assert "connection" not in headers
    (row,) = await stored(database, post.site)
    assert (row.body, row.headers) == (b"\x00raw", {"webhook-signature": "good"})


async def test_a_body_that_comes_after_its_head_is_taken(database: Database, post: Post) -> None:
    wire = post.request(b"body")
    assert (await post.ask(wire[:-4], wire[-4:]))[0] == 200
    assert (await post.ask(wire[:30], wire[30:-2], wire[-2:]))[2] == b"duplicate"
    chunks = post.request(b"2\r\nxy\r\n1\r\nz\r\n0\r\n\r\n", "transfer-encoding: chunked")
    assert (await post.ask(chunks[:-9], chunks[-9:]))[2] == b"stored"
    assert post.watched.taken == [True] * 3
    assert sorted(row.body for row in await stored(database, post.site)) == [b"body", b"xyz"]


async def test_both_ways_say_the_same(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[bool, list[Any]] = {}
    for is_direct in (True, False):
        if not is_direct:
            monkeypatch.setattr(Watched, "wants", lambda *_: False)
        found = [await post.ask(post.request(b"%d" % is_direct)) for _ in range(2)]
        found.append(await post.ask(post.request(signature="bad")))
        said[is_direct] = [
            (status, sorted(pair for pair in headers.items() if pair[0] not in {"x-request-id", "date"}), body)
            for status, headers, body in found
        ]
    assert [status for status, _, _ in said[True]] == [200, 200, 401]
    assert said[True] == said[False]
    assert post.watched.taken == [True] * 3


@pytest.mark.parametrize(
    ("more", "status"),
    [("content-encoding: gzip", 415), ("content-encoding: identity", 200), ("expect: 100-continue", 200)],
)
async def test_what_is_not_plain_is_left_to_the_route(post: Post, more: str, status: int) -> None:
    reader, writer = await post.dial()
    writer.write(post.request(b"x", more))
    if "expect" in more:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await answer(reader))[0] == status
    assert True not in post.watched.taken
    writer.close()


async def test_a_body_above_the_cap_is_left_to_the_route(database: Database, post: Post) -> None:
    status, headers, _ = await post.ask(post.request(b"x" * 4097))
    assert (status, headers["connection"]) == (413, "close")
    assert (await post.ask(post.request(b"x" * 4096)))[0] == 200
    assert post.watched.taken == [False, True]


async def test_a_body_that_fills_the_buffer_is_left_to_the_route(post: Post) -> None:
    reader, writer = await post.dial()
    writer.write(post.request(b"x" * 1_000_000)[:-500_000])
    assert (await answer(reader))[0] == 413
    writer.close()


async def test_a_body_that_does_not_come_is_left_to_the_route(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_direct, "SOON", 0.01)
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.1)
    status, headers, body = await post.ask(post.request(b"body")[:-1])
    assert (status, headers["connection"], json.loads(body)["code"]) == (408, "close", "timeout")


async def test_a_sender_that_hangs_up_amid_its_body_leaves_nothing(
    database: Database, post: Post, lines: list[Any]
) -> None:
    _, writer = await post.dial()
    writer.write(post.request(b"body")[:-1])
    await writer.drain()
    writer.close()
    async with asyncio.timeout(30):
        while not lines:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    assert [line["status"] for line in lines] == [400]
    assert await stored(database, post.site) == []


async def test_a_sender_that_does_not_wait_for_its_answer_is_heard(database: Database, post: Post) -> None:
    _, writer = await post.dial()
    writer.write(post.request(b"quick"))
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(30):
        while not await count(database, post.site.source.workspace_id, "deliveries"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert (await post.ask(post.request(b"quick")))[2] == b"duplicate"


async def test_an_unknown_address_is_left_to_the_route(post: Post) -> None:
    path = post.site.path
    post.site.path = path[::-1]
    wrong = post.request().replace(path[::-1].encode(), path[:-1].encode() + b"-")
    status, _, body = await post.ask(wrong)
    assert (status, json.loads(body)["code"], post.watched.taken) == (404, "not-found", [False])


async def test_requests_on_one_connection_are_answered_in_order(post: Post) -> None:
    reader, writer = await post.dial()
    writer.write(b"".join(post.request(b"%d" % number) for number in (1, 2, 2, 3)))
    assert [(await answer(reader))[2] for _ in range(4)] == [b"stored", b"stored", b"duplicate", b"stored"]
    for number in (4, 4):
        writer.write(post.request(b"%d" % number))
        await answer(reader)
    # What waited behind another request is not for the direct way.
    assert post.watched.taken == [True] * 3
    writer.close()


async def test_plain_pieces_and_others_take_turns_on_one_connection(
    database: Database, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    feed = HttpToolsProtocol.data_received

    def watched(protocol: HttpToolsProtocol, data: bytes) -> None:
        parsed.append(data)
        feed(protocol, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", watched)
    reader, writer = await post.dial()
    wires = [post.request(b"%d" % number) for number in range(6)]
    ready = b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n"
    # Whole, in two pieces, whole, another request, two at once, whole.
    for parts in ((wires[0],), (wires[1][:40], wires[1][40:]), (wires[2],), (ready,), (wires[3] + wires[4],)):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.02)
        said = [await answer(reader) for _ in range(1 + (wires[4] in parts[0]))]
        assert [status for status, _, _ in said] == [200] * len(said)
    assert parsed == [wires[1][:40], wires[1][40:], ready, wires[3] + wires[4]]
    # What looks like a push is a body where a body is due, and a header where a header is.
    for begin, said_last in ((post.request(wires[5])[: -len(wires[5])], b"stored"), (ready[:-2] + b"x: ", b"")):
        writer.write(begin)
        await asyncio.sleep(0.02)
        writer.write(wires[5])
        status, _, body = await answer(reader)
        assert (status, body if said_last else b"") == (200, said_last)
    bodies = [row.body for row in await stored(database, post.site)]
    assert (wires[5] in bodies, b"5" in bodies) == (True, False)
    writer.close()


async def test_a_push_that_comes_while_another_waits_is_answered_after_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_commit = asyncio.Event()

    async def held(connection: Any, landings: Any, now: Any) -> list[Landed]:
        await may_commit.wait()
        return await store(connection, landings, now)

    monkeypatch.setattr(post.site.services.lander._commit, "_store", held)
    reader, writer = await post.dial()
    for body in (b"first", b"second"):
        writer.write(post.request(body))
        await asyncio.sleep(0.1)
    assert post.watched.taken == [True]
    may_commit.set()
    assert [(await answer(reader))[2] for _ in range(2)] == [b"stored"] * 2
    assert post.watched.taken == [True]
    writer.close()


async def test_an_idle_connection_is_ended_by_the_timer_of_an_earlier_answer(post: Post) -> None:
    limits, clock = msgspec.structs.replace(Limits(), keep_alive=1), post.site.services.context.monotonic
    async with serve.answering(post.site.app, serve.bind("127.0.0.1", 0), limits) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listening.address.rpartition(":")[2]))
        for pause in (0.6, 0.6, 0.0):
            writer.write(post.request(b"again"))
            assert (await answer(reader))[0] == 200
            last = clock()
            await asyncio.sleep(pause)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
    assert clock() - last > 0.9
    writer.close()


async def test_an_address_in_use_is_looked_up_before_it_is_forgotten(post: Post) -> None:
    clock, address = [0.0], post.site.path.rpartition("/")[2]
    context = msgspec.structs.replace(post.site.services.context, monotonic=lambda: clock[0])
    services = post.site.app.state.services = msgspec.structs.replace(post.site.services, context=context)
    known = post.site.app.state.addresses = webhooks.Addresses()
    await known.find(services, address)
    for seconds, is_flying in ((4.4, False), (4.9, True), (9.3, False), (9.8, True), (14.9, False)):
        clock[0] = seconds
        assert (await post.ask(post.request(b"%f" % seconds)))[0] == 200
        flights = list(known._flights.values())
        assert is_flying or not flights
        await asyncio.gather(*flights)
    assert post.watched.taken == [True] * 4 + [False]


async def test_a_push_whose_commit_was_given_up_is_answered_once(
    database: Database, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = post.site.services.lander._commit

    async def given_up(connection: Any, landings: Any, now: Any) -> list[Landed]:
        landed = await store(connection, landings, now)
        shared._give_up(shared._batch, "hangs", shared=True)
        return landed

    monkeypatch.setattr(shared, "_store", given_up)
    reader, writer = await post.dial()
    writer.write(post.request(b"late"))
    assert (await answer(reader))[0] == 503
    monkeypatch.setattr(shared, "_store", store)
    writer.write(post.request(b"late"))
    assert (await answer(reader))[2] == b"duplicate"
    assert len(await stored(database, post.site)) == 1
    writer.close()


@pytest.mark.parametrize(("more", "version"), [(("connection: close",), "1.1"), ((), "1.0")])
async def test_a_connection_is_closed_where_that_is_asked_for(post: Post, more: tuple[str, ...], version: str) -> None:
    reader, writer = await post.dial()
    writer.write(post.request(b"x", *more, version=version))
    _, headers, _ = await answer(reader)
    assert headers["connection"] == "close"
    assert await reader.read() == b""
    writer.close()


async def test_a_server_that_stops_answers_what_it_took(post: Post, database: Database) -> None:
    async with serve.answering(post.site.app, serve.bind("127.0.0.1", 0), Limits()) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listening.address.rpartition(":")[2]))
        post.watched.taken.clear()
        writer.write(post.request(b"late"))
        async with asyncio.timeout(30):
            while not post.watched.taken:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0)
    status, headers, _ = await answer(reader)
    assert (status, headers.get("connection", "close")) == (200, "close")
    assert len(await stored(database, post.site)) == 1
    writer.close()


# ------------------------------------------------------------------------------------------------ connectors that fail


class Broken(Toy):
    """A connector that fails where it is told to."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def verify(self, request: WebhookRequest, source: Source, now: Any) -> Verified:
        if self.place == "verify":
            raise ZeroDivisionError
        return super().verify(request, source, now)

    def reply(self, outcome: Outcome) -> Reply:
        if self.place == "reply":
            raise ZeroDivisionError
        if self.place == "header":
            return Reply(status=200, headers={"x": "a\r\nb: c"})
        return Reply(status=204, body=b"nothing") if self.place == "bare" else super().reply(outcome)


async def swap(post: Post, connector: Toy) -> None:
    post.site.app.state.services = msgspec.structs.replace(post.site.services, connectors={"toy": connector})
    addresses = post.site.app.state.addresses = webhooks.Addresses()
    await addresses.find(post.site.app.state.services, post.site.path.rpartition("/")[2])


@pytest.mark.parametrize("place", ["verify", "reply"])
async def test_a_connector_that_fails_is_an_internal_error(post: Post, place: str, lines: list[Any]) -> None:
    await swap(post, Broken(place))
    reader, writer = await post.dial()
    for _ in range(2):
        writer.write(post.request())
        status, headers, body = await answer(reader)
        assert (status, json.loads(body)["code"], json.loads(body)["request_id"]) == (
            500,
            "internal",
            headers["x-request-id"],
        )
    assert post.watched.taken == [True, True]
    assert [line["error"] for line in lines if line["event"] == "request.failed"] == ["ZeroDivisionError"] * 2
    writer.close()


async def test_a_header_that_is_none_ends_the_connection(post: Post) -> None:
    await swap(post, Broken("header"))
    reader, writer = await post.dial()
    writer.write(post.request())
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()


async def test_an_answer_without_a_body_has_no_length(post: Post) -> None:
    await swap(post, Broken("bare"))
    reader, writer = await post.dial()
    for _ in range(2):
        writer.write(post.request())
        status, headers, _ = await answer(reader)
        assert (status, "content-length" in headers) == (204, False)
    writer.close()


async def test_it_is_counted_and_logged_like_the_route(post: Post, lines: list[Any]) -> None:
    labels = {"method": "POST", "route": "/v1/webhooks/{address}", "status": "200"}
    before = telemetry.REGISTRY.get_sample_value("tallybook_http_requests_total", labels) or 0
    _, headers, _ = await post.ask(post.request())
    assert telemetry.REGISTRY.get_sample_value("tallybook_http_requests_total", labels) == before + 1
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["route"] == labels["route"]
    assert (line["status"], line["request_id"]) == (200, headers["x-request-id"])
    assert post.site.path[13:] not in str(lines)
