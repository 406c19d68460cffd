from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import DropReason
from connectors.files_cells import Dates, JsonNumbers, Refused, TextNumbers, exact, flag, hashtags, identifier, text
from connectors.files_rows import named

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(1990, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 110 * 365 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_an_instant_with_an_offset_does_not_hang_on_the_zone(moment: datetime, minutes: int) -> None:
    offset = timedelta(minutes=minutes)
    sign, away = ("-" if minutes < 0 else "+"), abs(offset)
    written = (moment + offset).replace(tzinfo=None).isoformat()
    hours, rest = divmod(away // timedelta(minutes=1), 60)
    for cell in (f"{written}{sign}{hours:02}:{rest:02}", f"{written.replace('T', ' ')} {sign}{hours:02}{rest:02}"):
        assert Dates(zone=BERLIN).instant(cell) == moment


@given(st.dates(min_value=date(1990, 1, 2), max_value=date(2100, 1, 1)))
def test_every_form_says_the_same_day(day: date) -> None:
    cells = {
        "iso": day.isoformat(),
        "day.month": f"{day.day}.{day.month}",
        "day.month.year": f"{day.day:02}.{day.month:02}.{day.year}",
        "month/day/year": f"{day.month}/{day.day}/{day.year}",
    }
    midnight = datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)
    for form, cell in cells.items():
        dates = Dates(form=form, year=day.year, zone=BERLIN)  # type: ignore[arg-type]
        assert dates.instant(cell) == midnight


def test_a_repeated_hour_is_its_first_and_a_skipped_one_is_moved() -> None:
    dates = Dates(zone=BERLIN)
    assert dates.instant("2026-10-25 02:30") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert dates.instant("2026-03-29 02:30") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("cell", [None, "", 7, True, [], {}])
def test_instants_that_are_no_text(cell: object) -> None:
    dates = Dates(zone=BERLIN)
    if cell in (None, ""):
        assert dates.instant(cell) is None
        return
    with pytest.raises(Refused) as caught:
        dates.instant(cell)
    assert caught.value.reason is DropReason.BAD_TIME


@given(st.integers(0, 2**63 - 1))
def test_counts_of_both_formats_agree(value: int) -> None:
    forms = (JsonNumbers().count(value), JsonNumbers().count(exact(f"{value}.0")), TextNumbers().count(f" {value}.00 "))
    assert forms == (value, value, value)


@pytest.mark.parametrize("literal", ["1e999999999999999999999", "-1e999999999999999999999"])
def test_a_number_beyond_every_exponent_is_none(literal: str) -> None:
    with pytest.raises(Refused) as caught:
        JsonNumbers().count(exact(literal))
    assert caught.value.reason is DropReason.BAD_NUMBER


def test_texts() -> None:
    assert text("  a\tb \u00a0") == "a\tb"
    assert text(" ") is None
    assert text(None) is None
    assert text(7) == "7"
    odd: list[object] = [True, 1.5, [], {}, "a\0b", "x" * 5_000, 2**64]
    for cell in odd:
        with pytest.raises(Refused):
            text(cell)


def test_identifiers_keep_what_looks_like_a_number() -> None:
    assert identifier("0012") == "0012"
    assert identifier("1E5x") == "1E5x"
    assert identifier("1e5") == "1e5"
    assert identifier("AE+5") == "AE+5"
    assert identifier(178_414_000_000_000_001) == "178414000000000001"
    with pytest.raises(Refused):
        identifier("1.78414E+17")


def test_flags() -> None:
    assert [flag(cell) for cell in ("1", "TRUE", " yes ", "Paid", 1, True)] == [True] * 6
    assert [flag(cell) for cell in ("0", "false", "No", "organic", 0, False)] == [False] * 6
    assert flag("") is None
    assert flag(None) is None
    with pytest.raises(Refused):
        flag("2")


def test_hashtags() -> None:
    assert hashtags("#a #b a", " ") == ("a", "b")
    assert hashtags("", " ") is None
    assert hashtags([], " ") == ()
    assert hashtags(["#x", 5, None], " ") == ("x", "5")
    with pytest.raises(Refused):
        hashtags([["x"]], " ")


def test_names_are_printable_and_short() -> None:
    assert named("Views") == "'Views'"
    assert named("a\nb") == r"'a\nb'"
    assert len(named("x" * 500)) == 80
    assert named("x" * 500).endswith("...'")
