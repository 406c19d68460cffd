"""What is known of each creator over a range, and the reasons to look at their engagement again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from service.kpi.measure import significant
from service.kpi.members import MemberSums, count, exact_sum, read, take
from service.kpi.periods import day_start, local_day
from service.kpi.suspicion import Profile, Sign, signs
from service.ledger.history.people import levels, levels_at
from service.ledger.history.profiles import profiles
from service.ledger.history.spans import Span
from service.reports.answer import SignOut, WarningOut
from service.reports.question import Asked

BEHIND = ("likes", "comments", "engagements", "impressions", "reach")
"""What must be summed for reasons to be told."""
_MOST_DAYS = 92
Creator = tuple[str, str | None]


class Crowd(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The reasons by creator, and what could not be looked at."""

    signs: Mapping[Creator, Sequence[Sign]]
    warnings: tuple[WarningOut, ...]


async def followers_now(raw: asyncpg.Connection[Any], asked: Asked) -> Mapping[UUID, int]:
    """Return the followers of each post's profile at the clock of the answer."""
    clock = asked.knowledge.clock
    asks = {
        member.subject_id: (member.platform, member.creator, clock)
        for member in asked.members
        if member.creator is not None
    }
    read_ = await levels_at(raw, asked.workspace_id, list(dict.fromkeys(asks.values())), asked.knowledge.number)
    return {subject_id: read_[key] for subject_id, key in asks.items() if key in read_}


async def signs_of(raw: asyncpg.Connection[Any], asked: Asked, part: MemberSums, tiers: Sequence[str | None]) -> Crowd:
    """Return the reasons to look again at each creator of a campaign."""
    groups: dict[Creator, list[int]] = defaultdict(list)
    for at, member in enumerate(asked.members):
        if member.type != "profile":
            groups[member.platform, member.creator].append(at)
    days = _days(asked)
    grown = await _followers(raw, asked, groups, days) if days else {}
    known = {
        creator: _profile(asked, part, creator, places, tiers, days, grown.get(creator, ()))
        for creator, places in groups.items()
    }
    peers = list(known.values())
    too_long = () if days else (_TOO_LONG,)
    return Crowd(signs={creator: signs(one, peers) for creator, one in known.items()}, warnings=too_long)


def reasons_of(found: Sequence[Sign]) -> tuple[SignOut, ...]:
    """Return reasons as they are answered."""
    return tuple(
        SignOut(
            code=sign.code,
            value=significant(sign.value),
            usual=None if sign.usual is None else significant(sign.usual),
            weight=sign.weight,
            detail=sign.detail,
        )
        for sign in found
    )


_TOO_LONG = WarningOut(
    code="followers_not_watched",
    detail=f"days of followers are looked at over {_MOST_DAYS} days at most",
    pointer="?range",
)


def _days(asked: Asked) -> tuple[date, ...]:
    """Return the days of the range that are over."""
    period = asked.period
    if period.start is None or len(period.days) > _MOST_DAYS:
        return ()
    today = local_day(asked.knowledge.clock, asked.zone)
    return tuple(day for day in period.days if day < today)


async def _followers(
    raw: asyncpg.Connection[Any], asked: Asked, groups: Mapping[Creator, Sequence[int]], days: Sequence[date]
) -> dict[Creator, list[int | None]]:
    """Return the followers of every profile at the end of each day."""
    named = [(platform, creator) for platform, creator in groups if creator is not None]
    subjects = await profiles(raw, asked.workspace_id, named)
    spans = [
        Span(
            number=number,
            start=day_start(day, asked.zone),
            end=day_start(day + timedelta(days=1), asked.zone),
            first_day=day,
            last_day=day,
        )
        for number, day in enumerate(days)
    ]
    found = await levels(raw, asked.workspace_id, list(subjects.values()), "followers", spans, asked.knowledge.number)
    return {
        creator: [level.end if (level := found.get((span.number, subject))) is not None else None for span in spans]
        for creator, subject in subjects.items()
    }


def _profile(
    asked: Asked,
    part: MemberSums,
    creator: Creator,
    places: Sequence[int],
    tiers: Sequence[str | None],
    days: Sequence[date],
    followers: Sequence[int | None],
) -> Profile:
    own = take(part, np.array(places, dtype=np.intp))
    engagements, impressions = _sum(own, "engagements"), _sum(own, "impressions")
    published = {local_day(at, asked.zone) for place in places if (at := asked.members[place].published_at) is not None}
    near = [bool({day, day - timedelta(days=1)} & published) for day in days]
    return Profile(
        id=f"{creator[0]}:{creator[1]}",
        tier=tiers[places[-1]],
        rate=engagements / impressions if engagements is not None and impressions else None,
        likes=_sum(own, "likes"),
        comments=_sum(own, "comments"),
        engagements=engagements,
        impressions=impressions,
        reach=_sum(own, "reach"),
        followers=followers,
        posted=near if followers else (),
    )


def _sum(part: MemberSums, key: str) -> int | None:
    column = read(part, key)
    return exact_sum(column.values[column.known]) if count(column.known) else None
