"""Reading a counter that is looked at again and again: growth, corrections, suspected resets, first sight.

These are ways of reading. The ledger books every movement signed and whole; how a movement is shared out over days is
decided there too.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.kpi.measure import Quality, Reason

RESET_BELOW = 10
"""A fall to less than one part in this many of the old value is suspected to be a reset."""


class Step(enum.StrEnum):
    """What happened between two neighbouring values of one counter."""

    GROWTH = "growth"
    CORRECTION = "correction"
    RESET = "reset"  # declared: the counter began anew
    SUSPECTED_RESET = "suspected_reset"


class FirstSight(msgspec.Struct, frozen=True, kw_only=True):
    """What a counter's first value means: growth since publication, or only a baseline."""

    delta: int | None
    baseline: int | None
    window: tuple[datetime, datetime] | None
    quality: Quality
    reason: Reason | None = None


def classify(old: int, new: int, *, declared_reset: bool = False, reset_below: int = RESET_BELOW) -> Step:
    """Return what kind of step leads from ``old`` to ``new``."""
    if declared_reset:
        return Step.RESET
    if new >= old:
        return Step.GROWTH
    return Step.SUSPECTED_RESET if new * reset_below < old else Step.CORRECTION


def classify_all(values: Sequence[int]) -> list[Step]:
    """Return the step between each pair of neighbours."""
    return [classify(old, new) for old, new in itertools.pairwise(values)]


def signed(values: Sequence[int]) -> list[int]:
    """Return signed movements; they add up to last minus first."""
    return [new - old for old, new in itertools.pairwise(values)]


def held(values: Sequence[int]) -> list[int | None]:
    """Return signed movements with None where a reset is suspected: no guess is published."""
    steps = classify_all(values)
    return [None if step is Step.SUSPECTED_RESET else move for step, move in zip(steps, signed(values), strict=True)]


def high_water(values: Sequence[int]) -> list[int]:
    """Return movements of the highest value so far: none is negative, later growth fills the hole first."""
    marks = list(itertools.accumulate(values, max))
    return [new - old for old, new in itertools.pairwise(marks)]


def first_sight(value: int, seen: datetime, published: datetime | None, *, tracked_from_publish: bool) -> FirstSight:
    """Return how a first value is to be read.

    It is growth only if the whole life of the post was watched; otherwise it says nothing about when it happened.
    """
    if tracked_from_publish and published is not None:
        window = (published, seen)
        return FirstSight(delta=value, baseline=None, window=window, quality=Quality.OBSERVED_SINCE_PUBLISH)
    return FirstSight(
        delta=None,
        baseline=value,
        window=None,
        quality=Quality.BASELINE_ONLY,
        reason=Reason.HISTORY_BEFORE_TRACKING,
    )
