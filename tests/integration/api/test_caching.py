"""Tags of answers: equal tags are equal bytes, a tag goes with what shapes the answer and with nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.access.keys import Scope
from service.api import query as asking
from service.app import openapi_document
from service.reports.query.answer import query_kpis
from tests.integration.api.clock import Clock
from tests.integration.api.furniture import OPTIONS, Things, furnish, read_all
from tests.integration.api.office import Desk, Office, open_office

SETTLED = "range=last_7d_complete&metrics=likes,cost"
RUNNING = "range=last_7d&metrics=likes,cost&granularity=day"
QUERIES = (SETTLED, RUNNING, "range=lifetime", "range=last_24h", "compare=previous_period", SETTLED + "&format=csv")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def office(database_url: str, clock: Clock) -> AsyncIterator[Office]:
    async with open_office(database_url, clock.context) as opened:
        yield opened


@pytest_asyncio.fixture
async def things(office: Office, desk: Desk) -> Things:
    return await furnish(office, desk)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the answers that were computed."""
    found: list[str] = []

    async def counting(*arguments: Any) -> Any:
        found.append("asked")
        return await query_kpis(*arguments)

    monkeypatch.setattr(asking, "answer_query", counting)
    return found


async def ask(desk: Desk, things: Things, query: str, tag: str | None = None) -> httpx.Response:
    headers = {"if-none-match": tag} if tag is not None else {}
    return await desk.ask("GET", f"/v1/campaigns/{things.campaign}/kpis?{query}", headers=headers)


async def upload(office: Office, desk: Desk, source: str, content: bytes) -> None:
    sent = await desk.ask("POST", f"/v1/sources/{source}/uploads?filename=more.csv", content=content)
    assert sent.status_code == 202, sent.text
    await read_all(office)


@pytest.mark.parametrize("query", QUERIES)
async def test_an_answer_that_stands_is_304_without_being_computed(
    desk: Desk, things: Things, asked: list[str], query: str
) -> None:
    first = await ask(desk, things, query)
    tag = first.headers["etag"]
    assert first.status_code == 200
    assert tag.startswith('"')
    assert asked == ["asked"]
    for given in (tag, f'"x", {tag}', f"W/{tag}"):
        again = await ask(desk, things, query, given)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert asked == ["asked"]
    others: tuple[str | None, ...] = (None, '"x"', "*", "nonsense")
    for other in others:
        full = await ask(desk, things, query, other)
        assert (full.status_code, full.headers["etag"], full.content) == (200, tag, first.content)


async def test_equal_tags_are_equal_bytes_while_the_clock_goes_on(desk: Desk, things: Things, clock: Clock) -> None:
    met: dict[str, bytes] = {}
    tags: dict[str, set[str]] = {query: set() for query in QUERIES}
    for _ in range(12):
        for query in QUERIES:
            answer = await ask(desk, things, query)
            assert met.setdefault(answer.headers["etag"], answer.content) == answer.content
            tags[query].add(answer.headers["etag"])
        clock.move(seconds=5)
    assert len(tags[SETTLED]) == 1
    assert len(tags[RUNNING]) == 4


async def test_a_day_later_last_week_is_another(desk: Desk, things: Things, clock: Clock) -> None:
    tag = (await ask(desk, things, SETTLED)).headers["etag"]
    clock.move(hours=3)
    assert (await ask(desk, things, SETTLED, tag)).status_code == 304
    clock.move(hours=9)
    assert (await ask(desk, things, SETTLED, tag)).status_code == 200


async def test_a_posting_ends_the_tags_of_the_campaigns_that_it_shapes(
    office: Office, desk: Desk, things: Things
) -> None:
    other = await desk.post("/v1/sources", {"connector": "files", "name": "O", "platform": "other", "options": OPTIONS})
    tag = (await ask(desk, things, SETTLED)).headers["etag"]
    before = await desk.get(f"/v1/campaigns/{things.campaign}/kpis?{SETTLED}")
    await upload(office, desk, other["id"], b"Id,By,Likes,Shown\nz1,eve,9,900\n")
    assert (await ask(desk, things, SETTLED, tag)).status_code == 304
    assert await desk.get(f"/v1/campaigns/{things.campaign}/kpis?{SETTLED}") == before
    await upload(office, desk, things.source, b"Id,By,Likes,Shown\np1,ada,5,120\n")
    fresh = await ask(desk, things, SETTLED, tag)
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != tag


