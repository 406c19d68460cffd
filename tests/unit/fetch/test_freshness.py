from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import SubjectRef
from service.fetch.freshness import (
    BANDS,
    DAY,
    HOUR,
    JITTER,
    MUST,
    Growth,
    Known,
    band_of,
    choose,
    due,
    exposure,
    is_open,
    unseen,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LOOK_BACK = 90 * DAY


def post(name: str = "1", age: float = 24, waited: float | None = 2, count: int | None = 1000, **more: Any) -> Known:
    """Return a post by hours: its age, and how long nobody looked."""
    looked_at = None if waited is None else NOW - waited * HOUR
    return Known(subject=SubjectRef(name), born=NOW - age * HOUR, looked_at=looked_at, count=count, **more)


def grew(amount: int, hours: float, waited: float = 2) -> Growth:
    until = NOW - waited * HOUR
    return Growth(amount=amount, since=until - hours * HOUR, until=until)


hours = st.floats(0.01, 24 * 400)


@st.composite
def posts(draw: st.DrawFn, name: str = "1") -> Known:
    age = draw(hours)
    waited = draw(st.none() | st.floats(0, age))
    count = draw(st.none() | st.integers(0, 10**9))
    growth = None
    if waited is not None and draw(st.booleans()):
        growth = grew(draw(st.integers(-(10**6), 10**6)), draw(st.floats(0, age - waited)), waited)
    return post(name, age, waited, count, growth=growth)


def many(most: int = 30) -> st.SearchStrategy[list[Known]]:
    return (
        st.integers(0, most).flatmap(lambda size: st.tuples(*(posts(str(number)) for number in range(size)))).map(list)
    )


# ------------------------------------------------------------------------------------------------ growth


@given(first=hours, second=hours, third=hours)
def test_a_life_is_the_sum_of_its_parts_and_flattens(first: float, second: float, third: float) -> None:
    born = NOW
    one, two, three = (born + sum((first, second, third)[:number]) * HOUR for number in (1, 2, 3))
    whole = exposure(born, born, three)
    parts = exposure(born, born, one) + exposure(born, one, two) + exposure(born, two, three)
    assert parts == pytest.approx(whole)
    assert exposure(born, one, one) == 0
    assert exposure(born, one, one + HOUR) >= exposure(born, two, two + HOUR)


def test_what_grew_fast_is_expected_to_go_on_and_what_stood_still_to_stand() -> None:
    fast, slow = (post(growth=grew(amount, 12)) for amount in (6000, 0))
    steady = post(growth=grew(round(unseen(post(), NOW) * 6), 12))
    assert unseen(fast, NOW) > 500
    assert unseen(slow, NOW) < 10
    # What grew as the whole life says goes on so, a little less since it is older.
    assert unseen(steady, NOW) == pytest.approx(unseen(post(), NOW), rel=0.3)


def test_a_post_that_wakes_up_is_noticed_at_once() -> None:
    quiet, awake = (post(age=24 * 60, waited=1, count=10_000, growth=grew(amount, 1, 1)) for amount in (0, 500))
    assert unseen(awake, NOW) > 50 * unseen(quiet, NOW)


def test_of_two_posts_that_were_looked_at_once_the_larger_grows_more() -> None:
    large, small = post(count=100_000), post(count=100)
    assert unseen(large, NOW) == pytest.approx(1000 * unseen(small, NOW))


def test_young_posts_move_and_old_ones_hardly() -> None:
    ages = (6, 24, 24 * 7, 24 * 60)
    expected = [unseen(post(age=age), NOW) for age in ages]
    assert expected == sorted(expected, reverse=True)
    assert expected[0] > 50 * expected[-1]


def test_a_fall_or_nothing_known_is_no_growth() -> None:
    assert unseen(post(count=None), NOW) == 0
    assert unseen(post(growth=grew(-50, 2)), NOW) == pytest.approx(unseen(post(growth=grew(0, 2)), NOW))


@given(one=posts())
def test_growth_is_never_below_nothing_and_never_less_for_waiting(one: Known) -> None:
    assert unseen(one, NOW) >= 0
    assert unseen(one, NOW + HOUR) >= unseen(one, NOW)


# ------------------------------------------------------------------------------------------------ due


@given(one=posts())
def test_nobody_is_looked_at_sooner_or_later_than_the_band_says(one: Known) -> None:
    if one.looked_at is None:
        assert due(one, NOW, LOOK_BACK)
        assert is_open(one, NOW)
        return
    waited, band = NOW - one.looked_at, band_of(one, NOW)
    if waited < band.soonest:
        assert not due(one, NOW, LOOK_BACK)
        assert not is_open(one, NOW)
    if waited > band.latest * (1 + JITTER):
        assert due(one, NOW, LOOK_BACK)


def test_bands_are_in_order_and_each_has_room() -> None:
    assert all(band.soonest < band.latest for band in BANDS)
    for younger, older in itertools.pairwise(BANDS):
        assert (younger.age, younger.soonest, younger.latest) < (older.age, older.soonest, older.latest)
    assert BANDS[-1].age == timedelta.max


def test_between_its_bounds_a_post_is_due_when_enough_is_unseen() -> None:
    assert due(post(age=24 * 10, waited=2, growth=grew(40, 2)), NOW, LOOK_BACK)
    assert not due(post(age=24 * 10, waited=2, growth=grew(0, 2)), NOW, LOOK_BACK)
    # A tiny post is not looked at for parts of a click.
    assert not due(post(age=24 * 10, waited=2, count=1), NOW, LOOK_BACK)


def test_the_look_back_bounds_what_the_band_allows() -> None:
    quiet = post(age=24 * 200, waited=24 * 5, growth=grew(0, 24, 24 * 5))
    assert not due(quiet, NOW, LOOK_BACK)
    assert due(quiet, NOW, 5 * DAY)


def test_what_was_read_together_is_not_due_together() -> None:
    read = [post(str(number), age=24 * 60, waited=24, count=1) for number in range(300)]
    share = sum(due(one, NOW, LOOK_BACK, b"salt") for one in read) / len(read)
    assert 0.3 < share < 0.7
    assert [due(one, NOW, LOOK_BACK, b"salt") for one in read] == [due(one, NOW, LOOK_BACK, b"salt") for one in read]
    assert [due(one, NOW, LOOK_BACK, b"other") for one in read] != [due(one, NOW, LOOK_BACK, b"salt") for one in read]


# ------------------------------------------------------------------------------------------------ choosing


@given(known=many(), room=st.integers(-3, 40), data=st.data())
def test_the_choice_keeps_to_its_room_and_does_not_depend_on_the_order(
    known: list[Known], room: int, data: st.DataObject
) -> None:
    chosen = choose(known, NOW, LOOK_BACK, room, b"s")
    dues = [one for one in known if due(one, NOW, LOOK_BACK, b"s")]
    assert len(chosen) == min(max(room, 0), len(dues))
    assert choose(data.draw(st.permutations(known)), NOW, LOOK_BACK, room, b"s") == chosen
    assert choose(known, NOW, LOOK_BACK, room + 1, b"s")[: len(chosen)] == chosen


def test_what_the_look_back_would_lose_goes_first_then_what_was_never_seen_then_what_moves() -> None:
    late = post("late", age=24 * 400, waited=24 * 90 * MUST, growth=grew(0, 24, 24 * 90 * MUST))
    later = post("later", age=24 * 400, waited=24 * 80, growth=grew(0, 24, 24 * 80))
    new = post("new", age=1, waited=None, count=None)
    fast, slow = post("fast", growth=grew(500, 2)), post("slow", growth=grew(40, 2))
    chosen = choose([slow, fast, new, late, later], NOW, LOOK_BACK, 9)
    assert [one.subject.external_id for one in chosen] == ["later", "late", "new", "fast", "slow"]


def test_waiting_counts_as_much_as_growth() -> None:
    """A post that grows a ninth as fast is looked at a third as often, not a ninth: the square root of the rate."""
    fast = post("fast", age=24 * 20, waited=2, count=0, growth=grew(9000, 2, 2))
    slow = post("slow", age=24 * 20, waited=5.9, count=0, growth=grew(1000, 2, 5.9))
    order = [one.subject.external_id for one in choose([slow, fast], NOW, LOOK_BACK, 2)]
    assert order == ["fast", "slow"]
    slower = msgspec.structs.replace(slow, looked_at=NOW - 6.3 * HOUR)
    assert [one.subject.external_id for one in choose([slower, fast], NOW, LOOK_BACK, 2)] == ["slow", "fast"]


@settings(deadline=None, max_examples=8)
@given(size=st.integers(1, 20), room=st.integers(1, 3), seed=st.integers(0, 99))
def test_every_subject_is_seen_once_in_a_look_back_if_the_calls_suffice(size: int, room: int, seed: int) -> None:
    """However loud some are: the quiet ones are looked at before their look-back is over."""
    look_back = timedelta(hours=8 * size)
    known = {str(number): post(str(number), age=24 * 30 + number, waited=1 + number % 5) for number in range(size)}
    for step in range(1, 24 * size):
        now = NOW + step * HOUR
        loud = {name for name in known if (int(name) + seed) % 3 == 0}
        for one in choose(list(known.values()), now, look_back, room):
            name = one.subject.external_id
            growth = Growth(amount=10**6 if name in loud else 0, since=one.looked_at or one.born, until=now)
            known[name] = msgspec.structs.replace(one, looked_at=now, growth=growth)
        assert max(now - one.looked_at for one in known.values() if one.looked_at) <= look_back
