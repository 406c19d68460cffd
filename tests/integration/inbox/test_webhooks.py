from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from fastapi import FastAPI

from connectors.contract import Http
from service import context as contexts
from service import serve
from service.api import problems, webhooks
from service.api.application import Api, with_routes
from service.api.state import Services
from service.api.webhooks import Addresses, addresses_of
from service.db.engine import Database, make_engine
from service.errors import NotFound
from service.fetch.logins import Logins
from service.fetch.standing import Standings
from service.fetch.subscribing import Subscriber
from service.fetch.tokens import Tokens
from service.inbox.land import Lander
from service.records import Settled, SourceRow, SourceState
from service.registry import sources
from service.serve_protocol import Limits
from tests.integration.inbox.world import SETTINGS, TOYS, VAULT, count, make_source, rows

CONTEXT = contexts.real()
GOOD = {"webhook-signature": "good"}


class Site(msgspec.Struct):
    """An application with the webhook routes alone, and one source."""

    app: Api
    client: httpx.AsyncClient
    source: SourceRow
    path: str
    services: Services


def no_http(*_: Any) -> Http:
    raise NotImplementedError


async def no_version(*_: Any) -> int:
    raise NotImplementedError


async def no_change(*_: Any) -> None:
    raise NotImplementedError


async def no_verdict(*_: Any) -> Settled:
    raise NotImplementedError


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Site]:
    source = await make_source(database, CONTEXT)
    async with database.workspace(source.workspace_id) as connection:
        address = await sources.rotate_address(connection, source.workspace_id, source.source_id, CONTEXT)
    lander = Lander(database, CONTEXT, SETTINGS)
    await lander.start()
    parts = (database, CONTEXT, SETTINGS, VAULT)
    tokens = Tokens(*parts, no_http)
    services = Services(
        settings=SETTINGS,
        context=CONTEXT,
        db=database,
        vault=VAULT,
        connectors=TOYS,
        lander=lander,
        http_for=no_http,
        tokens=tokens,
        logins=Logins(*parts, TOYS, no_http),
        subscriber=Subscriber(*parts, TOYS, no_http, tokens),
        standings=Standings(*parts, TOYS),
        revision="0001",
        record_version=no_version,
        reassign=no_change,
        finish_moves=no_change,
        settle_fall=no_verdict,
        record_policy=no_version,
    )
    app = with_routes(Api(CONTEXT, SETTINGS), [webhooks.router])
    app.state.services = services
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Site(app, client, source, f"/v1/webhooks/{address}", services)
    await lander.stop()


@pytest_asyncio.fixture
async def routed(database: Database) -> AsyncIterator[Site]:
    async with opened(database) as site:
        yield site


