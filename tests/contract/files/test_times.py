from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from connectors.contract import DropReason, Kind, Window
from tests.contract.files.sheet import NOW, drops, facts, observations, read, refusal

AT = {"instant_column": "at"}


def instants(cells: list[str], **given: object) -> list[datetime | None]:
    items = read("id;views;at\n" + "".join(f"p;1;{cell}\n" for cell in cells), **AT, **given)
    assert drops(items) == []
    return [item.observed_at for item in observations(items)]


@pytest.mark.parametrize(
    ("form", "year", "cell"),
    [
        ("auto", None, "2026-03-05"),
        ("auto", None, "5.3.2026"),
        ("auto", 2026, "05.03"),
        ("auto", 2026, "5.3."),
        ("auto", 2026, "05.03.2026"),
        ("iso", None, "2026-03-05"),
        ("day.month", 2026, "05.03"),
        ("day.month.year", None, "05.03.2026"),
        ("month/day/year", None, "3/5/2026"),
        ("month/day/year", None, "03/05/2026"),
    ],
)
def test_forms_of_dates(form: str, year: int | None, cell: str) -> None:
    assert instants([cell], date_format=form, year=year) == [datetime(2026, 3, 5, tzinfo=UTC)]
    assert instants([cell], date_format=form, year=year, zone="America/New_York") == [
        datetime(2026, 3, 5, 5, tzinfo=UTC)
    ]


def test_forms_of_times() -> None:
    cells = [
        "2026-03-05T10:30:00Z",
        "2026-03-05T11:30:00+01:00",
        "2026-03-05T11:30:00+0100",
        "2026-03-05 12:30",
        "2026-03-05 10:30:00 UTC",
        "2026-03-05T10:30:00 UTC",
        "2026-03-05 10:30:00 +0000",
        "2026-03-05t10:30:00z",
        "5.3.2026 12:30:00.000",
    ]
    expected = datetime(2026, 3, 5, 10, 30, tzinfo=UTC)
    assert instants(cells, zone="Europe/Helsinki") == [expected] * len(cells)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("31.02.2026", DropReason.BAD_TIME),
        ("2026-02-31", DropReason.BAD_TIME),
        ("29.02.2025", DropReason.BAD_TIME),
        ("2026-03-01 24:30", DropReason.BAD_TIME),
        ("2026-03-01 10", DropReason.BAD_TIME),
        ("3/5/2026", DropReason.BAD_TIME),
        ("05.03", DropReason.BAD_TIME),
        ("1767225600", DropReason.BAD_TIME),
        ("yesterday", DropReason.BAD_TIME),
        ("1989-12-31", DropReason.BAD_TIME),
        ("0001-01-01T00:00:00+14:00", DropReason.BAD_TIME),
        ("9999-12-31T23:59:59-14:00", DropReason.BAD_TIME),
        ("2026-08-20T12:05:01Z", DropReason.FUTURE_TIME),
        ("9999-12-31", DropReason.FUTURE_TIME),
        ("", DropReason.MISSING_TIME),
        ("  ", DropReason.MISSING_TIME),
    ],
)
def test_a_row_without_a_usable_instant_is_dropped(cell: str, reason: DropReason) -> None:
    items = read(f"id;views;at\na;1;2026-03-01\nb;2;{cell}\nc;3;2026-03-01\n", **AT)
    assert [item.subject.external_id for item in observations(items)] == ["a", "c"]
    assert drops(items) == [(reason, 2)]


def test_a_day_that_no_year_makes_real() -> None:
    items = read("id;views;at\na;1;31.02\nb;1;29.02\nc;1;28.02\n", **AT, date_format="day.month", year=2026)
    assert [item.subject.external_id for item in observations(items)] == ["c"]
    assert drops(items) == [(DropReason.BAD_TIME, 1), (DropReason.BAD_TIME, 2)]


