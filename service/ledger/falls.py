"""Falls of counters and the ways of reading them: open ones, the highest value so far. Pure, over steps of one metric.

A fall below a tenth of the old value may be a correction or a counter that began anew. It is booked as it is and
withheld, until the counter is back where it was or a person says what it is. What a confirmed reset adds to the
numbers is in ``series.reset_steps``.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from service.ledger.series import Flag, Step


class Fall(NamedTuple):
    """A step: the instant it leads to, the two values, whether it fell below a tenth, and whether it was made up for.

    What counts is where the counter stands in the end, as for the sums that are withheld.
    """

    at: datetime
    old: int
    new: int
    suspected: bool
    recovered: bool


def in_time(chain: Iterable[Step]) -> list[Step]:
    """Return the steps of one metric in the order in which they follow each other."""
    return sorted(chain, key=lambda step: (step.end, step.flags & Flag.SAME))


def falls(chain: Iterable[Step], said: Container[datetime]) -> list[Fall]:
    """Return the falls below a tenth, and the steps that somebody has said something of."""
    ordered = in_time(chain)
    values = list(itertools.accumulate(step.delta for step in ordered))
    found = []
    for step, value in zip(ordered, values, strict=True):
        suspect = bool(step.flags & Flag.SUSPECT)
        if suspect or (step.end in said and not step.flags & Flag.SAME):
            old = value - step.delta
            found.append(Fall(step.end, old, value, suspect, recovered=values[-1] >= old))
    return found


def high_water(chain: Iterable[Step], resets: Sequence[Step] = ()) -> list[Step]:
    """Return what to add to signed sums so that they count the highest value so far; nothing where nothing fell.

    No movement is negative then: later growth first fills the hole. ``resets`` are what confirmed resets add; a counter
    that began anew has a highest value of its own.
    """
    value = mark = 0
    anew = {step.end for step in resets}
    found = [step._replace(delta=-step.delta) for step in resets]
    for step in in_time(chain):
        value += step.delta
        if step.end in anew and not step.flags & Flag.SAME:
            mark = 0
        rise = max(value - mark, 0)
        mark = max(mark, value)
        if rise != step.delta:
            # Both are cut by themselves: a share of a difference is not the difference of shares.
            found += [step._replace(delta=-step.delta), step._replace(delta=rise)]
    return found
