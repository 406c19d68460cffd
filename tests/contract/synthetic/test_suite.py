"""The contract's own suite over pages and messages of the simulated platform, and what is wrong with single rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    FetchKind,
    Http,
    Item,
    NotSupported,
    Observation,
    Response,
    Secret,
    Source,
    SubjectRef,
    SubjectSeen,
    Task,
    TryLater,
    WebhookRequest,
    singly,
)
from connectors.http import PlatformHttp, new_client
from connectors.items import Defaults
from connectors.signatures import TOLERANCE
from connectors.synthetic import CONNECTOR
from connectors.synthetic_platform import Platform, webhooks
from connectors.synthetic_reading import MEASURED, READERS, measured, read_page
from connectors.synthetic_world import World
from connectors.testing import Check, Pull, Recording, Signed, contract_suite
from tests.contract.synthetic.load import load_pages

START = datetime(2026, 5, 1, tzinfo=UTC)
NOW = START + timedelta(days=41, hours=7)
WORLD = World(7, START)
SECRET = "whsec_" + "c2ltdWxhdGVkLXNlY3JldC1mb3ItdGVzdHM="
SOURCE = Source(
    id="src",
    platform="synthetic",
    account="",
    options=Defaults(),
    credentials={"access_token": "right-token"},
    secrets=(Secret(value=SECRET),),
)
ROWS = 4


def http(at: datetime = NOW) -> PlatformHttp:
    transport = httpx.ASGITransport(app=Platform(WORLD, lambda: at, "right-token"))
    client = new_client(transport=transport)
    return PlatformHttp(client, "http://simulated.test", token="right-token", now=lambda: at, uniform=lambda: 0.5)


def page(name: str, *rows: object, at: str = "2026-06-11T07:00:00Z", zone: str = "UTC") -> Delivery:
    body = msgspec.json.encode({"at": at, "zone": zone, "data": rows, "next": None})
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"list": name})


def recorded(name: str) -> Delivery:
    """Return the first rows of a list as the platform answers it."""
    scope = {
        "headers": [(b"authorization", b"Bearer right-token")],
        "query_string": b"since=2026-06-08",
        "path": f"/{name}",
    }
    status, document = Platform(WORLD, lambda: NOW, "right-token").answer(scope)
    assert status == 200
    return page(name, *document["data"][:ROWS], at=document["at"], zone=document["zone"])


def loaded(rows: int) -> Delivery:
    body = next(load_pages(3, rows, ("likes", "views"), rows, NOW))
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"list": "load"})


HEADERS, MESSAGE = next(iter(webhooks(WORLD, NOW - timedelta(hours=6), NOW, SECRET, NOW)))
RECORDINGS = [
    *(Recording(name=name, delivery=recorded(name)) for name in ("posts", "profiles", "metrics", "daily")),
    Recording(name="load", delivery=loaded(5)),
    Recording(name="sales", delivery=Delivery(channel="webhook", body=MESSAGE, received_at=NOW)),
    Recording(name="unknown list", delivery=page("nothing"), unreadable=True),
    Recording(name="future", delivery=page("metrics", at="2026-06-11T07:05:01Z"), unreadable=True),
    Recording(name="long ago", delivery=page("metrics", at="1989-12-31T23:59:59Z"), unreadable=True),
    Recording(name="no zone", delivery=page("metrics", zone="Europe/Atlantis"), unreadable=True),
    Recording(name="future load", delivery=page("load", at="2026-06-11T07:05:01Z"), unreadable=True),
]
SIGNED = Signed(
    request=WebhookRequest(method="POST", headers=HEADERS, query={}, body=MESSAGE),
    source=SOURCE,
    now=NOW,
    headers=("webhook-id", "webhook-timestamp", "webhook-signature"),
    tolerance=TOLERANCE,
)


def pull(kind: FetchKind) -> Pull:
    """Return a task of a kind. This platform restates by itself: two days later money is corrected, counters grow."""
    later = NOW + timedelta(days=2)
    return Pull(
        task=Task(kind=kind.name, source=SOURCE),
        http=http,
        now=NOW,
        changed=(lambda: http(later)) if kind.name != "posts" else None,
        later=later,
    )


PULLS = [pull(kind) for kind in CONNECTOR.capabilities.fetch]


@pytest.mark.parametrize("check", contract_suite(CONNECTOR, RECORDINGS, signed=[SIGNED], pulls=PULLS), ids=str)
async def test_contract(check: Check) -> None:
    await check()


# ------------------------------------------------------------------------------------------------ single rows


def read(delivery: Delivery) -> list[Item]:
    return list(singly(CONNECTOR.parse(delivery, Defaults())))


def drops(items: list[Item]) -> list[tuple[str, int | None, str]]:
    return [(item.reason.value, item.row, item.detail) for item in items if isinstance(item, Drop)]


def numbers(items: Iterable[Item]) -> list[Mapping[str, int]]:
    return [item.metrics for item in items if isinstance(item, Observation)]


def test_a_bad_number_costs_neither_its_row_nor_the_next() -> None:
    items = read(page("metrics", {"id": "a", "likes": "7", "views": 5, "reach": -1}, {"id": "b", "likes": 0}))
    assert numbers(items) == [{"views": 5}, {"likes": 0}]
    assert drops(items) == [("bad_number", 1, "likes"), ("out_of_range", 1, "reach")]


def test_reach_stands_without_counters() -> None:
    assert numbers(read(page("metrics", {"id": "a", "reach": 9}))) == [{"reach": 9}]


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("metrics", 7, ("malformed", 1, "a row is an object")),
        ("metrics", {"likes": 7}, ("missing_id", 1, "id")),
        ("metrics", {"id": 7, "likes": 7}, ("malformed", 1, "id")),
        ("metrics", {"id": "a", "likes": None}, ("no_numbers", 1, "no number is left")),
        ("daily", {"id": "a", "day": "2026-06-01", "spend_media": "1.00"}, ("bad_currency", 1, "currency")),
        ("daily", {"id": "a", "currency": "EUR", "spend_media": "1.00"}, ("missing_time", 1, "day")),
        ("daily", {"id": "a", "day": "2026-06-13", "currency": "EUR", "fee_creator": 1}, ("future_time", 1, "day")),
        ("daily", {"id": "a", "day": "2026-06-01", "currency": "EUR"}, ("no_numbers", 1, "no number is left")),
        ("load", {"id": "a", "day": "2026-06-01"}, ("malformed", 1, "m")),
        ("load", {"id": "a", "day": "2026-06-01", "m": {"likes": None}}, ("no_numbers", 1, "no number is left")),
    ],
)
def test_a_row_without_a_use_says_why(name: str, row: object, said: tuple[str, int, str]) -> None:
    items = read(page(name, row))
    assert (numbers(items), drops(items)) == ([], [said])


def test_a_bad_fact_costs_the_fact() -> None:
    (post, *others) = read(page("posts", {"id": "a", "title": "t", "url": "javascript:x", "followers": -1}))
    assert isinstance(post, SubjectSeen)
    assert (post.subject, post.title, post.url, post.followers_at_publish) == (SubjectRef("a"), "t", None, None)
    assert drops(others) == [("malformed", 1, "url"), ("out_of_range", 1, "followers")]


# ------------------------------------------------------------------------------------------------ measuring

ODD: st.SearchStrategy[Any] = st.sampled_from([None, True, -1, 1.0, 1.5, "1", 2**63, 2**80, [], {}])
KEYS = st.sampled_from([*MEASURED[:4], "spend_media", "reach", "engagements", "fancy"])
DAYS = st.sampled_from(["2026-06-10", "2026-06-09", "2026-06-14", "1989-01-01", "2026-02-30", "", None])
ROW = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "", "x\x00", "x\x7f", "é", "n" * 257, 7]),
        "day": DAYS,
        "m": st.dictionaries(KEYS, st.integers(0, 2**63 - 1) | ODD, max_size=3),
        "days": st.sampled_from([2, 0]),
        "zone": st.sampled_from(["Europe/Berlin", "nowhere"]),
    },
)
PLAIN = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b"]),
        "day": st.sampled_from(["2026-06-10", "2026-03-29"]),
        "m": st.dictionaries(st.sampled_from(MEASURED), st.integers(0, 2**63 - 1), min_size=1, max_size=3),
    }
)


NEARLY = st.builds(lambda plain, odd: plain | odd, PLAIN, ROW)


@given(st.lists(PLAIN | NEARLY | ROW, max_size=4), st.sampled_from(["UTC", "Europe/Berlin"]))
@example([{"id": "a", "day": "2026-06-10", "m": {"likes": 1}, "zone": "Europe/Berlin"}], "UTC")
@example([{"id": "x\x7f", "day": "2026-06-10", "m": {"likes": 1}}], "UTC")
@example([{"id": "x\x00", "day": "2026-06-10", "m": {"likes": 1}}], "UTC")
def test_the_quick_way_reads_what_the_slow_way_reads(rows: list[dict[str, Any]], zone: str) -> None:
    delivery = page("load", *rows, zone=zone)
    quick = measured(delivery)
    assert quick is None or list(singly(quick)) == list(read_page(delivery, READERS["load"]))


@given(st.lists(PLAIN, min_size=1, max_size=4))
def test_a_plain_page_is_read_the_quick_way(rows: list[dict[str, Any]]) -> None:
    quick = measured(page("load", *rows))
    assert quick is not None
    assert numbers(singly(quick)) == [row["m"] for row in rows]


# ------------------------------------------------------------------------------------------------ fetching


class Turning:
    """A platform whose every answer is the same, and which is asked once."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self._answers = iter([Response(status=status, headers={}, body=body, received_at=NOW)])

    async def get(self, path: str, params: Mapping[str, str] | None = None, **more: object) -> Response:
        return next(self._answers)

    async def post(
        self, path: str, params: Mapping[str, str] | None = None, body: bytes = b"", **more: object
    ) -> Response:
        raise AssertionError(path)

    async def put(self, path: str, params: object = None, body: bytes = b"", **more: object) -> Response:
        raise NotImplementedError

    def at(self, host: str) -> Http:
        raise NotImplementedError


@pytest.mark.parametrize(
    "answer",
    [
        Turning(b'{"data": [], "next": "50"}'),
        Turning(b'{"data": [], "next": "elsewhere"}'),
        Turning(b'{"data": [], "ne'),
        Turning(b"{}", status=404),
    ],
    ids=["cursor turns", "cursor is no number", "cut off", "not found"],
)
async def test_an_answer_that_leads_nowhere_ends_the_fetch(answer: Turning) -> None:
    task = Task(kind="metrics", source=SOURCE, cursor={"list": "metrics", "cursor": "50"})
    with pytest.raises(TryLater):
        [one async for one in CONNECTOR.fetch(answer, task, NOW)]


async def test_an_unknown_kind_is_not_supported() -> None:
    with pytest.raises(NotSupported):
        [one async for one in CONNECTOR.fetch(http(), Task(kind="stories", source=SOURCE), NOW)]


def test_a_page_is_refused_in_one_line() -> None:
    with pytest.raises(BadPayload, match="the time of the page is refused: future_time"):
        read(page("metrics", at="2027-01-01T00:00:00Z"))
