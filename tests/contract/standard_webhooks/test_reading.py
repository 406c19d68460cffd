"""What bodies say: expected items are written by hand from the recordings."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors import items as items_language
from connectors.contract import (
    BadPayload,
    Conversion,
    CreatorSeen,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    RefreshHint,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Touchpoint,
    Window,
    Withdrawal,
)
from connectors.items import Defaults
from tests.contract.reading import drops
from tests.contract.standard_webhooks.desk import NOW, STAMP, batch, metrics, one, parsed, recording

POST = SubjectRef("post-17", SubjectType.POST)
SHOP = SubjectRef("shop", SubjectType.SHOP)
ANA = SubjectRef("ana", SubjectType.PROFILE)


def day(number: int, month: int = 3, days: int = 1) -> Window:
    """Return days of Berlin in winter."""
    first = date(2025, month, number)
    start = datetime(2025, month, number, tzinfo=UTC) - timedelta(hours=1)
    return Window(start=start, end=start + timedelta(days=days), zone="Europe/Berlin", day=first, days=days)


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2025, 3, 2, hour, minute, second, tzinfo=UTC)


SUBJECT = SubjectSeen(
    subject=POST,
    observed_at=NOW,
    published_at=datetime(2025, 3, 1, 17, tzinfo=UTC),
    title="Fünf Wege ☕",
    url="https://example.com/p/17",
    content_type="video",
    hashtags=("springbrew", "coffee"),
    creator="ana",
    followers_at_publish=8200,
    platform_campaign="c-9",
    utm_campaign="spring-brew",
    utm_source="ana",
    utm_medium="social",
    promo_code="ANA10",
    paid=False,
)
TOTALS: list[Item] = [
    Observation(
        subject=POST,
        kind=Kind.LIFETIME,
        metrics={"impressions": 18_250, "likes": 940, "watch_time": 61_000},
        observed_at=NOW,
        paid=False,
    ),
    Observation(subject=ANA, kind=Kind.LEVEL, metrics={"followers": 8_312}, observed_at=at(11)),
    Observation(
        subject=POST,
        kind=Kind.PERIOD,
        metrics={"spend_media": 41_200_000},
        observed_at=NOW,
        window=day(1),
        currency="EUR",
    ),
    Observation(subject=POST, kind=Kind.PERIOD, metrics={"sessions": 205}, observed_at=NOW, window=day(1)),
    Observation(
        subject=POST,
        kind=Kind.PERIOD,
        metrics={"conversions": 2_500_000},
        observed_at=NOW,
        window=day(1),
        goal="newsletter",
    ),
    Observation(
        subject=POST,
        kind=Kind.PERIOD,
        metrics={"conversion_value": 99_900_000},
        observed_at=NOW,
        window=day(1),
        currency="EUR",
        goal="newsletter",
    ),
    Observation(
        subject=SHOP,
        kind=Kind.PERIOD,
        metrics={"sessions": 31},
        observed_at=NOW,
        window=Window(start=at(10), end=at(11), zone="UTC"),
    ),
    Observation(subject=POST, kind=Kind.UNIQUE, metrics={"reach": 12_100}, observed_at=NOW),
    Observation(
        subject=POST,
        kind=Kind.UNIQUE,
        metrics={"reach": 4_100},
        observed_at=NOW,
        scope="followers",
        window=Window(
            start=datetime(2025, 2, 24, tzinfo=UTC), end=datetime(2025, 3, 3, tzinfo=UTC), day=date(2025, 2, 24), days=7
        ),
    ),
]
EVENTS: list[Item] = [
    Touchpoint(id="clk-501", at=at(17, 12, 9), subject=POST, click_id="x1", customer="c-77", observed_at=NOW),
    Touchpoint(id="v-1", at=at(17, 12), kind="view", utm_campaign="spring-brew", observed_at=NOW),
    Conversion(id="lead-9", at=at(17, 14), goal="newsletter", customer="c-77", observed_at=NOW),
    Conversion(
        id="ord-1001",
        at=at(17, 20, 41),
        kind="order",
        value=54_900_000,
        currency="EUR",
        promo_code="ANA10",
        observed_at=NOW,
    ),
    Conversion(
        id="ref-12",
        at=at(17, 55),
        kind="refund",
        value=20_000_000,
        currency="EUR",
        refund_of="ord-1001",
        observed_at=NOW,
    ),
]
WITHDRAWALS: list[Item] = [
    Withdrawal(
        subject=POST,
        kind=Kind.PERIOD,
        window=day(28, 2),
        metrics=("spend_media",),
        observed_at=NOW,
        currency="EUR",
    ),
    Withdrawal(subject=POST, kind=Kind.PERIOD, window=day(28, 2), metrics=("sessions",), observed_at=NOW),
]


def test_every_item_type_is_read() -> None:
    creator = CreatorSeen(external_id="ana", observed_at=NOW, handle="@ana.brews", name="Ana B.")
    assert parsed(recording("batch")) == [SUBJECT, creator, *TOTALS, *EVENTS, *WITHDRAWALS]


def test_a_bad_item_is_a_drop_and_its_neighbours_count() -> None:
    items = parsed(recording("bad_neighbours"))
    assert metrics(items) == [{"comments": 3}, {"likes": 4}]
    (seen,) = [item for item in items if isinstance(item, SubjectSeen)]
    assert (seen.subject.external_id, seen.title, seen.url, seen.hashtags) == ("post-2", "kept", None, None)
    found = {(item.row, item.reason.value, item.detail) for item in items if isinstance(item, Drop)}
    assert found == {
        (1, "out_of_range", "likes"),
        (1, "out_of_range", "views"),
        (1, "bad_number", "shares"),
        (1, "bad_number", "saves"),
        (1, "bad_number", "impressions"),
        (1, "unknown_metric", "claps"),
        (1, "unknown_metric", "engagements is summed from its parts"),
        (1, "not_mapped", "followers does not go with lifetime"),
        (2, "malformed", "an item is an object"),
        (3, "missing_id", "subject"),
        (4, "unknown_type", "type"),
        (5, "future_time", "at"),
        (6, "bad_time", "at"),
        (7, "bad_number", "value"),
        (8, "bad_currency", "currency"),
        (9, "test_event", "test"),
        (10, "bad_time", "day"),
        (11, "bad_time", "zone"),
        (12, "missing_time", "day"),
        (13, "no_numbers", "metrics"),
        (14, "bad_time", "published_at"),
        (14, "malformed", "url"),
        (14, "malformed", "hashtags"),
        (14, "not_mapped", "colour"),
    }


def test_one_item_stands_in_the_envelope_alone() -> None:
    assert parsed(recording("single_order")) == [
        Conversion(
            id="ord-1002",
            at=at(17, 20, 41),
            kind="order",
            value=12_345_678,
            currency="USD",
            subject=POST,
            customer="c-78",
            observed_at=datetime(2025, 3, 2, 17, 20, 42, 500_000, tzinfo=UTC),
        )
    ]


def test_a_total_without_a_time_is_a_hint_and_an_event_has_its_own() -> None:
    items = parsed(recording("without_time"))
    assert [type(item) for item in items] == [RefreshHint, Observation, RefreshHint, RefreshHint, Touchpoint]
    assert isinstance(items[1], Observation)
    assert items[1].observed_at == at(17, 59)


def test_an_event_of_another_vocabulary_is_a_drop() -> None:
    assert parsed(recording("other_event")) == [Drop(reason=DropReason.UNKNOWN_TYPE, row=1, detail="type")]


# ------------------------------------------------------------------------------------------------ series


def test_a_count_stands_in_the_same_series_with_money_beside_it_and_without() -> None:
    alone = {"type": "period", "subject": "p", "day": "2025-03-01", "metrics": {"sessions": 5}}
    beside = {**alone, "metrics": {"sessions": 5, "spend_media": "1"}, "currency": "EUR", "goal": "lead"}
    (first,) = batch(alone)
    assert first in batch(beside)
    taken_back = {"type": "withdrawal", "subject": "p", "day": "2025-03-01", "metrics": ["sessions"]}
    (bare,) = batch(taken_back)
    assert bare in batch({**taken_back, "metrics": ["spend_media", "sessions"], "currency": "EUR"})


def test_a_window_has_one_name_however_it_is_said() -> None:
    common = {"type": "period", "subject": "p", "zone": "Europe/Berlin", "metrics": {"sessions": 5}}
    by_day = batch({**common, "day": "2025-02-24", "days": 6})
    by_instants = batch({**common, "start": "2025-02-24T00:00:00+01:00", "end": "2025-03-01T23:00:00Z"})
    assert by_day == by_instants


def test_defaults_of_the_source_stand_in_for_what_an_item_does_not_say() -> None:
    options = Defaults(currency="EUR", zone="Europe/Berlin")
    item = {"type": "period", "subject": "p", "day": "2025-03-01", "metrics": {"spend_media": "1.5"}}
    (read,) = batch(item, options=options)
    assert isinstance(read, Observation)
    assert (read.currency, read.window) == ("EUR", day(1))
    assert drops(batch(item)) == [("bad_currency", "spend_media"), ("no_numbers", "metrics")]


@pytest.mark.parametrize("wrong", [{"currency": "eur"}, {"currency": "EURO"}, {"zone": "Mars/Base"}, {"zone": ""}])
def test_wrong_defaults_are_refused_at_set_up(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Defaults(**wrong)


# ------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2025-03-02T18:05:00Z", None),
        ("2025-03-02T19:05:00+0100", None),
        ("2025-03-02T18:05:01Z", "future_time"),
        ("1989-12-31T23:59:59Z", "bad_time"),
        ("1990-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", "bad_time"),
        ("9999-12-31T23:59:59-14:00", "bad_time"),
        ("2025-03-02T17:00:00", "bad_time"),
        ("2025-03-02", "bad_time"),
        ("yesterday", "bad_time"),
        ("", "bad_time"),
        (1_740_938_400, "bad_time"),
        (True, "bad_time"),
        (None, "missing_time"),
    ],
)
def test_the_times_that_are_taken(text: object, reason: str | None) -> None:
    assert drops(batch({"type": "click", "id": "1", "at": text})) == ([(reason, "at")] if reason else [])


def test_an_envelope_with_a_wrong_time_loses_the_time_alone() -> None:
    counted = {"type": "counters", "subject": "p", "metrics": {"likes": 1}}
    items = batch(counted, {**counted, "observed_at": STAMP}, timestamp="2999-01-01T00:00:00Z")
    assert drops(items) == [("future_time", "timestamp")]
    assert [type(item) for item in items[1:]] == [RefreshHint, Observation]


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ({"day": "2025-03-02"}, None),
        ({"day": "2025-03-03"}, "future_time"),
        ({"day": "1989-12-31"}, "bad_time"),
        ({"day": "9999-12-31"}, "future_time"),
        ({"day": "0001-01-01", "zone": "Asia/Tokyo"}, "bad_time"),
        ({"day": 20_250_301}, "bad_time"),
        ({"day": "2025-03-01", "days": 0}, "out_of_range"),
        ({"day": "2025-03-01", "days": 367}, "out_of_range"),
        ({"day": "2025-03-01", "days": 1.5}, "bad_number"),
        ({"day": "2011-12-30", "zone": "Pacific/Apia"}, "bad_time"),
        ({"day": "2025-03-01", "start": "2025-03-01T00:00:00Z"}, "conflict"),
        ({"day": "2025-03-01", "zone": "localtime"}, "bad_time"),
        ({"day": "2025-03-01", "zone": "../../etc/passwd"}, "bad_time"),
        ({"day": "2025-03-01", "zone": "Europe"}, "bad_time"),
        ({"start": "2025-03-01T00:00:00Z"}, "missing_time"),
        ({"end": "2025-03-01T00:00:00Z"}, "missing_time"),
        ({"start": "2025-03-01T00:00:00Z", "end": "2025-03-01T00:00:00Z"}, "bad_time"),
        ({"start": "2025-03-01T00:00:00Z", "end": "2026-03-03T00:00:00Z"}, "out_of_range"),
        ({"start": "2025-03-02T17:00:00Z", "end": "2025-03-02T19:00:00Z"}, None),
    ],
)
def test_the_windows_that_are_taken(window: dict[str, Any], reason: str | None) -> None:
    items = batch({"type": "period", "subject": "p", "metrics": {"likes": 1}, **window})
    assert [found for found, _ in drops(items)] == ([reason] if reason else [])
    assert len(metrics(items)) == (0 if reason else 1)


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25), ("2024-10-28", 24)])
def test_a_day_has_the_hours_of_its_zone(day: str, hours: int) -> None:
    item = one("period", subject="p", day=day, zone="Europe/Berlin", metrics={"likes": 1})
    assert isinstance(item, Observation)
    assert item.window is not None
    assert item.window.end - item.window.start == timedelta(hours=hours)


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ('"54.90"', 54_900_000),
        ("54.9", 54_900_000),
        ("0.1", 100_000),
        ("54", 54_000_000),
        ("1e3", 1_000_000_000),
        ("1E-6", 1),
        ("0", 0),
        ("0.0000000", 0),
        ('"9223372036854.775807"', 2**63 - 1),
        ("9223372036854.775808", "out_of_range"),
        ("1e13", "out_of_range"),
        ("1e999999", "out_of_range"),
        ("-0.01", "out_of_range"),
        ("1e-7", "bad_number"),
        ("0.1234567", "bad_number"),
        ('"0.1234567"', "bad_number"),
        ('"1e3"', "bad_number"),
        ('"1,50"', "bad_number"),
        ('" 1"', "bad_number"),
        ('"\\u0661"', "bad_number"),
        ('"NaN"', "bad_number"),
        ('""', "bad_number"),
        ("true", "bad_number"),
        ("[]", "bad_number"),
        ("1." + "1" * 5_000, "bad_number"),
    ],
)
def test_amounts_are_exact(text: str, micros: int | str) -> None:
    body = f'{{"type":"tallybook.order","data":{{"id":"1","at":"{STAMP}","currency":"EUR","value":{text}}}}}'
    (item,) = parsed(body.encode())
    assert (item.value if isinstance(item, Conversion) else drops([item])[0][0]) == micros


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("5.0", 5),
        ("1e2", 100),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "out_of_range"),
        ("18446744073709551616", "out_of_range"),
        ("-1", "out_of_range"),
        ("0.5", "bad_number"),
        ("1e99", "bad_number"),
        ('"5"', "bad_number"),
        ("false", "bad_number"),
        ("null", None),
    ],
)
def test_counts_are_whole(text: str, count: int | str | None) -> None:
    data = f'{{"subject":"p","metrics":{{"likes":{text}}}}}'
    items = parsed(f'{{"type":"tallybook.counters","timestamp":"{STAMP}","data":{data}}}'.encode())
    if isinstance(count, int):
        assert (metrics(items), drops(items)) == ([{"likes": count}], [])
    else:
        assert metrics(items) == []
        assert set(drops(items)) == {*([(count, "likes")] if count else []), ("no_numbers", "metrics")}


NUMBERS = st.sampled_from([0, 1, 2**63 - 1, 2**63, -1, True, None, 0.5, 5.0, "5"]) | st.integers(-3, 2**64)


COUNTS = st.dictionaries(st.sampled_from(["likes", "views"]), NUMBERS, min_size=1)
ANYTHING = st.dictionaries(st.sampled_from(["likes", "conversions", "spend_media", "reach", "nonsense"]), NUMBERS)


@given(COUNTS | ANYTHING)
@example({"likes": 0, "views": -1})
@example({"likes": 0, "views": 2**63})
@example({"likes": 0, "views": True})
def test_numbers_that_are_looked_at_together_are_held_to_what_each_is(numbers: dict[str, Any]) -> None:
    item = {"type": "period", "subject": "p", "day": "2025-03-01", "currency": "EUR", "metrics": numbers}
    at_once = batch(item)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items_language, "_are_counts", lambda *_: False)
        assert batch(item) == at_once


def test_money_may_be_taken_back_and_counts_may_not() -> None:
    item = {"type": "period", "subject": "p", "day": "2025-03-01", "currency": "EUR"}
    items = batch({**item, "metrics": {"spend_media": "-3.5", "conversions": "-1", "sessions": -1}})
    assert metrics(items) == [{"spend_media": -3_500_000}]
    assert drops(items) == [("out_of_range", "conversions"), ("out_of_range", "sessions")]


# ------------------------------------------------------------------------------------------------ texts


@pytest.mark.parametrize(
    ("subject", "reason"),
    [("p" * 256, None), ("p" * 257, "out_of_range"), ("", "missing_id"), (17, "malformed"), ("a\x00b", "malformed")],
)
def test_ids_are_text_and_short(subject: object, reason: str | None) -> None:
    items = batch({"type": "counters", "subject": subject, "metrics": {"likes": 1}})
    assert drops(items) == ([(reason, "subject")] if reason else [])


def test_an_id_is_never_a_number() -> None:
    item = one("counters", subject="00123", metrics={"likes": 1})
    assert isinstance(item, Observation)
    assert item.subject.external_id == "00123"


def test_free_text_loses_its_control_characters() -> None:
    item = one("subject", subject="p", title="two\nlines\x00 and a bell\x07")
    assert isinstance(item, SubjectSeen)
    assert item.title == "two lines  and a bell "


def test_no_hashtags_and_hashtags_not_said_differ() -> None:
    none, unsaid = one("subject", subject="p", hashtags=[]), one("subject", subject="p")
    assert isinstance(none, SubjectSeen)
    assert isinstance(unsaid, SubjectSeen)
    assert (none.hashtags, unsaid.hashtags) == ((), None)


def test_names_in_drops_are_names() -> None:
    items = batch({"type": "counters", "subject": "p", "metrics": {"likes": 1, "ana@example.com": 2}, "Ana B.": 3})
    assert drops(items) == [("not_mapped", "a name that is none"), ("unknown_metric", "a name that is none")]


def test_the_type_of_the_envelope_is_the_one_that_counts() -> None:
    body = {"type": "tallybook.click", "data": {"type": "order", "id": "1", "at": STAMP}}
    (item,) = parsed(json.dumps(body).encode())
    assert isinstance(item, Touchpoint)


# ------------------------------------------------------------------------------------------------ whole bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"tallybook"',
        b"{}",
        b'{"type":"tallybook.batch"}',
        b'{"data":{}}',
        b'{"type":7,"data":{}}',
        b'{"type":"tallybook.batch","data":[]}',
        b'{"type":"tallybook.batch","data":{"items":{}}}',
        b'{"type":"tallybook.batch","data":{"items":[}}',
        b'{"type":"tallybook.order","data":{}} x',
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08\x00",
        b"id,likes\n1,2\n",
    ],
)
def test_a_body_without_an_envelope_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(BadPayload) as refusal:
        parsed(body)
    assert "\n" not in str(refusal.value)


def test_a_thousand_items_and_more_are_all_read() -> None:
    items = batch(*({"type": "click", "id": f"c-{number}", "at": STAMP} for number in range(2_500)))
    assert len(items) == 2_500


def test_an_empty_batch_says_nothing() -> None:
    assert batch() == []
