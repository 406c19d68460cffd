"""Posts that gather in an hour: more than the hours before allow for, and whether few or many people are behind them.

A swarm is a signal with numbers, never a verdict about people.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from service.kpi.anomaly import Swarm, swarm

RARE = 0.001
"""The negative binomial tail from which on an hour is a swarm."""
FEWEST_POSTS = 5
"""Fewer posts in an hour are no swarm, however quiet it was before."""
FEWEST_HOURS = 24
_HOUR = timedelta(hours=1)
_PRIOR = 0.5  # posts that are added to the history, so that silence before is not certainty


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """When something was published, and by whom; None is unknown."""

    at: datetime
    author: str | None


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """An hour in which posts gathered, against the hours before: posts per hour, authors per post, dispersion."""

    start: datetime
    posts: int
    authors: int
    baseline: float
    authors_per_post: float
    dispersion: float
    hours: int
    found: Swarm


def gathered(posts: Sequence[Post], start: datetime, end: datetime, *, history: timedelta) -> list[Gathered]:
    """Return the hours of ``[start, end)`` in which posts gathered, each against up to ``history`` before it.

    History begins with the first post that is known; with less than a day of it nothing is said.
    """
    if not posts:
        return []
    hours: dict[datetime, list[Post]] = defaultdict(list)
    for post in posts:
        hours[_floor(post.at)].append(post)
    first = min(hours)
    found = [
        _against(hours, at, max(first, at - history))
        for at in sorted(hours)
        if start <= at < end and len(hours[at]) >= FEWEST_POSTS
    ]
    return [one for one in found if one is not None and one.found.negbin_tail_p < RARE]


def _floor(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _against(hours: dict[datetime, list[Post]], at: datetime, since: datetime) -> Gathered | None:
    """Return an hour against those from ``since`` on; empty hours count."""
    number = int((at - since) / _HOUR)
    if number < FEWEST_HOURS:
        return None
    before = [hours.get(since + _HOUR * n, []) for n in range(number)]
    counts = [len(one) for one in before]
    baseline = (sum(counts) + _PRIOR) / number
    dispersion = max(1.0, statistics.pvariance(counts) / baseline)
    ratios = [len(_authors(one)) / len(one) for one in before if one and _authors(one)]
    here = hours[at]
    usual = statistics.fmean(ratios) if ratios else 1.0
    found = swarm(len(here), len(_authors(here)), baseline=baseline, authors_per_post=usual, dispersion=dispersion)
    if any(post.author is None for post in here):
        found = msgspec.structs.replace(found, author_ratio=None, concentrated=None)
    return Gathered(
        start=at,
        posts=len(here),
        authors=len(_authors(here)),
        baseline=baseline,
        authors_per_post=usual,
        dispersion=dispersion,
        hours=number,
        found=found,
    )


def _authors(posts: Sequence[Post]) -> set[str]:
    return {post.author for post in posts if post.author is not None}
