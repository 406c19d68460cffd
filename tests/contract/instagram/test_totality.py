"""Whatever a body holds, reading it gives items or one clear refusal, and always the same ones."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import INT64_MAX, STORED, BadPayload, Delivery, Item, Kind, Observation, SubjectSeen
from connectors.instagram import CONNECTOR
from connectors.instagram_reading import READERS
from tests.contract.instagram.desk import NOW, OPTIONS, RECORDINGS
from tests.fakes.graph import escaped
from tests.fakes.instagram import ACCOUNT, STORY, change, flat, messaging, push

REQUEST = {"account": ACCOUNT, "media_id": "1", "media_product_type": "REELS", "day": "2026-08-13"}
DECLARED = {mapping.metric for mapping in CONNECTOR.metrics}
NAMES = [path.stem for path in sorted(RECORDINGS.glob("*.json"))]
BODIES = [
    *((RECORDINGS / f"{name}.json").read_bytes() for name in NAMES),
    escaped(push(change("story_insights", STORY), flat("comments", {"media": {"id": "5"}}), messaging())),
]
PAGES = ["", *READERS]


def deliveries(body: bytes) -> list[Delivery]:
    """Return the body as a push and as each page."""
    pages = [
        Delivery(channel="fetch", body=body, received_at=NOW, request={**REQUEST, "page": page}) for page in READERS
    ]
    return [Delivery(channel="webhook", body=body, received_at=NOW), *pages]


def require_total(body: bytes, page: str | None = None) -> None:
    """Hold the readings of a body to what must hold: as every page, or as ``page`` alone."""
    for delivery in deliveries(body)[slice(None) if page is None else slice(PAGES.index(page), PAGES.index(page) + 1)]:
        first = outcome(delivery)
        assert first == outcome(delivery)
        for item in first if isinstance(first, list) else []:
            require_sound(item)


def outcome(delivery: Delivery) -> list[Item] | str:
    try:
        return list(CONNECTOR.parse(delivery, OPTIONS))
    except BadPayload as error:
        return str(error)


def require_sound(item: Item) -> None:
    if isinstance(item, Observation):
        assert item.metrics
        assert set(item.metrics) <= DECLARED & set(STORED)
        assert all(type(value) is int and 0 <= value <= INT64_MAX for value in item.metrics.values())
        assert item.window is not None or item.kind is not Kind.PERIOD
        assert item.observed_at is None or item.observed_at <= NOW + timedelta(minutes=5)
    if isinstance(item, Observation | SubjectSeen):
        assert 0 < len(item.subject.external_id) <= 256
        instants = [item.observed_at, getattr(item, "published_at", None)]
        assert all(at is None or at.utcoffset() == timedelta(0) for at in instants)
        assert "\x00" not in repr(item)


@pytest.mark.parametrize("index", range(len(BODIES)))
def test_every_truncation(index: int) -> None:
    for length in range(len(BODIES[index])):
        require_total(BODIES[index][:length])


@pytest.mark.parametrize("index", range(len(BODIES)))
def test_flipped_bits(index: int) -> None:
    """Every byte as the page that the body is; every seventh as any other page, whose reader knows little of it."""
    body = BODIES[index]
    page = page_of(NAMES[index]) if index < len(NAMES) else ""
    for at in range(len(body)):
        flipped = body[:at] + bytes([body[at] ^ (1 << at % 8)]) + body[at + 1 :]
        require_total(flipped, None if at % 7 == 0 else page)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        [2**63, -(2**63), 2**80, -1, "2026-08-13T08:25:28+0000", "9999-12-31T23:59:59-1400", "0001-01-01T00:00:00+1400"]
    ),
    st.just([]),
    st.just({}),
    st.just({"value": {"value": {}}}),
    st.lists(st.integers(), max_size=2),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a recording in which some values are others."""
    value = json.loads(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(1, 4))):
        places = every_place(value)
        holder, key = places[draw(st.integers(0, 10_000)) % len(places)]
        holder[key] = copy.deepcopy(draw(ODD))
    return json.dumps(value).encode()


def every_place(value: Any) -> list[tuple[Any, Any]]:
    """Return every (holder, key) within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, part in inner:
        found += [(value, key), *every_place(part)]
    return found


@given(mutated())
def test_other_values(body: bytes) -> None:
    require_total(body)


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    require_total(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=20))
def test_any_json(value: Any) -> None:
    require_total(json.dumps(value).encode())


@pytest.mark.parametrize("depth", [500, 5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"data":[', '{"data":[{"total_value":', '{"entry":['])
def test_deep_nesting(opening: str, depth: int) -> None:
    closing = opening[::-1].translate(str.maketrans("[{", "]}", '"dat:_ovluenry'))
    require_total((opening * depth).encode())
    require_total((opening * depth + "1" + closing * depth).encode())


def test_the_recordings_are_read_without_a_surprise() -> None:
    for path in sorted(RECORDINGS.glob("*.json")):
        assert not isinstance(outcome(deliveries(path.read_bytes())[PAGES.index(page_of(path.stem))]), str)


def page_of(name: str) -> str:
    """Return the page that a recording is; empty for a push."""
    known = {
        "media_listing": "media",
        "media_insights_reel": "media_insights",
        "media_insights_legacy": "media_insights",
        "error_object_missing": "media_insights",
        "user_insights_day": "account_series",
        "user_insights_total_value_breakdown": "account_totals",
        "story_insights": "",
        "comment_escaped": "",
    }
    return known.get(name, name)
