"""The series algebra against a brute-force reading of its definition."""

from __future__ import annotations

import itertools
import random  # noqa: TID251 - only the type of what Hypothesis draws
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from service.ledger.edges import FIRST_MONTH, edges_between
from service.ledger.series import (
    MANY,
    Balance,
    Booked,
    Cause,
    Flag,
    Line,
    Mark,
    Point,
    Reading,
    Ref,
    Step,
    WindowReading,
    WindowState,
    Written,
    advance,
    book,
    book_at_length,
    correct,
    cut,
    in_order,
    knots_of,
    mask_of,
    pack,
    pieces,
    share,
    standing,
    steps,
    whole,
    window_state,
)
from service.ledger.tallies import local_days

START = datetime(2026, 3, 20, tzinfo=UTC)
REF = Ref(UUID(int=1), START)

instants = st.integers(0, 40 * 24).map(lambda hours: START + timedelta(hours=hours))
points = st.lists(st.tuples(instants, st.integers(0, 30)), min_size=1, max_size=12)
publications = st.one_of(st.none(), st.integers(-48, 400).map(lambda hours: START + timedelta(hours=hours)))


def booked(
    batches: list[list[tuple[datetime, int]]], published: datetime | None, *, level: bool
) -> tuple[list[Line], Balance]:
    """Post batches of points of one metric as the ledger does; return all lines and the balance."""
    lines: list[Line] = []
    balance = Balance({}, {})
    for batch in batches:
        readings = [Reading(at, {"likes": value}, REF) for at, value in sorted(batch)]
        if in_order(balance, readings):
            found = advance(balance, readings, published, level=level)
        else:
            found = correct(balance, lines, readings, published, level=level, resets={})
        lines += pack(found)
    return lines, balance


def plain(found: list[Step]) -> set[tuple[datetime, datetime, int, int]]:
    return {step[:4] for step in found}


@given(points, publications, st.booleans(), st.randoms(use_true_random=False))
def test_any_batching_stands_for_the_same_steps(
    points_given: list[tuple[datetime, int]], published: datetime | None, level: bool, rng: random.Random
) -> None:
    expected = steps(knots_of(Point(at, value, REF) for at, value in points_given), None, published, level=level)
    shuffled = [*points_given, *points_given]
    rng.shuffle(shuffled)
    batches = []
    while shuffled:
        size = rng.randint(1, 4)
        batches.append(shuffled[:size])
        shuffled = shuffled[size:]
    lines, balance = booked(batches, published, level=level)
    assert plain(standing(lines, "likes")) == plain(expected)
    newest = max(points_given)
    assert (balance.since["likes"], balance.values["likes"]) == newest


@given(points, publications)
def test_the_sum_up_to_any_point_is_the_value_there(
    points_given: list[tuple[datetime, int]], published: datetime | None
) -> None:
    lines, _ = booked([[point] for point in points_given], published, level=False)
    for at, _ in points_given:
        highest = max(value for when, value in points_given if when == at)
        assert sum(line.metrics["likes"] for line in lines if line.valid_to <= at) == highest


@given(st.integers(-(10**15), 10**15), instants, instants, st.lists(instants, max_size=6))
def test_shares_of_any_grid_add_up(amount: int, one: datetime, other: datetime, edges: list[datetime]) -> None:
    start, end = min(one, other), max(one, other) + timedelta(microseconds=1)
    inside = sorted({edge for edge in edges if start < edge < end})
    parts = cut(amount, start, end, inside)
    assert sum(parts) == amount
    assert cut(-amount, start, end, inside) == [-part for part in parts]
    assert all(part * amount >= 0 for part in parts)


@given(st.integers(0, 500), instants, st.integers(1, 400))
def test_hours_days_and_zones_are_cut_from_the_whole(amount: int, start: datetime, hours: int) -> None:
    end = start + timedelta(hours=hours, minutes=17)
    for zone in ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin"):
        _, midnights = local_days(start, end, zone)
        days = cut(amount, start, end, midnights)
        grid = sorted({*midnights, *(start + timedelta(hours=n) for n in range(1, hours + 1))})
        by_hour = cut(amount, start, end, grid)
        marks = [0, *(grid.index(midnight) + 1 for midnight in midnights), len(by_hour)]
        assert [sum(by_hour[a:b]) for a, b in itertools.pairwise(marks)] == days