def test_a_clock_may_run_ahead_by_five_minutes() -> None:
    assert instants(["2026-08-20T12:05:00Z"]) == [NOW + timedelta(minutes=5)]


def test_an_instant_of_all_rows_in_the_future_refuses_the_file() -> None:
    assert "instant" in refusal("id,views\np,1\n", instant="2026-08-21")


# ------------------------------------------------------------------------------------------------ windows


def windows(days: list[str], **given: object) -> list[Window]:
    body = "id,views,at\n" + "".join(f"p,1,{day}\n" for day in days)
    items = read(body, **AT, window="day", kinds={"views": "period"}, **given)
    assert drops(items) == []
    assert {item.kind for item in observations(items)} <= {Kind.PERIOD}
    return [item.window for item in observations(items) if item.window]


def test_days_of_23_and_25_hours() -> None:
    days = ["2026-03-28", "2026-03-29", "2026-03-30", "2025-10-25", "2025-10-26", "2025-10-27"]
    found = windows(days, zone="Europe/Berlin")
    assert [(one.end - one.start) // timedelta(hours=1) for one in found] == [24, 23, 24, 24, 25, 24]
    assert [(one.day, one.days, one.zone) for one in found] == [
        (date.fromisoformat(day), 1, "Europe/Berlin") for day in days
    ]
    assert found[1].start == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert found[1].end == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert found[0].end == found[1].start
    assert found[4].end == found[5].start


def test_the_window_is_the_local_day_of_an_instant() -> None:
    found = windows(["2026-03-28T23:30:00Z", "2026-03-29T00:30:00+02:00", "2026-03-28T22:59:00Z"], zone="Europe/Berlin")
    assert [one.day for one in found] == [date(2026, 3, 29), date(2026, 3, 28), date(2026, 3, 28)]


def test_a_day_has_been_read_when_the_file_says_so() -> None:
    body = "id,views,reach,likes,at\np,1,2,3,2026-03-01\n"
    options = {"columns": {"views": "views", "reach": "reach", "likes": "likes"}, "kinds": {"views": "period"}}
    upload, said = (
        {item.kind: item for item in observations(read(body, **AT, window="day", **options, **given))}
        for given in ({}, {"instant": "2026-03-04T06:00:00Z"})
    )
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for read_at, items in ((None, upload), (datetime(2026, 3, 4, 6, tzinfo=UTC), said)):
        for kind in (Kind.PERIOD, Kind.UNIQUE):
            window = items[kind].window
            assert window is not None
            assert window.start == start
            assert items[kind].observed_at == read_at
        assert items[Kind.LIFETIME].window is None
        assert items[Kind.LIFETIME].observed_at == start


# ------------------------------------------------------------------------------------------------ facts over time


def test_facts_are_said_once_per_change() -> None:
    body = (
        "id,views,at,title\np,1,2026-03-01,A\nq,1,2026-03-01,A\np,2,2026-03-02,A\np,3,2026-03-03,B\np,4,2026-03-04,B\n"
    )
    said = [
        (item.subject.external_id, item.title, item.observed_at)
        for item in facts(read(body, **AT, title_column="title"))
    ]
    assert said == [
        ("p", "A", datetime(2026, 3, 1, tzinfo=UTC)),
        ("q", "A", datetime(2026, 3, 1, tzinfo=UTC)),
        ("p", "B", datetime(2026, 3, 3, tzinfo=UTC)),
    ]


def test_a_file_that_runs_backward_says_since_when_facts_held() -> None:
    body = "id,views,at,title\np,4,2026-03-04,B\np,3,2026-03-03,B\np,2,2026-03-02,A\np,1,2026-03-01,A\n"
    said = {(item.title, item.observed_at) for item in facts(read(body, **AT, title_column="title"))}
    assert {("A", datetime(2026, 3, 1, tzinfo=UTC)), ("B", datetime(2026, 3, 3, tzinfo=UTC))} <= said
