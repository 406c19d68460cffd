"""The members of campaigns, with what is known of them: read once, and remembered until a posting shapes the campaign.

Of then they are read anew each time; those of now carry the posting that they were read at (``service.db.recall``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service import ids
from service.db.recall import recall_of
from service.ledger.history.knowledge import seen
from service.ledger.statements import FACTS

_FACTS = ("type", "published_at", "creator", "followers_at_publish")
"""What a number depends on; the other facts of a subject are for rules."""
_FACTS_THEN = f"""
select distinct on (f.subject_id, f.name) f.subject_id, f.name, f.value
from {FACTS} f join postings p using (workspace_id, batch)
where f.workspace_id = $1 and f.subject_id = any((select $2::uuid[])::uuid[]) and f.name = any($3::text[])
  and p.posting <= $4
order by f.subject_id, f.name, p.posting desc
"""


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A subject that counts in a campaign, with the facts that numbers depend on.

    ``observed_at`` is its newest reading and ``longest`` the days of its longest window; both are those of now.
    """

    subject_id: UUID
    platform: str
    external_id: str
    type: str
    published: str | None = None
    creator: str | None = None
    followers_at_publish: int | None = None
    observed_at: datetime | None = None
    longest: int = 1

    @property
    def published_at(self) -> datetime | None:
        """Return when it was published, where that is known."""
        return datetime.fromisoformat(self.published) if self.published else None

    def knowing(self, facts: Mapping[str, Any]) -> Member:
        """Return the member with other facts, by name."""
        followers = facts.get("followers_at_publish")
        return msgspec.structs.replace(
            self,
            type=str(facts.get("type", self.type)),
            published=facts.get("published_at"),
            creator=facts.get("creator"),
            followers_at_publish=None if followers is None else int(followers),
        )


class Members(tuple[Member, ...]):  # noqa: SLOT001 - what is told once has to stand somewhere
    """Members in an order of their own, with what answers ask of all of them: told once, when it is first asked."""

    @cached_property
    def subject_ids(self) -> tuple[UUID, ...]:
        """Return their ids."""
        return tuple(member.subject_id for member in self)

    @cached_property
    def named(self) -> tuple[tuple[str], ...]:
        """Return the public text of each id, as the words of the dimension ``subject`` are."""
        return tuple((ids.show("subject", subject_id),) for subject_id in self.subject_ids)

    @cached_property
    def by_name(self) -> tuple[int, ...]:
        """Return their places in the order of these texts."""
        return tuple(sorted(range(len(self)), key=self.named.__getitem__))

    @cached_property
    def platforms(self) -> tuple[str, ...]:
        """Return the platforms they are on."""
        return tuple(sorted({member.platform for member in self}))

    @cached_property
    def longest(self) -> int:
        """Return how many days a window of theirs may have."""
        return max((member.longest for member in self), default=1)

    @cached_property
    def freshness(self) -> Mapping[str, datetime]:
        """Return the newest reading of each platform."""
        found: dict[str, datetime] = {}
        for member in self:
            if member.observed_at is not None:
                found[member.platform] = max(member.observed_at, found.get(member.platform, member.observed_at))
        return found


_COLUMNS = ("ids", "names", "platforms", "types", "published", "creators", "followers", "observed", "longest")
Stamp = tuple[int, datetime]
"""Number and time of the posting that last shaped a campaign."""


@lru_cache(maxsize=4)
def _members(*, then: bool, several: bool) -> str:
    """Return SQL for a row of columns per campaign: of the one that is $2, or of all that $2 lists."""
    own = "c.campaign_id" if several else "$2"
    return f"""
    select c.campaign_id, m.*
    from {"unnest($2::uuid[]) as c (campaign_id)" if several else "(select $2::uuid as campaign_id) as c"}
    cross join lateral (
      select array_agg(subject_id) as ids, array_agg(platform) as platforms, array_agg(external_id) as names,
        array_agg(type) as types, array_agg(published) as published, array_agg(creator) as creators,
        array_agg(followers) as followers, array_agg(observed_at) as observed, array_agg(longest) as longest
      from (
        select s.subject_id, s.platform, s.external_id, coalesce(s.facts -> 'type' ->> 1, s.type) as type,
          s.facts -> 'published_at' ->> 1 as published, s.facts -> 'creator' ->> 1 as creator,
          (s.facts -> 'followers_at_publish' ->> 1)::numeric::bigint as followers, s.observed_at, s.longest
        from subjects s
        join (
          select n.subject_id from memberships n
          where n.workspace_id = $1 and n.campaign_id = {own} and {seen(0 if then else None, 3, "n")}
          group by n.subject_id having sum(n.sign) > 0
        ) standing using (subject_id)
        where s.workspace_id = $1 order by s.platform, s.external_id collate "C"
      ) one
    ) m
    """


async def members_at(
    connection: asyncpg.Connection[Any], workspace_id: UUID, stamps: Mapping[UUID, Stamp], number: int | None
) -> dict[UUID, Members]:
    """Return the members of campaigns as they are known at a posting (None: now), in the order of platforms' ids.

    ``stamps`` are the campaigns, with the postings that last shaped them as they stand in the same snapshot.
    """
    if number is not None:
        read = await _read(connection, workspace_id, list(stamps), number)
        return {one: await _knowing_then(connection, workspace_id, members, number) for one, members in read.items()}
    recall = recall_of(connection)
    found: dict[UUID, Members] = {}
    for campaign_id, stamp in stamps.items():
        members = None if recall is None else recall.get((workspace_id, campaign_id), stamp)
        if members is not None:
            found[campaign_id] = members
    missing = [campaign_id for campaign_id in stamps if campaign_id not in found]
    for campaign_id, members in (await _read(connection, workspace_id, missing, None)).items():
        found[campaign_id] = members
        if recall is not None:
            recall.put((workspace_id, campaign_id), stamps[campaign_id], members, len(members) + 1)
    return found


async def _read(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_ids: Sequence[UUID], number: int | None
) -> dict[UUID, Members]:
    if not campaign_ids:
        return {}
    several = len(campaign_ids) > 1
    query = _members(then=number is not None, several=several)
    rows = await connection.fetch(query, workspace_id, list(campaign_ids) if several else campaign_ids[0], number)
    return {row["campaign_id"]: _told(row) for row in rows}


def _told(row: Mapping[str, Any]) -> Members:
    """Return the members in a row of columns; what many of them share is kept once."""
    once: dict[Any, Any] = {}
    columns = [row[name] or () for name in _COLUMNS]
    told = [[once.setdefault(value, value) for value in column] for column in columns[2:]]
    return Members(
        Member(
            subject_id=subject_id,
            external_id=name,
            platform=platform,
            type=kind,
            published=published,
            creator=creator,
            followers_at_publish=followers,
            observed_at=observed_at,
            longest=longest,
        )
        for subject_id, name, platform, kind, published, creator, followers, observed_at, longest in zip(
            columns[0], columns[1], *told, strict=True
        )
    )


async def _knowing_then(
    connection: asyncpg.Connection[Any], workspace_id: UUID, members: Members, number: int
) -> Members:
    """Return members with the facts of then."""
    facts: dict[UUID, dict[str, Any]] = defaultdict(dict)
    for row in await connection.fetch(_FACTS_THEN, workspace_id, members.subject_ids, _FACTS, number):
        facts[row["subject_id"]][row["name"]] = row["value"]
    return Members(member.knowing(facts[member.subject_id]) for member in members)