def test_a_gap_over_three_days() -> None:
    """Golden case G26, also by hours: 10 over 72 hours."""
    start = datetime(2026, 6, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(1, 72)]
    assert cut(10, start, start + timedelta(days=3), hours[23::24]) == [4, 3, 3]
    assert sum(cut(10, start, start + timedelta(days=3), hours)[:24]) == 4


def test_a_gap_over_a_day_of_23_hours() -> None:
    """Golden case G27: a gap across a change of the clocks, by real elapsed time."""
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    days, midnights = local_days(start, start + timedelta(days=2), "Europe/Berlin")
    assert [day.isoformat() for day in days] == ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert cut(480, start, start + timedelta(days=2), midnights) == [110, 230, 140]
    assert midnights[0].astimezone(ZoneInfo("Europe/Berlin")).hour == 0


def test_steps_are_cut_at_the_edges_of_partitions_and_joined_again() -> None:
    step = Step(FIRST_MONTH - timedelta(days=500), FIRST_MONTH + timedelta(days=70), 1000, Flag.FIRST, REF)
    parts = pieces(step)
    assert [part.end for part in parts[:-1]] == edges_between(step.start, step.end)
    assert parts[0].end == FIRST_MONTH
    assert len(parts) == 4
    assert sum(part.delta for part in parts) == 1000
    assert parts[0].delta == share(1000, step.start, step.end, FIRST_MONTH)
    assert whole(reversed(parts)) == [step]


def test_a_fall_below_a_tenth_is_suspect() -> None:
    values = [100, 150, 140, 14, 13]
    knots = knots_of(Point(START + timedelta(days=day), value, REF) for day, value in enumerate(values))
    flags = [step.flags for step in steps(knots, None, None, level=False)]
    assert flags == [Flag.OPENING, 0, 0, 0, 0]
    knots = knots_of(Point(START + timedelta(days=day), value, REF) for day, value in enumerate([150, 14, 149]))
    assert [step.flags for step in steps(knots, None, None, level=False)] == [Flag.OPENING, Flag.SUSPECT, 0]


def line_of(part: Written) -> Line:
    """Return the line of a window that a part of one is of."""
    return Line(START, START, part.sign, part.cause, part.quality, part.observed_at, part.ref, part.metrics)


def unmarked(booked: Booked) -> Booked:
    """Return what was booked without the marks of its lines."""
    return booked._replace(written=[part._replace(mark=Mark.NONE) for part in booked.written])


window_points = st.lists(st.tuples(instants, st.one_of(st.none(), st.integers(0, 4))), min_size=1, max_size=8)


@given(window_points, st.randoms(use_true_random=False))
def test_a_window_keeps_its_newest_point_in_any_order(
    points_given: list[tuple[datetime, int | None]], rng: random.Random
) -> None:
    newest = max(points_given, key=lambda point: (point[0], point[1] is not None, point[1] or 0))
    shuffled = [*points_given, *points_given]
    rng.shuffle(shuffled)
    lines: list[Line] = []
    confirmations: list[tuple[int, datetime]] = []
    for at, value in shuffled:
        booked = book(lines, confirmations, [WindowReading(at, {"views": value}, REF)])
        lines += [line_of(part) for part in booked.written]
        confirmations = [(mask_of(["views"]), when) for _, when in (*confirmations, *booked.confirmed)][-1:]
    state = window_state(lines, confirmations)
    found = state.stands.get("views")
    assert (found.value if found else None) == newest[1]
    assert state.said["views"] == newest[0]
    assert isinstance(state, WindowState)


def values_of(state: WindowState) -> dict[str, int]:
    """Return what stands of a window, whoever said it first."""
    return {metric: stand.value for metric, stand in state.stands.items()}


numbers = st.sampled_from((0, 1, 2, None))
sayings = st.one_of(
    st.fixed_dictionaries({"views": st.integers(0, 2), "likes": st.integers(0, 2)}),
    st.dictionaries(st.sampled_from(("views", "likes", "saves")), numbers, min_size=1),
)
said_together = st.lists(st.tuples(st.integers(0, 15), sayings), min_size=1, max_size=2)


