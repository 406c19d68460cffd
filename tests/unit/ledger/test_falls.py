"""Ways of reading falls, over steps alone: which are suspected, which have recovered, the highest value so far."""

from __future__ import annotations

import random  # noqa: TID251 - Hypothesis gives it
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from service.ledger.falls import falls, high_water
from service.ledger.series import (
    Balance,
    Line,
    Point,
    Reading,
    Ref,
    Step,
    correct,
    knots_of,
    pack,
    reset_changes,
    reset_steps,
    standing,
    standing_resets,
    steps,
)
from tests.golden.cases import CASES

START = datetime(2026, 5, 1, tzinfo=UTC)
REF = Ref(UUID(int=1), START)
counters = st.lists(st.integers(0, 40), min_size=1, max_size=12)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def chain(values: list[int]) -> list[Step]:
    """Return the steps of a counter that is read once a day."""
    return steps(knots_of(Point(day(n), value, REF) for n, value in enumerate(values)), None, None, level=False)


def rises(values: list[int], resets: list[Step] | None = None) -> list[int]:
    """Return what each day is by the highest value so far."""
    found = dict.fromkeys((day(n) for n in range(len(values))), 0)
    for step in [*chain(values), *(resets or []), *high_water(chain(values), resets or [])]:
        found[step.end] += step.delta
    return list(found.values())


def test_the_worked_case() -> None:
    case = CASES["G23"]
    values = case.inputs["snapshots"]
    got = {
        "deltas_signed": [step.delta for step in chain(values)[1:]],
        "total_signed": sum(step.delta for step in chain(values)[1:]),
        "deltas_high_water": rises(values)[1:],
        "total_high_water": sum(rises(values)[1:]),
    }
    case.agrees(got, case.expected)
    assert falls(chain(values), ()) == []


@given(counters)
def test_no_rise_is_negative_and_all_of_them_reach_the_highest_value(values: list[int]) -> None:
    highest = list(accumulate(values, max))
    assert rises(values) == [after - before for before, after in zip([0, *highest], highest, strict=False)]


@given(counters)
def test_what_never_fell_is_read_alike(values: list[int]) -> None:
    assert high_water(chain(sorted(values))) == []


@given(counters, st.sets(st.integers(1, 11)))
def test_a_counter_that_began_anew_has_a_highest_value_of_its_own(values: list[int], numbers: set[int]) -> None:
    resets = {day(n) for n in numbers if n < len(values) and values[n - 1]}
    added = reset_steps(chain(values), resets)
    assert {step.end for step in added} == resets
    expected, mark = [], 0
    for n, value in enumerate(values):
        mark = 0 if day(n) in resets else mark
        expected.append(max(value - mark, 0))
        mark = max(mark, value)
    assert rises(values, added) == expected


@given(counters, st.sets(st.integers(0, 11)))
def test_falls_are_named_with_their_values(values: list[int], numbers: set[int]) -> None:
    said = {day(n) for n in numbers}
    found = {fall.at: fall for fall in falls(chain(values), said)}
    for n in range(1, len(values)):
        old, new = values[n - 1], values[n]
        suspect = new * 10 < old
        assert (day(n) in found) == (suspect or n in numbers)
        if day(n) in found:
            assert found[day(n)] == (day(n), old, new, suspect, values[-1] >= old)


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), min_size=1, max_size=9),
    st.sets(st.integers(0, 90), max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_resets_add_is_a_function_of_points_and_verdicts(
    points: list[tuple[int, int]], verdicts: set[int], rng: random.Random
) -> None:
    """Whatever comes first: a late reading, or what a person says of a reading that is known."""
    told: list[tuple[int, int | None]] = [*points, *((n, None) for n in verdicts)]
    rng.shuffle(told)
    lines: list[Line] = []
    balance, resets = Balance({}, {}), set[datetime]()
    for n, value in told:
        if value is None:
            resets.add(day(n))
            lines += pack(reset_changes(lines, "likes", standing(lines, "likes"), resets))
        else:
            read = [Reading(day(n), {"likes": value}, REF)]
            lines += pack(correct(balance, lines, read, None, level=False, resets={"likes": resets}))
    whole = steps(knots_of(Point(day(n), value, REF) for n, value in points), None, None, level=False)
    assert {step[:4] for step in standing(lines, "likes")} == {step[:4] for step in whole}
    added = reset_steps(whole, resets)
    assert {step[:4] for step in standing_resets(lines, "likes")} == {step[:4] for step in added}
    total = sum(line.metrics["likes"] for line in lines)
    assert total == balance.values["likes"] + sum(step.delta for step in added)
