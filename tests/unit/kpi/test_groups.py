"""All groups at once say what ``evaluate`` says of each, to the last digit."""

from __future__ import annotations

import os
import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from connectors.contract import METRICS
from service.kpi.catalogue import CATALOGUE, Kind, Kpi
from service.kpi.compare import change
from service.kpi.evaluate import CoverageMode, evaluate
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
_SEEDS = int(os.environ.get("TALLYBOOK_SEEDS", "8"))
_SIZE = 24
_LARGE = (*range(3001), 5 * 10**6, 7 * 10**12, 10**15)
_HUGE = (*_LARGE, -4, 2**61)


def _amount(rng: random.Random, pool: Sequence[int], unknown: float) -> int | None:
    if rng.random() < unknown:
        return None
    return rng.choice((0, 1, 2, rng.choice(pool), rng.choice(pool)))


def books(seed: int) -> tuple[MemberSums, list[list[int]]]:
    """Make up sums of some members, and groups of one, of few and of many, that may share members."""
    rng = random.Random(seed)
    unknown, pool = rng.choice((0.0, 0.1, 0.5)), rng.choice((range(60), range(5000), _LARGE, _HUGE))
    present = [key for key in _KEYS if rng.random() < 0.8]
    values = {key: [_amount(rng, pool, unknown) for _ in range(_SIZE)] for key in present}
    sums = msgspec.structs.replace(
        member_sums([str(number) for number in range(_SIZE)], values),
        shared=rng.choice(({}, {"cost_production": 5_000_000})),
        withheld=rng.choice(({}, {}, {"views": Reason.SUSPECTED_RESET})),
        quality=rng.choice(({}, {"likes": Quality.INTERPOLATED}, {"impressions": Quality.ESTIMATED})),
        said=rng.choice(({}, {"likes": np.arange(_SIZE) % 5, "clicks_link": np.zeros(_SIZE, dtype=np.int64)})),
    )
    several = [rng.sample(range(_SIZE), size) for size in (2, 4, 5, 5, 6, 7, _SIZE) for _ in range(2)]
    return sums, [[place] for place in range(_SIZE)] + ([] if seed % 3 == 0 else several)


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


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_groups_are_what_evaluate_makes_of_each(seed: int) -> None:
    sums, listed = books(seed)
    rng, groups = random.Random(seed), grouping(listed)
    currency, level = rng.choice(("EUR", "EUR", None)), rng.choice((0.9, 0.95))
    mode: CoverageMode = rng.choice(("report", "report", "strict"))
    for kpi in CATALOGUE.values():
        parts = [take(sums, np.array(places, dtype=np.intp)) for places in listed]
        values = [evaluate(kpi, part, currency=currency, level=level, coverage=mode) for part in parts]
        more: Any = {"currency": currency, "level": level, "coverage": mode}
        assert evaluate_groups(kpi, sums, groups, **more) == values, kpi.slug
        limits = [_limits(value) for value in values]
        for which, expected in (
            (Which.VALUE, [_told(value.value) for value in values]),
            (Which.LOW, [low for low, _ in limits]),
            (Which.HIGH, [high for _, high in limits]),
        ):
            _same(kpi, figures(kpi, sums, groups, which, **more), expected)
        ahead = figures(kpi, sums, groups, Which.VALUE, **more)
        alone = kpi.kind in (Kind.LEVEL, Kind.UNIQUE) and groups.are_single
        assert (ahead is not None) or not alone
        if ahead is not None:
            turned = Figures(numbers=[*ahead.numbers[1:], ahead.numbers[0]], units=ahead.units)
            pairs = zip(values, [*values[1:], values[0]], strict=True)
            fractions = [change(now.value, before.value).fraction for now, before in pairs]
            assert list(changes(kpi, ahead, turned).numbers) == fractions, kpi.slug


def test_every_stored_metric_is_in_a_formula_that_is_tried() -> None:
    assert set(_MONEY) <= METRICS.keys()