@given(st.lists(said_together, min_size=1, max_size=12), st.sampled_from((1, 3, MANY)))
@example([[(0, {"saves": 0})], [(0, {"views": 0})], [(1, {"views": 0, "likes": None, "saves": 1})]], 1)
def test_what_was_said_before_a_line_stood_alone_is_not_needed(
    batches: list[list[tuple[int, dict[str, int | None]]]], many: int
) -> None:
    lines: list[Line] = []
    confirmed: dict[int, datetime] = {}
    alone = 0
    for number, batch in enumerate(batches):
        ref = Ref(UUID(int=number), START)
        readings = [WindowReading(START + timedelta(hours=hours), said, ref) for hours, said in batch]
        named = set().union(*(said for _, said in batch))
        shown = [
            line._replace(metrics={key: line.metrics[key] for key in named & line.metrics.keys()}) for line in lines
        ]
        whole = [line.metrics for line in shown[alone:]] == [line.metrics for line in lines[alone:]]
        booked = book(shown[alone:], list(confirmed.items()), readings, whole=whole, many=many)
        at_length = book_at_length(shown, list(confirmed.items()), readings)
        assert booked.bare == at_length.bare
        wanted = window_state([*lines, *map(line_of, at_length.written)], [*confirmed.items(), *at_length.confirmed])
        for mask, at in booked.confirmed:
            confirmed[mask] = max(at, confirmed.get(mask, at))
        for place, part in enumerate(booked.written, len(lines)):
            alone = place if part.mark & Mark.ALONE else alone
        lines += [line_of(part) for part in booked.written]
        told = window_state(lines, list(confirmed.items()))
        assert window_state(lines[alone:], list(confirmed.items())) == told
        assert (values_of(told), told.said) == (values_of(wanted), wanted.said)


def test_a_window_of_which_some_numbers_move_is_written_anew_after_a_while() -> None:
    lines: list[Line] = []
    alone: list[int] = []
    read = [0]
    for hour in range(40):
        reading = WindowReading(START + timedelta(hours=hour), {"views": hour, "likes": 3}, REF)
        shown = lines[alone[-1] :] if alone else lines
        read.append(len(shown))
        booked = book(shown, [], [reading])
        alone += [place for place, part in enumerate(booked.written, len(lines)) if part.mark & Mark.ALONE]
        lines += [line_of(part) for part in booked.written]
    assert max(read) == MANY + 1
    assert values_of(window_state(lines, ())) == {"views": 39, "likes": 3}
    # Nothing is written anew that did not change, nor by a reading that does not say all that stands.
    same = WindowReading(START + timedelta(hours=50), {"views": 39, "likes": 3}, REF)
    assert book(lines, [], [same]) == book_at_length(lines, [], [same])
    fewer = WindowReading(START + timedelta(hours=50), {"views": 40}, REF)
    assert book(lines, [], [fewer]) == book_at_length(lines, [], [fewer])
    both = [same._replace(metrics={"views": 40, "likes": 3}), same._replace(at=START + timedelta(hours=60))]
    assert unmarked(book(lines, [], both)) == book_at_length(lines, [], both)


def test_a_value_that_was_never_said_needs_no_line_that_said_it() -> None:
    older, newer = (Ref(UUID(int=number), START) for number in (1, 2))
    later = START + timedelta(hours=1)
    lines = [
        Line(START, START, 1, Cause.GROWTH, 0, START, older, {"views": 3}),
        Line(START, START, -1, Cause.REVERSAL, 0, START, older, {"views": -3}),
        Line(START, START, 1, Cause.SOURCE_RESTATED, 0, later, newer, {"views": 5}),
        Line(START, START, -1, Cause.MAPPING_CHANGED, 0, later, newer, {"views": -5}),
        Line(START, START, 1, Cause.REVERSAL, 0, START, older, {"views": 3}),
        Line(START, START, -1, Cause.MAPPING_CHANGED, 0, START, older, {"views": -3}),
    ]
    assert window_state(lines, ()) == window_state(lines[2:], ()) == WindowState({}, {})