@pytest_asyncio.fixture(params=["route", "direct"])
async def site(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A site that is asked through its routes, or over a socket with an address that is known: the direct way."""
    async with opened(database) as found:
        if request.param == "route":
            yield found
            return
        await addresses_of(found.app.state).find(found.services, found.path.rpartition("/")[2])
        async with (
            serve.answering(found.app, serve.bind("127.0.0.1", 0), Limits()) as listening,
            httpx.AsyncClient(base_url=listening.address, trust_env=False) as client,
        ):
            yield msgspec.structs.replace(found, client=client)


async def stored(database: Database, site: Site) -> list[Any]:
    return await rows(database, site.source.workspace_id, "select * from deliveries where workspace_id = :w")


async def test_a_signed_request_is_kept_and_the_platform_hears_its_own_words(database: Database, site: Site) -> None:
    headers = GOOD | {"webhook-id": "7", "authorization": "Bearer x"}
    answer = await site.client.post(site.path, content=b"\x00raw", headers=headers)
    assert (answer.status_code, answer.text, answer.headers["x-toy"]) == (200, "stored", "yes")
    again = await site.client.post(site.path, content=b"\x00raw", headers=headers)
    assert (again.status_code, again.text) == (200, "duplicate")
    (row,) = await stored(database, site)
    assert (row.body, row.channel) == (b"\x00raw", "webhook")
    assert row.headers == {"webhook-signature": "good", "webhook-id": "7"}


async def test_a_wrong_signature_keeps_nothing(database: Database, site: Site) -> None:
    answer = await site.client.post(site.path, content=b"x", headers={"webhook-signature": "bad"})
    assert (answer.status_code, answer.text) == (401, "bad_signature")
    assert await stored(database, site) == []


async def test_what_cannot_be_parsed_is_kept_all_the_same(database: Database, site: Site) -> None:
    answer = await site.client.post(site.path, content=b"bad", headers=GOOD)
    assert answer.status_code == 200
    assert len(await stored(database, site)) == 1


async def test_the_same_request_twice_at_once_is_one_delivery(database: Database, site: Site) -> None:
    requests = (site.client.post(site.path, content=b"x", headers=GOOD) for _ in range(20))
    answers = [answer.text for answer in await asyncio.gather(*requests)]
    assert sorted(answers) == ["duplicate"] * 19 + ["stored"]
    assert await count(database, site.source.workspace_id, "delivery_queue") == 1


async def test_a_challenge_is_answered_and_anything_else_is_not_found(site: Site) -> None:
    answer = await site.client.get(site.path, params={"challenge": "abc"})
    assert (answer.status_code, answer.text) == (200, "abc")
    answer = await site.client.get(site.path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == problems.MEDIA_TYPE


@pytest.mark.parametrize("address", ["x", "x" * 43, "%00" * 20, "%ff" * 20, "a/b", "é" * 20, "x" * 5000])
async def test_an_unknown_address_is_not_found(site: Site, address: str) -> None:
    for method in ("GET", "POST"):
        answer = await site.client.request(method, f"/v1/webhooks/{address}", content=b"x", headers=GOOD)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == problems.MEDIA_TYPE
        assert answer.json()["code"] == "not-found"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "BREW", "post"])
async def test_other_methods_are_refused(routed: Site, method: str) -> None:
    sent, _ = await converse(routed.app, scope_of(routed.path, method=method), [b"x"])
    assert sent[0]["status"] == 405


async def test_a_compressed_body_is_refused(database: Database, site: Site) -> None:
    for encoding in ("gzip", "br", "identity, gzip"):
        answer = await site.client.post(site.path, content=b"x", headers=GOOD | {"content-encoding": encoding})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    answer = await site.client.post(site.path, content=b"x", headers=GOOD | {"content-encoding": "Identity"})
    assert answer.status_code == 200


async def test_a_source_that_is_paused_still_listens(database: Database, site: Site) -> None:
    for state in (SourceState.PAUSED, SourceState.NEEDS_REAUTH):
        async with database.workspace(site.source.workspace_id) as connection:
            await sources.set_state(connection, site.source.workspace_id, site.source.source_id, state, CONTEXT)
        site.app.state.addresses = Addresses()
        answer = await site.client.post(site.path, content=state.value.encode(), headers=GOOD)
        assert answer.text == "stored"


# ------------------------------------------------------------------------------------------------ bodies


def scope_of(path: str, headers: Mapping[str, str] | None = None, method: str = "POST") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or GOOD).items()],
        "server": ("test", 80),
        "client": ("test", 1),
    }


async def converse(
    app: FastAPI, scope: MutableMapping[str, Any], chunks: list[bytes], *, ends: bool = True, gone: bool = False
) -> tuple[list[MutableMapping[str, Any]], int]:
    """Send chunks to an application; return what it answered and how many chunks it took."""
    sent: list[MutableMapping[str, Any]] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if taken < len(chunks):
            taken += 1
            return {"type": "http.request", "body": chunks[taken - 1], "more_body": taken < len(chunks) or not ends}
        if gone:
            return {"type": "http.disconnect"}
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    return sent, taken


async def test_an_announced_size_above_the_cap_is_refused_unread(routed: Site) -> None:
    for size in ("4097", "9" * 30, "1" * 5000):
        sent, taken = await converse(routed.app, scope_of(routed.path, GOOD | {"content-length": size}), [b"x"])
        assert (sent[0]["status"], taken) == (413, 0)
        assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize("announced", [{}, {"content-length": "10"}, {"content-length": "²"}, {"content-length": "-1"}])
async def test_a_body_above_the_cap_is_refused_as_soon_as_it_shows(routed: Site, announced: dict[str, str]) -> None:
    sent, taken = await converse(routed.app, scope_of(routed.path, GOOD | announced), [b"x" * 1000] * 1000)
    assert (sent[0]["status"], taken) == (413, 5)


async def test_a_body_of_exactly_the_cap_is_taken(database: Database, routed: Site) -> None:
    sent, _ = await converse(routed.app, scope_of(routed.path), [b"x" * 1024] * 4)
    assert sent[0]["status"] == 200
    (row,) = await stored(database, routed)
    assert len(row.body) == 4096


async def test_a_body_that_does_not_arrive_has_a_deadline(routed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.1)
    sent, _ = await converse(routed.app, scope_of(routed.path), [b"x"], ends=False)
    assert sent[0]["status"] == 408


async def test_a_sender_that_hangs_up_leaves_nothing(database: Database, routed: Site) -> None:
    await converse(routed.app, scope_of(routed.path), [b"x"], ends=False, gone=True)
    assert await stored(database, routed) == []


async def test_strange_headers_never_fail(routed: Site) -> None:
    headers = {"webhook-signature": "gööd\xff", "webhook-id": "\x01\xfe", "x": "\xa0", "content-type": "\xff/\xfe"}
    sent, _ = await converse(routed.app, scope_of(routed.path, headers), [b"x"])
    assert sent[0]["status"] == 401
    sent, _ = await converse(routed.app, scope_of(routed.path, headers | GOOD), [b"x"])
    assert sent[0]["status"] == 200


# ------------------------------------------------------------------------------------------------ the database


async def test_an_address_is_remembered_for_a_while_and_then_looked_up_again(database: Database, site: Site) -> None:
    clock = [0.0]
    context = msgspec.structs.replace(CONTEXT, monotonic=lambda: clock[0])
    site.app.state.services = msgspec.structs.replace(site.services, context=context)
    site.app.state.addresses = Addresses()
    assert (await site.client.post(site.path, content=b"1", headers=GOOD)).status_code == 200
    async with database.workspace(site.source.workspace_id) as connection:
        await sources.rotate_address(connection, site.source.workspace_id, site.source.source_id, CONTEXT)
    clock[0] = 4.9
    assert (await site.client.post(site.path, content=b"2", headers=GOOD)).status_code == 200
    clock[0] = 5.1
    assert (await site.client.post(site.path, content=b"3", headers=GOOD)).status_code == 404


async def test_the_memory_of_addresses_is_bounded(
    database: Database, routed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_ADDRESSES", 2)
    known, source = Addresses(), routed.source
    for _ in range(4):
        async with database.workspace(source.workspace_id) as connection:
            address = await sources.rotate_address(connection, source.workspace_id, source.source_id, CONTEXT)
        await known.find(routed.services, address)
    assert len(known._known) == 2


async def test_a_burst_looks_its_address_up_once(routed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    look_up = webhooks._look_up

    async def counted(services: Services, address: str) -> Any:
        looked.append(address)
        return await look_up(services, address)

    monkeypatch.setattr(webhooks, "_look_up", counted)
    known, address = Addresses(), routed.path.rpartition("/")[2]
    found = await asyncio.gather(*(known.find(routed.services, address) for _ in range(40)))
    assert len(looked) == 1
    assert len({id(one) for one in found}) == 1
    with pytest.raises(NotFound):
        await known.find(routed.services, address[::-1])
    assert known._flights == {}


async def test_a_database_that_is_away_is_said_to_be(database: Database, site: Site, database_url: str) -> None:
    assert (await site.client.post(site.path, content=b"1", headers=GOOD)).status_code == 200
    name = database_url.partition("?")[0].rpartition("/")[2]
    engine = make_engine(database_url.replace(name, "no_such_database"))
    away = Lander(Database(engine), CONTEXT, SETTINGS)
    await away.start()
    site.app.state.services = msgspec.structs.replace(site.services, lander=away)
    known = await site.client.post(site.path, content=b"2", headers=GOOD)
    site.app.state.services = msgspec.structs.replace(site.services, db=Database(engine))
    site.app.state.addresses = Addresses()
    unknown = await site.client.post(site.path, content=b"2", headers=GOOD)
    for answer in (known, unknown):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["retryable"] is True
    await away.stop()
    await engine.dispose()


async def test_a_connector_that_is_not_installed_asks_the_sender_to_come_back(site: Site) -> None:
    site.app.state.services = msgspec.structs.replace(site.services, connectors={})
    site.app.state.addresses = Addresses()
    answer = await site.client.post(site.path, content=b"1", headers=GOOD)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


def test_both_routes_are_documented() -> None:
    app = FastAPI()
    app.include_router(webhooks.router)
    route = app.openapi()["paths"]["/v1/webhooks/{address}"]
    assert sorted(route) == ["get", "post"]
    assert route["post"]["requestBody"]["content"]["*/*"]["schema"] == {"type": "string", "format": "binary"}
    assert route["post"]["security"] == []


async def test_what_is_remembered_shows_no_secret(routed: Site) -> None:
    address = routed.path.rpartition("/")[2]
    found = await Addresses().find(routed.services, address)
    secret = msgspec.structs.replace(found.source, credentials={"access_token": "hush"})
    shown = repr(msgspec.structs.replace(found, source=secret))
    assert "hush" not in shown
    assert address not in shown
