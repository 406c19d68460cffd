"""Pebble keeps the contract of Tallybook's connectors: its own tests, which know nothing of the service either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from pond import ACCOUNT, SECRET, TOKEN, Pond, Stone, pushed
from tallybook_pebble import CONNECTOR, ZONE, PebbleOptions

from connectors.contract import (
    Delivery,
    Drop,
    DropReason,
    FetchKind,
    Http,
    Item,
    Kind,
    Observation,
    RefreshHint,
    Secret,
    Source,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    WebhookRequest,
    day_window,
)
from connectors.http import PlatformHttp, new_client
from connectors.testing import Agreeing, Check, Pull, Recording, Signed, contract_suite

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
BODY, HEADERS = pushed("a1")
FLAT = SubjectRef("a1")
SOURCE = Source(
    id="src_1",
    platform="pebble",
    account=ACCOUNT,
    options=PebbleOptions(),
    credentials={"access_token": TOKEN},
    secrets=(Secret(value=SECRET),),
)
SEEN = SubjectSeen(subject=FLAT, published_at=datetime(2026, 8, 1, 9, tzinfo=UTC), title="flat & round")
COUNTED = Observation(subject=FLAT, kind=Kind.LIFETIME, metrics={"impressions": 120, "likes": 7, "shares": 0})
VISITS = Observation(
    subject=SubjectRef(ACCOUNT, SubjectType.PROFILE),
    kind=Kind.PERIOD,
    window=day_window(date(2026, 8, 14), ZONE),
    metrics={"profile_views": 31},
)


def page(name: str, *rows: Mapping[str, Any]) -> Delivery:
    body = json.dumps({name: rows, "next": None}).encode()
    return Delivery(channel="fetch", body=body, received_at=NOW, request={"page": name, "pond": ACCOUNT})


def recording(name: str, delivery: Delivery, *items: Item) -> Recording:
    return Recording(name=name, delivery=delivery, items=items)


STONE = {"id": "a1", "thrown_at": "2026-08-01T10:00:00+01:00", "text": "flat & round"}
PEBBLES = page(
    "pebbles",
    {**STONE, "sightings": 120, "splashes": 7, "ripples": 0, "skips": 5},
    {"id": "a2", "thrown_at": "2026-08-01T09:00:00Z", "splashes": -1},
    {"id": "a3", "thrown_at": "2027-08-01T09:00:00Z", "splashes": 1},
    {**STONE},
)
PUSH = Delivery(channel="webhook", body=BODY, received_at=NOW)
RECORDINGS = [
    recording(
        "pebbles",
        PEBBLES,
        SEEN,
        COUNTED,
        Drop(reason=DropReason.MALFORMED, row=2, detail="a pebble"),
        Drop(reason=DropReason.OUT_OF_RANGE, row=3, detail="thrown_at"),
        SEEN,
        Drop(reason=DropReason.NO_NUMBERS, row=4),
    ),
    recording("days", page("days", {"day": "2026-08-14", "pond_visits": 31}), VISITS),
    recording("push", PUSH, RefreshHint(subject=FLAT, reason="pushed")),
    Recording(name="nothing", delivery=Delivery(channel="fetch", body=b"[]", received_at=NOW), unreadable=True),
]
SIGNED = Signed(
    request=WebhookRequest(method="POST", headers=HEADERS, query={}, body=BODY),
    source=SOURCE,
    now=NOW,
    headers=("x-pebble-signature",),
)


def pond(later: timedelta = timedelta()) -> Pond:
    """Return a pond of five pebbles and twenty days; ``later`` some of what is old has changed."""
    stones = [Stone(f"a{n}", NOW - timedelta(days=5 * n), counts={"sightings": 100 * n}) for n in range(1, 6)]
    days = {date(2026, 8, n): n for n in range(1, 21)}
    if later:
        stones[4].counts["sightings"] = 430  # some of them were robots
        days[date(2026, 8, 13)] = 99
    return Pond(now=NOW + later, stones=stones, days=days)


def client(server: Pond) -> Http:
    return PlatformHttp(
        new_client(transport=httpx.ASGITransport(app=server)),
        CONNECTOR.base_url,
        token=TOKEN,
        now=lambda: server.now,
        uniform=lambda: 0.5,
    )


def pull(kind: FetchKind) -> Pull:
    task = Task(kind=kind.name, source=SOURCE)
    return Pull(task=task, http=lambda: client(pond()), now=NOW, changed=lambda: client(pond(kind.every)))


NAMED = tuple(SubjectRef(f"a{n}") for n in range(1, 60))
PULLS = [
    *map(pull, CONNECTOR.capabilities.fetch),
    Pull(
        name="pebbles by name",
        task=Task(kind="pebbles", source=SOURCE, subjects=NAMED),
        http=lambda: client(pond()),
        now=NOW,
    ),
]
AGREE = [Agreeing(name="a push and its page", first=PUSH, second=PEBBLES)]


@pytest.mark.parametrize(
    "check", contract_suite(CONNECTOR, RECORDINGS, signed=[SIGNED], pulls=PULLS, agree=AGREE), ids=str
)
async def test_contract(check: Check) -> None:
    await check()


async def test_a_dead_token_is_a_persons_business() -> None:
    stranger = msgspec.structs.replace(SOURCE, credentials={"access_token": "another"})
    (finding,) = await CONNECTOR.check(client(pond()), stranger)
    assert finding.ok
