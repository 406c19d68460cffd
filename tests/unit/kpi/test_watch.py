"""Series that are watched, and posts that gather, without books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.kpi import watch
from service.kpi.anomaly import negbin_tail, poisson_tail
from service.kpi.swarms import Post, gathered
from tests.golden.cases import CASES

START = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("number", range(4))
def test_g34_as_a_series(number: int) -> None:
    case = CASES["G34"]
    given, expected = case.inputs[number], case.expected[number]
    (found,) = watch.watched([*given["history"], given["observed"]], len(given["history"]), 7)
    assert found.usual == expected["median"]
    case.agrees(
        {
            "mad": found.found.mad,
            "robust_z": found.found.robust_z,
            "spike": found.found.spike,
        },
        expected,
    )
    assert found.out is bool(expected["spike"])


def test_a_count_that_never_varied_can_fall_as_well_as_rise() -> None:
    for observed, out in ((40.0, True), (25.0, False), (2.0, True)):
        (found,) = watch.watched([20.0] * 12 + [observed], 12, 7)
        assert found.out is out, observed
    assert not watch.watched([0.0] * 12 + [5.0], 12, 7)[0].out  # silence gives no scale


def test_little_history_and_gaps() -> None:
    assert watch.watched([1.0] * 7 + [9.0], 7, 7) == []
    assert watch.watched([1.0] * 12 + [None], 12, 7) == []
    (found,) = watch.watched([None, 1.0, None, *[2.0, 3.0] * 5, 9.0], 13, 7)
    assert found.history == 11


def test_weeks_are_compared_where_they_are_known() -> None:
    noise = [(60.0 if at % 7 == 6 else 10.0) + at % 3 for at in range(70)]
    usual = watch.watched(noise, 63, 7)
    assert all(one.seasonal and not one.out for one in usual)
    moved = [*noise[:-1], 10.0]  # the loud day stays away
    (quiet,) = [one for one in watch.watched(moved, 63, 7) if one.out]
    assert (quiet.place, quiet.observed < quiet.usual) == (69, True)


def test_a_shift_is_one_that_stays() -> None:
    before = [100.0, 104.0, 96.0, 102.0, 98.0] * 4
    up = watch.shift([*before, 106, 107, 106, 108, 107, 106], 20)
    assert up is not None
    assert up.place in range(21, 24)
    assert up.average > up.high
    assert watch.shift([*before, 140, 100, 98, 101, 97, 100, 99, 98, 102, 96], 20) is None  # once, and back again
    assert watch.shift([5.0] * 20 + [9.0] * 5, 20) is None  # without any variation there are no limits
    assert watch.shift(before, 20) is None


def _posts(hours: dict[int, int], authors: int) -> list[Post]:
    return [
        Post(at=START + timedelta(hours=hour, minutes=n), author=f"a{n % authors}")
        for hour, number in hours.items()
        for n in range(number)
    ]


def test_an_hour_is_a_swarm_against_the_hours_before() -> None:
    quiet = _posts(dict.fromkeys(range(0, 48, 4), 1), 1)
    many = _posts({48: 41}, 9)
    found = gathered([*quiet, *many], START, START + timedelta(days=3), history=timedelta(days=28))
    (one,) = found
    assert (one.posts, one.authors, one.hours) == (41, 9, 48)
    assert one.found.author_ratio == pytest.approx(CASES["G36"].expected["author_ratio"])
    assert one.found.concentrated
    assert one.found.negbin_tail_p == negbin_tail(41, one.baseline, one.dispersion)
    organic = gathered([*quiet, *_posts({48: 41}, 41)], START, START + timedelta(days=3), history=timedelta(days=28))
    assert organic[0].found.concentrated is False
    nameless = [Post(at=post.at, author=None) for post in many]
    unknown = gathered([*quiet, *nameless], START, START + timedelta(days=3), history=timedelta(days=28))
    assert unknown[0].found.concentrated is None


def test_what_is_no_swarm() -> None:
    ends = START + timedelta(days=3)
    month = timedelta(days=28)
    assert gathered([], START, ends, history=month) == []
    assert gathered(_posts({0: 40}, 9), START, ends, history=month) == []  # the first hour has nothing before it
    assert gathered(_posts(dict.fromkeys(range(60), 12), 9), START, ends, history=month) == []
    assert gathered(_posts({0: 1, 50: 4}, 4), START, ends, history=month) == []
    wild = _posts({hour: 40 * (hour % 12 == 0) for hour in range(60)}, 9)
    assert gathered(wild, START, ends, history=month) == []  # it is always like that
    assert poisson_tail(40, 40 / 12) < 1e-20
