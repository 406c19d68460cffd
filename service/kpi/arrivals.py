"""How late conversions come to be known after their click: a curve by age, learned from those that had time enough.

What the curve makes of a rate is in ``shares``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

FEWEST = 30
"""Conversions that a curve is learned from, at least."""


def curve(ages_days: Sequence[int], horizon_days: int) -> Mapping[int, float] | None:
    """Return the share of conversions that had arrived by each age up to the horizon, where it is 1.

    ``ages_days`` are whole days from click to knowledge, of clicks that are all older than the horizon; what took
    longer than that is left out, as it would be of the rate. None for too few.
    """
    inside = [max(0, age) for age in ages_days if age <= horizon_days]
    if len(inside) < FEWEST:
        return None
    counts, so_far = Counter(inside), 0
    found: dict[int, float] = {}
    for age in range(horizon_days + 1):
        so_far += counts[age]
        found[age] = float(Fraction(so_far, len(inside)))
    return found
