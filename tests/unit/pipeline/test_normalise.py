"""Observations that are said together mean what they mean one by one, whatever is wrong with any of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.contract import (
    INT64_MAX,
    DropReason,
    Item,
    Kind,
    Observation,
    Observations,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    day_window,
    singly,
)
from service.pipeline.normalise import normalise

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = day_window(date(2026, 6, 10), "Europe/Berlin")
SUBJECTS = st.builds(
    SubjectRef, st.sampled_from(["a", "b", "c", "", "x\x00", "y" * 257]), st.sampled_from([*SubjectType][:2])
)
NUMBERS = st.integers(0, 9) | st.just(INT64_MAX) | st.just(INT64_MAX + 1)
FORMS = st.sampled_from(
    [("likes",), ("likes", "views"), ("views", "likes"), ("spend_media", "likes"), ("nonsense",), ()]
)
ROWS = st.lists(
    st.tuples(SUBJECTS, FORMS.flatmap(lambda form: st.fixed_dictionaries(dict.fromkeys(form, NUMBERS)))), max_size=20
)
COMMON = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([Kind.PERIOD, Kind.LIFETIME, Kind.EVENT]),
        "window": st.sampled_from([DAY, None]),
        "observed_at": st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
        "currency": st.sampled_from([None, "EUR", "eur"]),
        "goal": st.sampled_from(["", "purchase"]),
        "check": st.booleans(),
    }
)
GOOD: dict[str, Any] = {"kind": Kind.PERIOD, "window": DAY}


def said(rows: list[tuple[SubjectRef, dict[str, int]]], common: dict[str, Any]) -> Observations:
    return Observations(subjects=[subject for subject, _ in rows], metrics=[metrics for _, metrics in rows], **common)


@given(st.lists(st.tuples(ROWS, COMMON), max_size=3))
@example([([(SubjectRef(name), {"likes": 1}) for name in "abc"], GOOD)] * 2)
@example([([(SubjectRef("a"), {"likes": 1, "spend_media": 5})], GOOD | {"currency": "EUR"})])
@example([([(SubjectRef("a"), {"likes": 1})] * 20 + [(SubjectRef("b"), {"likes": INT64_MAX + 1})], GOOD)])
def test_what_is_said_together_means_what_it_means_one_by_one(
    blocks: list[tuple[list[tuple[SubjectRef, dict[str, int]]], dict[str, Any]]],
) -> None:
    items: list[Item] = [SubjectSeen(subject=SubjectRef("a"), title="one")]
    items += [said(rows, common) for rows, common in blocks]
    together, apart = normalise(items, NOW), normalise(singly(items), NOW)
    assert together.items == apart.items == 1 + sum(len(rows) for rows, _ in blocks)
    assert (together.facts, together.drops) == (apart.facts, apart.drops)
    assert [plain(one) for one in together.readings] == [plain(one) for one in apart.readings]


def plain(readings: Any) -> tuple[Any, ...]:
    grid = None if readings.grid is None else (readings.grid.metrics, readings.grid.numbers.tolist())
    return (*(getattr(readings, name) for name in readings.__struct_fields__ if name != "grid"), grid)


def test_like_observations_join_one_block_of_readings() -> None:
    rows = [(SubjectRef(str(number)), {"likes": number}) for number in range(100)]
    one = Observation(subject=SubjectRef("more"), metrics={"likes": 1}, **GOOD)
    (readings,) = normalise([said(rows, GOOD), one], NOW).readings
    assert len(readings.subjects) == len(readings.metrics) == 101
    assert readings.grid is not None


def test_an_observation_joins_its_like_however_many_stand_between() -> None:
    later = day_window(date(2026, 6, 11), "Europe/Berlin")
    said_of = [("a", DAY), ("a", later), ("b", DAY), ("c", DAY), ("b", later)]
    items = [
        Observation(subject=SubjectRef(name), kind=Kind.PERIOD, window=window, metrics={"likes": 1})
        for name, window in said_of
    ]
    found = [(one.window, [subject.external_id for subject in one.subjects]) for one in normalise(items, NOW).readings]
    assert found == [(DAY, ["a", "b", "c"]), (later, ["a", "b"])]


def test_the_ends_of_a_day_are_in_the_zone_of_all_other_instants() -> None:
    assert (DAY.start.tzinfo, DAY.end.tzinfo) == (UTC, UTC)
    assert DAY.start == datetime(2026, 6, 9, 22, tzinfo=UTC)


@pytest.mark.parametrize("odd", ["", "y" * 257, "x\x00"])
def test_one_odd_subject_among_many_is_dropped_alone(odd: str) -> None:
    rows = [(SubjectRef(name), {"likes": 1}) for name in ("a", odd, "y" * 256)]
    normal = normalise([said(rows, GOOD)], NOW)
    assert [one.external_id for one in normal.readings[0].subjects] == ["a", "y" * 256]
    assert [drop.reason for drop in normal.drops] == [DropReason.MISSING_ID]


def test_subjects_and_numbers_go_side_by_side() -> None:
    with pytest.raises(ValueError, match="side by side"):
        Observations(subjects=[SubjectRef("a")], metrics=[], **GOOD)
