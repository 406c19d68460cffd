"""Ranking by the lower limit of an interval: a lucky post with few impressions does not win.

The value itself stays what it is; only the order is careful.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.kpi.rates import LEVEL, wilson_limits


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Something to rank: a post with clicks and impressions. None is unknown."""

    id: str
    numerator: int | None
    denominator: int | None


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate with its rate and the lower limit that it is ordered by; both None sort last."""

    id: str
    rate: float | None
    lower_limit: float | None


def _measured(candidate: Candidate, level: float) -> Ranked:
    above, below = candidate.numerator, candidate.denominator
    if above is None or below is None or below <= 0:
        return Ranked(id=candidate.id, rate=None, lower_limit=None)
    limits = wilson_limits(above, below, level)
    return Ranked(id=candidate.id, rate=above / below, lower_limit=None if limits is None else limits[0])


def by_lower_limit(candidates: Sequence[Candidate], level: float = LEVEL) -> list[Ranked]:
    """Return the candidates, best first. Equal limits are ordered by rate, then by id, so that pages do not jump."""
    ranked = [_measured(candidate, level) for candidate in candidates]
    return sorted(ranked, key=_order)


def _order(one: Ranked) -> tuple[bool, float, float, str]:
    return one.lower_limit is None, -(one.lower_limit or 0.0), -(one.rate or 0.0), one.id