async def test_an_explanation_stands_while_nothing_is_posted(office: Office, desk: Desk, things: Things) -> None:
    path = f"/v1/campaigns/{things.campaign}/kpis/likes/explain?from=2020-06-01&to=2020-06-20"
    first = await desk.ask("GET", path)
    tag = {"if-none-match": first.headers["etag"]}
    assert first.headers["cache-control"] == "private, max-age=300"
    assert (await desk.ask("GET", path, headers=tag)).status_code == 304
    other = await desk.post("/v1/sources", {"connector": "files", "name": "O", "platform": "other", "options": OPTIONS})
    assert (await desk.ask("GET", path, headers=tag)).status_code == 304
    await upload(office, desk, other["id"], b"Id,By,Likes,Shown\nz1,eve,9,900\n")
    assert (await desk.ask("GET", path, headers=tag)).status_code == 200
    running = await desk.ask("GET", path.partition("?")[0])
    assert running.headers["cache-control"] == "private, max-age=15"


async def test_no_route_says_two_things_under_one_tag(desk: Desk, things: Things, clock: Clock) -> None:
    documented = openapi_document()["paths"].items()
    paths = [path for path, operations in documented if "304" in operations.get("get", {}).get("responses", {})]
    body = {"name": "Second", "kind": "broad", "starts": "2026-06-01", "ends": "2026-07-15"}
    other = (await desk.post("/v1/campaigns", body))["id"]
    named = {"{campaign}": things.campaign, "{metric}": "likes", "{dimension}": "platform", "{other}": other}
    met: dict[tuple[str, str], bytes] = {}
    for passed in (7, 3600, 0):
        for path in paths:
            address = path
            for place, value in named.items():
                address = address.replace(place, value)
            for query in ("", "?from=2020-06-01&to=2020-06-20"):
                answer = await desk.ask("GET", address + query)
                if "etag" in answer.headers:
                    assert met.setdefault((path, answer.headers["etag"]), answer.content) == answer.content, (
                        path + query
                    )
        clock.move(seconds=passed)
    assert len(met) > 2 * len(paths)


async def test_a_new_member_and_new_rules_end_a_tag(office: Office, desk: Desk, things: Things) -> None:
    tag = (await ask(desk, things, SETTLED)).headers["etag"]
    await upload(office, desk, things.source, b"Id,By,Likes,Shown\np9,ada,,\n")
    joined = await ask(desk, things, SETTLED, tag)
    assert joined.status_code == 200
    await desk.patch(f"/v1/campaigns/{things.campaign}", {"rules": [{"platform": "nowhere"}]})
    ruled = await ask(desk, things, SETTLED, joined.headers["etag"])
    assert ruled.status_code == 200
    assert ruled.headers["etag"] not in {tag, joined.headers["etag"]}


async def test_followers_of_a_profile_end_the_tags_of_all(office: Office, desk: Desk, things: Things) -> None:
    options = OPTIONS | {"columns": {"followers": "Fans"}, "subject_type": "profile"}
    other = await desk.post("/v1/sources", {"connector": "files", "name": "O", "platform": "other", "options": options})
    tag = (await ask(desk, things, SETTLED)).headers["etag"]
    await upload(office, desk, other["id"], b"Id,By,Fans\nada,ada,900\n")
    assert (await ask(desk, things, SETTLED, tag)).status_code == 200


async def test_what_a_caller_may_not_see_has_a_tag_of_its_own(office: Office, desk: Desk, things: Things) -> None:
    poor = await office.caller(desk, [Scope.KPIS_READ])
    rich = await office.caller(desk, [Scope.KPIS_READ, Scope.COSTS_READ])
    for query in (SETTLED, SETTLED + "&format=csv", SETTLED + "&format=ndjson"):
        tags = {(await ask(one, things, query)).headers["etag"] for one in (desk, poor, rich)}
        assert len(tags) == 3
        hidden = await ask(poor, things, query)
        assert "not_permitted" in hidden.text
        assert "not_permitted" not in (await ask(rich, things, query)).text
        for tag in tags - {hidden.headers["etag"]}:
            assert (await ask(poor, things, query, tag)).status_code == 200


