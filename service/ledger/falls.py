"""Falls of counters and the ways of reading them: open ones, the highest value so far. Pure, over steps of one metric.

A fall below a tenth of the old value may be a correction or a counter that began anew. It is booked as it is and
withheld, until the counter is back where it was or a person says what it is. What a confirmed reset adds to the
numbers is in ``series.reset_steps``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import NamedTuple

from service.ledger.series import Flag, Step


class Fall(NamedTuple):
    """A step down: the instant of the lower value, the two values, and whether the counter came back."""

    at: datetime
    old: int
    new: int
    recovered: bool


def in_time(chain: Iterable[Step]) -> list[Step]:
    """Return the steps of one metric in the order in which they follow each other."""
    return sorted(chain, key=lambda step: (step.end, step.flags & Flag.SAME))


def suspected(chain: Iterable[Step]) -> list[Fall]:
    """Return the falls below a tenth, each with whether the counter reached its old value again."""
    ordered = in_time(chain)
    values, value = [], 0
    for step in ordered:
        value += step.delta
        values.append(value)
    found = []
    for place, step in enumerate(ordered):
        if step.flags & Flag.SUSPECT:
            old = values[place] - step.delta
            # What counts is where the counter stands in the end, as for the sums that are withheld.
            found.append(Fall(step.end, old, values[place], recovered=values[-1] >= old))
    return found


def open_resets(chain: Iterable[Step], settled: Container[datetime]) -> list[Fall]:
    """Return the suspected falls that are still open: not recovered, and nobody has said what they are."""
    return [fall for fall in suspected(chain) if not fall.recovered and fall.at not in settled]


def high_water(chain: Iterable[Step]) -> list[int]:
    """Return the movements of the highest value so far: none is negative, later growth fills the hole first."""
    value = mark = 0
    found = []
    for step in in_time(chain):
        value += step.delta
        found.append(max(value - mark, 0))
        mark = max(mark, value)
    return found
