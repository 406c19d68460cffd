"""Single values of JSON documents: what is taken, what is not, and why."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import values
from connectors.contract import INT64_MAX, BadPayload, DropReason, day_window

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
WORD = re.compile(r"[a-z]{1,5}")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=True, allow_infinity=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


# ------------------------------------------------------------------------------------------------ documents


def test_numbers_of_a_document_stay_exact() -> None:
    found = values.document(b'{"id": 7012345678901234567890, "amount": 0.1, "huge": 1e9999999999999999999}')
    assert (found["id"], found["amount"]) == (7012345678901234567890, Decimal("0.1"))
    assert found["huge"].is_nan()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'{"a":"\xff"}'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload, match="not readable JSON") as caught:
        values.decode(body)
    assert caught.value.__context__ is None  # the body stands in no traceback
    assert values.readable(body) == {}


@pytest.mark.parametrize("body", [b"[]", b"7", b'"text"', b"null"])
def test_a_document_is_an_object(body: bytes) -> None:
    with pytest.raises(BadPayload, match="not a JSON object"):
        values.document(body)


def test_parts_that_are_not_there_are_empty() -> None:
    assert (values.items({}), values.mapping([]), values.first([7]), values.first(None)) == ([], {}, {}, {})
    assert values.first([{"a": 1}, {"b": 2}]) == {"a": 1}


# ------------------------------------------------------------------------------------------------ texts


def test_texts_are_cut_and_free_of_control_characters() -> None:
    assert values.text("a\x00b\nc\x7f", 4) == "a b "
    assert values.text("") == ""
    assert values.text(7) is None
    assert values.trimmed("\n  padded ") == "padded"
    assert (values.trimmed(" \x00"), values.trimmed(None)) == (None, None)
    assert values.first_line("\n First\r\nsecond") == "First"
    assert (values.first_line(" \n"), values.first_line(5)) == (None, None)
    assert values.printable("Br\nand\u202e!") == "Brand!"
    assert values.printable(None) == ""


def test_a_name_is_shown_only_where_it_is_one() -> None:
    assert values.shown("like_count.v2-x") == "like_count.v2-x"
    assert {values.shown(one) for one in ("<b>", "", "x" * 65, "a b", "a\n", None, 7, ["a"])} == {"a name that is none"}
    assert values.shown("orders/create", re.compile(r"[a-z/]+")) == "orders/create"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("abc", "abc"),
        (None, DropReason.MISSING_ID),
        ("", DropReason.MISSING_ID),
        ("abc\n", DropReason.MALFORMED),
        ("toolong", DropReason.MALFORMED),
        (17, DropReason.MALFORMED),
        ({}, DropReason.MALFORMED),
    ],
)
def test_an_id_is_a_text_of_its_form(value: Any, found: str) -> None:
    assert values.identifier(value, WORD) is found or values.identifier(value, WORD) == found


def test_a_currency_has_three_capital_letters() -> None:
    assert values.currency("EUR") == "EUR"
    assert {values.currency(one) for one in ("eur", "EURO", "E\u00dcR", "", None, 978)} == {DropReason.BAD_CURRENCY}


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("value", "plain", "written"),
    [
        (None, None, None),
        (0, 0, 0),
        (INT64_MAX, INT64_MAX, INT64_MAX),
        (INT64_MAX + 1, DropReason.OUT_OF_RANGE, DropReason.OUT_OF_RANGE),
        (-1, DropReason.OUT_OF_RANGE, DropReason.OUT_OF_RANGE),
        ("12", DropReason.BAD_NUMBER, 12),
        ("-3", DropReason.BAD_NUMBER, DropReason.OUT_OF_RANGE),
        ("9" * 19, DropReason.BAD_NUMBER, DropReason.OUT_OF_RANGE),
        ("9" * 20, DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        ("\u0661", DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        ("1_0", DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        (" 1", DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        (Decimal("1.0"), DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        (1.0, DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        (True, DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
        ([], DropReason.BAD_NUMBER, DropReason.BAD_NUMBER),
    ],
)
def test_a_count(value: Any, plain: values.Number, written: values.Number) -> None:
    assert (values.count(value), values.written_count(value)) == (plain, written)


def test_a_count_may_have_parts() -> None:
    assert values.count(2, 60_000) == 120_000
    assert values.written_count("2", 60_000) == 120_000
    assert values.count(INT64_MAX // 1000 + 1, 1000) is DropReason.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("amount", "exact", "rounded"),
    [
        ("12.5", 12_500_000, 12_500_000),
        ("-0.000001", -1, -1),
        ("0.0000005", DropReason.BAD_NUMBER, 0),  # ties go to the even one
        ("0.0000015", DropReason.BAD_NUMBER, 2),
        ("9223372036854.775807", INT64_MAX, INT64_MAX),
        ("9223372036854.775808", DropReason.OUT_OF_RANGE, DropReason.OUT_OF_RANGE),
        ("1e30", DropReason.OUT_OF_RANGE, DropReason.OUT_OF_RANGE),
        ("-1e999999999", DropReason.OUT_OF_RANGE, DropReason.OUT_OF_RANGE),
    ],
)
def test_an_amount_in_millionths(amount: str, exact: int | DropReason, rounded: int | DropReason) -> None:
    assert values.millionths(Decimal(amount)) == exact
    assert values.millionths(Decimal(amount), rounded=True) == rounded


# ------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("value", "moment", "found"),
    [
        ("2026-08-13T11:01:46+0200", values.zoned, datetime(2026, 8, 13, 9, 1, 46, tzinfo=UTC)),
        ("2026-08-13T11:01:46.123456789Z", values.zoned, datetime(2026, 8, 13, 11, 1, 46, 123456, tzinfo=UTC)),
        ("2026-08-13T11:01:46", values.zoned, DropReason.BAD_TIME),
        ("2026-08-13", values.zoned, DropReason.BAD_TIME),
        (1_786_618_906, values.zoned, DropReason.BAD_TIME),
        (1_786_618_906, values.of_seconds, datetime(2026, 8, 13, 11, 1, 46, tzinfo=UTC)),
        (1_786_618_906_789, values.of_milliseconds, datetime(2026, 8, 13, 11, 1, 46, 789000, tzinfo=UTC)),
        ("1786618906", values.of_seconds, DropReason.BAD_TIME),
        (True, values.of_seconds, DropReason.BAD_TIME),
        (10**30, values.of_seconds, DropReason.BAD_TIME),
        ("9999-12-31T23:59:59-23:59", values.zoned, DropReason.BAD_TIME),
        ("1989-12-31T23:59:59Z", values.zoned, DropReason.BAD_TIME),
        (None, values.zoned, DropReason.MISSING_TIME),
        ("2026-08-20T12:05:00Z", values.zoned, NOW + values.SKEW),
        ("2026-08-20T12:05:01Z", values.zoned, DropReason.FUTURE_TIME),
    ],
)
def test_an_instant(value: Any, moment: values.Moment, found: datetime | DropReason) -> None:
    assert values.instant(value, NOW, moment) == found


def test_a_platform_may_know_better_what_is_too_old() -> None:
    assert values.instant("2013-12-31T23:59:59Z", NOW, oldest=datetime(2014, 1, 1, tzinfo=UTC)) is DropReason.BAD_TIME


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-03-08", day_window(date(2026, 3, 8), "America/Los_Angeles")),  # of 23 hours
        ("2026-08-20", day_window(date(2026, 8, 20), "America/Los_Angeles")),
        ("2026-08-21", DropReason.FUTURE_TIME),
        ("1989-12-31", DropReason.BAD_TIME),
        ("2026-02-30", DropReason.BAD_TIME),
        ("20260820", DropReason.BAD_TIME),
        ("2026-08-20T00:00:00", DropReason.BAD_TIME),
        (20260820, DropReason.BAD_TIME),
        (None, DropReason.MISSING_TIME),
    ],
)
def test_a_day(value: Any, found: object) -> None:
    assert values.day(value, "America/Los_Angeles", NOW) == found


def test_days_of_instants() -> None:
    at = datetime(2026, 8, 20, 1, tzinfo=timezone(timedelta(hours=2)))
    assert values.date_in("America/Los_Angeles", at) == date(2026, 8, 19)
    assert values.midnight(at) == datetime(2026, 8, 19, tzinfo=UTC)


# ------------------------------------------------------------------------------------------------ verdicts


def test_a_reason_is_no_value() -> None:
    assert values.known(DropReason.BAD_TIME) is None
    assert values.known("text") == "text"
    assert values.needed(7, "n") == 7
    with pytest.raises(values.Refused) as caught:
        values.needed(DropReason.BAD_NUMBER, "total_price")
    assert (caught.value.reason, caught.value.detail) == (DropReason.BAD_NUMBER, "total_price")


@given(ANYTHING)
def test_nothing_but_an_answer_comes_of_anything(value: Any) -> None:
    assert isinstance(values.text(value), str | None)
    assert isinstance(values.shown(value), str)
    assert isinstance(values.identifier(value, WORD), str)
    for number in (values.count(value), values.written_count(value, 1000)):
        assert number is None or isinstance(number, DropReason) or 0 <= number <= INT64_MAX
    for moment in (values.zoned, values.of_seconds, values.of_milliseconds):
        found = values.instant(value, NOW, moment)
        assert isinstance(found, DropReason) or values.OLDEST <= found <= NOW + values.SKEW