async def test_a_revoked_key_gets_no_304(office: Office, desk: Desk, things: Things) -> None:
    made = await desk.post("/v1/keys", {"name": "short", "scopes": ["kpis:read"]})
    reader = Desk(office.app, made["token"], desk.workspace)
    tag = (await ask(reader, things, SETTLED)).headers["etag"]
    assert (await ask(reader, things, SETTLED, tag)).status_code == 304
    await desk.ask("DELETE", f"/v1/keys/{made['id']}")
    assert (await ask(reader, things, SETTLED, tag)).status_code == 401


async def test_a_key_that_ends_gets_no_304(office: Office, desk: Desk, things: Things, clock: Clock) -> None:
    ends = {"name": "short", "scopes": ["kpis:read"], "expires_at": clock.said(minutes=5)}
    reader = Desk(office.app, (await desk.post("/v1/keys", ends))["token"], desk.workspace)
    tag = (await ask(reader, things, SETTLED)).headers["etag"]
    clock.move(minutes=4)
    assert (await ask(reader, things, SETTLED, tag)).status_code == 304
    clock.move(minutes=1)
    assert (await ask(reader, things, SETTLED, tag)).status_code == 401


async def test_another_workspace_gets_404_for_any_tag(office: Office, desk: Desk, things: Things) -> None:
    tag = (await ask(desk, things, SETTLED)).headers["etag"]
    other = await office.workspace("Other")
    assert (await ask(other, things, SETTLED, tag)).status_code == 404


async def test_how_long_an_answer_lasts(desk: Desk, things: Things, clock: Clock) -> None:
    assert (await ask(desk, things, SETTLED)).headers["cache-control"] == "private, max-age=300"
    assert (await ask(desk, things, RUNNING)).headers["cache-control"] == "private, max-age=15"
    settled = await ask(desk, things, SETTLED)
    assert settled.headers["vary"] == "Authorization, Accept"
    clock.move(minutes=2)
    pinned = await ask(desk, things, f"{RUNNING}&as_of={settled.json()['meta']['as_of']}")
    assert pinned.headers["cache-control"] == "private, max-age=31536000, immutable"


async def test_a_pinned_answer_keeps_its_tag(office: Office, desk: Desk, things: Things, clock: Clock) -> None:
    as_of = (await ask(desk, things, SETTLED)).json()["meta"]["as_of"]
    query = f"{RUNNING}&as_of={as_of}"
    first = await ask(desk, things, query)
    clock.move(days=2)
    await upload(office, desk, things.source, b"Id,By,Likes,Shown\np1,ada,5,120\n")
    assert (await ask(desk, things, query)).content == first.content
    assert (await ask(desk, things, query, first.headers["etag"])).status_code == 304
    clock.move(seconds=40)
    for wrong, status in (("1999-01-01T00:00:00Z", 410), (clock.said(days=9), 422), (clock.said(seconds=-20), 503)):
        assert (await ask(desk, things, f"{RUNNING}&as_of={wrong}", first.headers["etag"])).status_code == status


async def test_the_answer_names_the_posting_that_shaped_it(office: Office, desk: Desk, things: Things) -> None:
    before = (await ask(desk, things, "range=lifetime&metrics=likes")).json()["meta"]
    other = await desk.post("/v1/sources", {"connector": "files", "name": "O", "platform": "other", "options": OPTIONS})
    await upload(office, desk, other["id"], b"Id,By,Likes,Shown\nz1,eve,9,900\n")
    after = (await ask(desk, things, "range=lifetime&metrics=likes")).json()
    assert (after["meta"]["as_of"], after["meta"]["posting"]) == (before["as_of"], before["posting"])
    proof = await desk.get(after["totals"]["likes"]["provenance"])
    assert proof["value"]["value"] == after["totals"]["likes"]["value"]
