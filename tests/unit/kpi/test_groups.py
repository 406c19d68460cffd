"""All groups at once say what ``evaluate`` says of each, to the last digit."""

from __future__ import annotations

import os
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import METRICS
from service.kpi.catalogue import CATALOGUE, Kpi
from service.kpi.compare import change
from service.kpi.evaluate import evaluate
from service.kpi.figures import Figures, Which, changes, figures
from service.kpi.grouped import evaluate_groups
from service.kpi.grouping import grouping
from service.kpi.measure import Number, Quality, Reason, Value, significant
from service.kpi.members import FOLLOWERS_AT_PUBLISH, FOLLOWERS_START, MemberSums, member_sums, take

_MONEY = ("conversions", "conversion_value", "spend_media", "fee_creator")
_KEYS = (
    *("impressions", "clicks_link", "likes", "comments", "views", "reach", "orders", "refunds", "sessions"),
    *("watch_time", "video_completions", "followers", FOLLOWERS_START, FOLLOWERS_AT_PUBLISH),
    *_MONEY,
)
_TRIES = int(os.environ.get("TALLYBOOK_SEEDS", "6")) * 5
amounts = st.one_of(
    st.none(),
    st.just(0),
    st.integers(0, 9),
    st.integers(-5, 3000),
    st.integers(0, 10**9).map(lambda count: count * 1_000_000),
    st.just(2**61),
)
plain = st.one_of(st.none(), st.just(0), st.integers(0, 5000))


@st.composite
def books(draw: st.DrawFn) -> tuple[MemberSums, list[list[int]]]:
    """Draw sums of some members, and groups that may share members and may be large or single."""
    size = draw(st.integers(2, 14))
    kind = draw(st.sampled_from((amounts, plain, plain)))
    present = draw(st.sets(st.sampled_from(_KEYS), min_size=3))
    values = {key: draw(st.lists(kind, min_size=size, max_size=size)) for key in _KEYS if key in present}
    names = [str(number) for number in range(size)]
    said = draw(st.sampled_from(({}, {"likes": np.arange(size) % 5, "clicks_link": np.zeros(size, dtype=np.int64)})))
    sums = member_sums(names, values)
    sums = MemberSums(
        members=names,
        columns=sums.columns,
        shared=draw(st.sampled_from(({}, {"cost_production": 5_000_000}))),
        withheld=draw(st.sampled_from(({}, {}, {"views": Reason.SUSPECTED_RESET}))),
        quality=draw(st.sampled_from(({}, {"likes": Quality.INTERPOLATED}, {"impressions": Quality.ESTIMATED}))),
        said=said,
    )
    places = st.lists(st.integers(0, size - 1), min_size=1, max_size=size, unique=True)
    singles = [[place] for place in range(size)]
    return sums, draw(st.sampled_from((singles, [*singles, list(range(size))]))) + draw(st.lists(places, max_size=3))


def _told(number: Number | None) -> float | int | None:
    return float(Decimal(number)) if isinstance(number, str) else number


def _limits(value: Value) -> tuple[float | int | None, float | int | None]:
    return (None, None) if value.interval is None else (_told(value.interval.low), _told(value.interval.high))


def _same(kpi: Kpi, found: Figures | None, expected: list[float | int | None]) -> None:
    if found is None:
        return
    # A sum decides unrounded; money is decided to more digits than a float has.
    told, wanted = (
        [None if number is None else significant(float(number)) for number in numbers]
        for numbers in (found.exact(), expected)
    )
    assert told == wanted, kpi.slug


@settings(max_examples=_TRIES, deadline=None)
@given(books(), st.sampled_from(("EUR", None)), st.sampled_from(("report", "strict")), st.sampled_from((0.9, 0.95)))
def test_groups_are_what_evaluate_makes_of_each(
    drawn: tuple[MemberSums, list[list[int]]], currency: str | None, coverage: str, level: float
) -> None:
    sums, listed = drawn
    groups, mode = grouping(listed), "strict" if coverage == "strict" else "report"
    for kpi in CATALOGUE.values():
        parts = [take(sums, np.array(places, dtype=np.intp)) for places in listed]
        values = [evaluate(kpi, part, currency=currency, level=level, coverage=mode) for part in parts]  # type: ignore[arg-type]
        more = {"currency": currency, "level": level, "coverage": mode}
        assert evaluate_groups(kpi, sums, groups, **more) == values, kpi.slug  # type: ignore[arg-type]
        limits = [_limits(value) for value in values]
        for which, expected in (
            (Which.VALUE, [_told(value.value) for value in values]),
            (Which.LOW, [low for low, _ in limits]),
            (Which.HIGH, [high for _, high in limits]),
        ):
            _same(kpi, figures(kpi, sums, groups, which, **more), expected)  # type: ignore[arg-type]
        ahead = figures(kpi, sums, groups, Which.VALUE, **more)  # type: ignore[arg-type]
        if ahead is not None:
            turned = Figures(numbers=[*ahead.numbers[1:], ahead.numbers[0]], units=ahead.units)
            pairs = zip(values, [*values[1:], values[0]], strict=True)
            fractions = [change(now.value, before.value).fraction for now, before in pairs]
            assert list(changes(kpi, ahead, turned).numbers) == fractions, kpi.slug


def test_every_stored_metric_is_in_a_formula_that_is_tried() -> None:
    assert set(_MONEY) <= METRICS.keys()
