"""Reasons to look at a creator's engagement again: each with its value, what is usual, and a weight. Never a verdict.

A reason needs something to compare with; where there is too little, it is not given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from service.kpi.anomaly import THRESHOLD, spike

SUSPECT = 0.5
"""The score from which on a creator may be left out of a second number."""
FEWEST_PEERS = 8
FEWEST_LIKES = 200
_SILENT = 0.001  # comments per like below which a crowd of likes is unusually silent
_LOUD = 1.0  # comments per like above which there is more talk than liking
_STEP = 0.1  # of the followers, in one day
_FEW_DAYS = 14


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a creator over a range. None is unknown.

    ``followers`` are levels at the end of each day; ``posted`` tells, for each of these days, whether anything was
    published on it or on the day before.
    """

    id: str
    tier: str | None
    rate: float | None
    likes: int | None
    comments: int | None
    engagements: int | None
    impressions: int | None
    reach: int | None
    followers: Sequence[int | None] = ()
    posted: Sequence[bool] = ()


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """One reason: a value, what is usual, how much it weighs in [0, 1]."""

    code: str
    value: float
    usual: float | None
    weight: float
    detail: str


def signs(one: Profile, peers: Sequence[Profile]) -> list[Sign]:
    """Return the reasons to look at a creator again; ``peers`` are the creators of the same range, itself included."""
    found = (_beyond_views(one), _silent_or_loud(one), _off_tier(one, peers), _step(one))
    return [sign for sign in found if sign is not None]


def score(found: Sequence[Sign]) -> float:
    """Return how much speaks for a second look: the weights taken as independent."""
    return 1 - math.prod(1 - sign.weight for sign in found)


def is_suspect(found: Sequence[Sign]) -> bool:
    """Tell whether enough speaks for a second look to show a number without it too."""
    return score(found) >= SUSPECT


def _beyond_views(one: Profile) -> Sign | None:
    for name, base in (("impressions", one.impressions), ("reach", one.reach)):
        if one.engagements is not None and base and one.engagements > base:
            text = f"more engagements than {name}: {one.engagements} against {base}"
            return Sign(
                code="engagements_exceed_views", value=one.engagements / base, usual=1.0, weight=0.6, detail=text
            )
    return None


def _silent_or_loud(one: Profile) -> Sign | None:
    if one.likes is None or one.comments is None or one.likes < FEWEST_LIKES:
        return None
    ratio = one.comments / one.likes
    if ratio < _SILENT:
        text = f"{one.likes} likes and {one.comments} comments: a crowd that says nothing"
        return Sign(code="few_comments", value=ratio, usual=_SILENT, weight=0.3, detail=text)
    if ratio > _LOUD:
        text = f"{one.comments} comments for {one.likes} likes: more talk than liking"
        return Sign(code="many_comments", value=ratio, usual=_LOUD, weight=0.2, detail=text)
    return None


def _off_tier(one: Profile, peers: Sequence[Profile]) -> Sign | None:
    """Compare the logarithm of the engagement rate with those of the others of the tier."""
    if one.rate is None or one.rate <= 0:
        return None
    others = [
        peer.rate
        for peer in peers
        if peer.id != one.id and peer.tier == one.tier and peer.rate is not None and peer.rate > 0
    ]
    if len(others) < FEWEST_PEERS:
        return None
    found = spike([math.log(rate) for rate in others], math.log(one.rate))
    if found is None or found.robust_z is None or abs(found.robust_z) <= THRESHOLD:
        return None
    usual = math.exp(found.median)
    text = f"engagement rate {one.rate:.4g} where {usual:.4g} is usual in tier {one.tier}"
    return Sign(code="engagement_off_tier", value=one.rate, usual=usual, weight=0.4, detail=text)


def _step(one: Profile) -> Sign | None:
    """Find a day on which the followers jumped without anything published."""
    if len(one.followers) < _FEW_DAYS or len(one.posted) != len(one.followers):
        return None
    moves = [
        (place, after - before, before)
        for place, (before, after) in enumerate(zip(one.followers, one.followers[1:], strict=False), start=1)
        if before is not None and after is not None
    ]
    for at, (place, gained, before) in enumerate(moves):
        rest = [other for n, (_, other, _) in enumerate(moves) if n != at]
        found = spike(rest, gained) if len(rest) >= FEWEST_PEERS else None
        beyond = found is not None and (found.spike or (found.robust_z is None and gained > found.median))
        if beyond and gained > _STEP * max(before, 1) and not one.posted[place]:
            text = f"{gained} followers in a day without anything published"
            usual = None if found is None else found.median
            return Sign(code="followers_without_posts", value=gained, usual=usual, weight=0.5, detail=text)
    return None
