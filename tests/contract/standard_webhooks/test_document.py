"""The schema for senders: what it takes the reader takes, and the examples hold to it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import STORED, BadPayload, Drop, SubjectType
from connectors.items_schema import EXAMPLES, FIELDS, MAPPINGS, TAKES
from connectors.standard_webhooks import CONNECTOR
from tests.contract.reading import drops
from tests.contract.standard_webhooks.desk import STAMP, parsed, recording

SCHEMA = CONNECTOR.schema()
VALID = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)


def single(kind: str, data: Any) -> dict[str, Any]:
    return {"type": f"tallybook.{kind}", "timestamp": STAMP, "data": data}


def batch(*items: Any) -> dict[str, Any]:
    return {"type": "tallybook.batch", "timestamp": STAMP, "data": {"items": items}}


def test_it_is_a_schema_of_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("kind", FIELDS)
def test_the_example_of_each_type_is_valid_and_read_without_a_drop(kind: str) -> None:
    for body in (single(kind, EXAMPLES[kind]), batch({"type": kind, **EXAMPLES[kind]})):
        VALID.validate(body)
        items = parsed(json.dumps(body).encode())
        assert items
        assert drops(items) == []


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_and_type_is_explained(kind: str) -> None:
    item = SCHEMA["$defs"][kind]
    assert item["description"]
    assert item["examples"] == [{"type": kind, **EXAMPLES[kind]}]
    assert set(item["properties"]) == {"type", *FIELDS[kind]}
    for name, field in item["properties"].items():
        assert name == "type" or field["description"]


@pytest.mark.parametrize("name", ["batch", "single_order", "without_time"])
def test_recordings_that_are_read_whole_are_valid(name: str) -> None:
    VALID.validate(json.loads(recording(name)))


@pytest.mark.parametrize(
    "body",
    [
        single("order", {"id": "1"}),
        single("order", {"id": "1", "at": "yesterday"}),
        single("order", {"id": "1", "at": STAMP, "value": "1,50"}),
        single("order", {"id": "1", "at": STAMP, "refund_of": "2"}),
        single("counters", {"subject": "p", "metrics": {"claps": 1}}),
        single("counters", {"subject": "p", "metrics": {"followers": 1}}),
        single("counters", {"subject": "p", "metrics": {"likes": -1}}),
        single("counters", {"subject": "p", "metrics": {}}),
        single("period", {"subject": "p", "metrics": {"likes": 1}}),
        single("period", {"subject": "p", "metrics": {"likes": 1}, "day": "2025-03-01", "start": STAMP, "end": STAMP}),
        single("subject", {"subject": ""}),
        single("subject", {"subject": 7}),
        single("subject", {"subject": "p", "url": "javascript:alert(1)"}),
        single("poll", {"subject": "p"}),
        batch({"subject": "p", "metrics": {"likes": 1}}),
        {"type": "tallybook.batch", "data": []},
        {"type": "tallybook.order"},
        [],
    ],
)
def test_what_is_wrong_is_neither_valid_nor_read_in_silence(body: Any) -> None:
    assert not VALID.is_valid(body)
    try:
        items = parsed(json.dumps(body).encode())
    except BadPayload:
        return
    assert any(isinstance(item, Drop) for item in items)


# ------------------------------------------------------------------------------------------------ valid means read

LABEL = st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=12)
INSTANT = st.sampled_from([STAMP, "2025-02-28T23:59:59.5+01:00", "1999-12-31T00:00:00-05:00"])
MICROS = st.integers(-(10**15), 10**15)
NOT_NEGATIVE = st.integers(0, 10**15)
COUNT = st.integers(0, 2**63 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "subject_type": st.sampled_from([one.value for one in SubjectType]),
    "hashtags": st.lists(LABEL, max_size=4),
    "url": LABEL.map(lambda text: f"https://example.com/{text}"),
    "value": NOT_NEGATIVE.map(lambda micros: f"{micros // 10**6}.{micros % 10**6:06}"),
    "currency": st.sampled_from(["EUR", "USD", "JPY"]),
    "days": st.integers(1, 366),
    "day": st.sampled_from(["2025-03-01", "2025-03-02", "2024-02-29"]),
    "zone": st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles"]),
    "followers_at_publish": COUNT,
    **dict.fromkeys(("paid", "check", "first_order", "cancelled"), st.booleans()),
    **dict.fromkeys(("observed_at", "at", "published_at", "removed_at"), INSTANT),
}
KINDS = {"counters": "lifetime", "levels": "level", "period": "period", "unique": "unique"}
TAKEN = {kind.value: sorted(keys) for kind, keys in TAKES.items()}


@st.composite
def valid_items(draw: st.DrawFn) -> dict[str, Any]:
    """Return an item that uses any of the fields of its type."""
    kind = draw(st.sampled_from(sorted(FIELDS)))
    left_out = {"start", "end", "kind", "metrics", "test"}
    names = [name for name in FIELDS[kind] if name not in left_out]
    item = {name: draw(VALUES.get(name, LABEL)) for name in names if draw(st.booleans())}
    needed = {"subject": LABEL} if "metrics" in FIELDS[kind] or kind == "subject" else {"id": LABEL, "at": INSTANT}
    item |= {name: draw(strategy) for name, strategy in needed.items()}
    if {"creator_handle", "creator_name"} & item.keys():
        item["creator"] = draw(LABEL)
    if kind in {"period", "withdrawal"}:
        item["day"] = draw(VALUES["day"])
    if "currency" in FIELDS[kind]:
        item["currency"] = draw(VALUES["currency"])
    if kind == "withdrawal":
        item["metrics"] = draw(st.lists(st.sampled_from(TAKEN["period"]), min_size=1, max_size=4))
    elif kind in KINDS:
        item["metrics"] = draw(numbers(KINDS[kind]))
    return {"type": kind, **item}


@st.composite
def numbers(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(TAKEN[kind]), min_size=1, max_size=4, unique=True))
    return {key: draw(number(key)) for key in keys}


def number(key: str) -> st.SearchStrategy[Any]:
    if key in {"conversions", "conversions_platform"}:
        return NOT_NEGATIVE.map(lambda micros: f"{micros // 10**6}.{micros % 10**6:06}")
    if key in {"conversion_value", "conversion_value_platform", "spend_media", "fee_creator", "cost_production"}:
        return MICROS.map(lambda micros: f"{'-' * (micros < 0)}{abs(micros) // 10**6}.{abs(micros) % 10**6:06}")
    return COUNT


@given(st.lists(valid_items(), max_size=4))
def test_what_is_valid_is_read_without_a_drop(items: list[dict[str, Any]]) -> None:
    body = batch(*items)
    VALID.validate(body)
    read = parsed(json.dumps(body, ensure_ascii=False).encode())
    assert drops(read) == []
    assert len(read) >= len(items)


def test_the_declared_metrics_are_those_of_the_language() -> None:
    mapped = {one.metric for one in MAPPINGS if one.metric}
    assert mapped == set(STORED)
