"""A campaign as it stood at a posting: version and members, with what is known of them, in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.errors import NotFound
from service.ledger.history.knowledge import Knowledge, resolved, seen
from service.ledger.memberships import version_of
from service.ledger.statements import FACTS
from service.records import CampaignVersion

_FACTS = ("type", "published_at", "creator", "followers_at_publish")
"""What a number depends on; the other facts of a subject are for rules."""
_NEWEST = """
select b.posting, b.recorded_at from campaigns c left join books b on b.workspace_id = $1
where c.workspace_id = $1 and c.campaign_id = $2
"""
_OF_STRATEGY = """
select c.campaign_id from strategies s
left join campaigns c on c.workspace_id = $1 and c.strategy_id = s.strategy_id
where s.workspace_id = $1 and s.strategy_id = $2 order by c.campaign_id
"""
_FACTS_THEN = f"""
select distinct on (f.subject_id, f.name) f.subject_id, f.name, f.value
from {FACTS} f join postings p using (workspace_id, batch)
where f.workspace_id = $1 and f.subject_id = any($2::uuid[]) and f.name = any($3::text[]) and p.posting <= $4
order by f.subject_id, f.name, p.posting desc
"""

_FRESH_THEN = f"""
select u.platform, max(e.observed_at) as at from entries e
join subjects u on u.workspace_id = $1 and u.subject_id = e.subject_id
where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and {seen(0, 3)}
group by u.platform order by u.platform
"""


class Member(msgspec.Struct, frozen=True, kw_only=True):
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


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as an answer knows it; members in the order of their platforms' ids: ours tell who was named first."""

    zone: str
    currency: str
    knowledge: Knowledge
    version: CampaignVersion
    members: tuple[Member, ...]
    campaign_id: UUID
    strategy_id: UUID | None


@lru_cache(maxsize=4)
def _campaign(*, then: bool, several: bool = False) -> str:
    """Return SQL for a row per campaign: of the one that is $2, or of all that $2 lists."""
    number = 0 if then else None
    one = "c.campaign_id" if several else "$2"
    return f"""
    select c.campaign_id as asked_id, c.strategy_id, c.zone, c.currency, b.posting as newest, b.recorded_at, v.*, m.*
    from campaigns c
    left join books b on b.workspace_id = $1
    left join lateral (
      select v.* from campaign_versions v where v.workspace_id = $1 and v.campaign_id = {one} and {seen(number, 3, "v")}
      order by v.version desc limit 1
    ) v on true
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
          where n.workspace_id = $1 and n.campaign_id = {one} and {seen(number, 3, "n")}
          group by n.subject_id having sum(n.sign) > 0
        ) standing using (subject_id)
        where s.workspace_id = $1 order by s.platform, s.external_id collate "C"
      ) one
    ) m
    where c.workspace_id = $1 and c.campaign_id = {"any($2::uuid[]) order by c.campaign_id" if several else one}
    """


async def campaign_at(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, as_of: datetime | None, now: datetime
) -> Campaign:
    """Return a campaign as it is known at ``as_of`` (None: now).

    Raises :class:`NotFound` where there was none yet, and what ``knowledge.resolved`` raises.
    """
    then = None if as_of is None else await _resolved(connection, workspace_id, campaign_id, as_of, now)
    number = None if then is None else then.number
    row = await connection.fetchrow(_campaign(then=number is not None), workspace_id, campaign_id, number)
    if row is None or row["version"] is None:
        raise NotFound("no such campaign")
    return await _read(connection, workspace_id, row, then, now)


async def campaigns_at(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    campaign_ids: Sequence[UUID],
    as_of: datetime | None,
    now: datetime,
) -> list[Campaign]:
    """Return campaigns as they are known at ``as_of``, in the order of their ids; those that were not yet are left out.

    Raises what :func:`campaign_at` does, NotFound where one is none at all.
    """
    ids = sorted(set(campaign_ids))
    then = None if as_of is None else await _resolved(connection, workspace_id, ids[0], as_of, now)
    number = None if then is None else then.number
    rows = await connection.fetch(_campaign(then=number is not None, several=True), workspace_id, ids, number)
    if len(rows) < len(ids):
        raise NotFound("no such campaign")
    standing = [row for row in rows if row["version"] is not None]
    return [await _read(connection, workspace_id, row, then, now) for row in standing]


async def campaigns_of_strategy(
    connection: asyncpg.Connection[Any], workspace_id: UUID, strategy_id: UUID
) -> list[UUID]:
    """Return the campaigns of a strategy; to which one a campaign belongs never changes. Raises :class:`NotFound`."""
    rows = await connection.fetch(_OF_STRATEGY, workspace_id, strategy_id)
    if not rows:
        raise NotFound("no such strategy")
    return [row["campaign_id"] for row in rows if row["campaign_id"] is not None]


async def _read(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    row: Mapping[str, Any],
    then: Knowledge | None,
    now: datetime,
) -> Campaign:
    members = _members(row)
    if then is not None and then.number is not None:
        members = await _knowing_then(connection, workspace_id, members, then.number)
    return Campaign(
        zone=row["zone"],
        currency=row["currency"],
        knowledge=then or _now(row["newest"], row["recorded_at"], now),
        version=version_of(row),
        members=tuple(members),
        campaign_id=row["asked_id"],
        strategy_id=row["strategy_id"],
    )


def _now(posting: int | None, recorded_at: datetime, now: datetime) -> Knowledge:
    if posting is None:
        raise NotFound("no such workspace")
    return Knowledge(posting=posting, recorded_at=recorded_at, clock=now, number=None)


async def _resolved(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, as_of: datetime, now: datetime
) -> Knowledge:
    newest = await connection.fetchrow(_NEWEST, workspace_id, campaign_id)
    if newest is None:
        raise NotFound("no such campaign")
    return await resolved(connection, workspace_id, _now(newest["posting"], newest["recorded_at"], now), as_of)


def _members(row: Mapping[str, Any]) -> list[Member]:
    columns = ("ids", "platforms", "names", "types", "published", "creators", "followers", "observed", "longest")
    fields = Member.__struct_fields__
    return [
        Member(**dict(zip(fields, values, strict=True)))
        for values in zip(*(row[column] or () for column in columns), strict=True)
    ]


async def _knowing_then(
    connection: asyncpg.Connection[Any], workspace_id: UUID, members: Sequence[Member], number: int
) -> list[Member]:
    """Return members with the facts of then."""
    facts: dict[UUID, dict[str, Any]] = defaultdict(dict)
    ids = [member.subject_id for member in members]
    for row in await connection.fetch(_FACTS_THEN, workspace_id, ids, _FACTS, number):
        facts[row["subject_id"]][row["name"]] = row["value"]
    return [member.knowing(facts[member.subject_id]) for member in members]


async def freshness(
    connection: asyncpg.Connection[Any], workspace_id: UUID, members: Sequence[Member], number: int | None
) -> dict[str, datetime]:
    """Return the newest reading of each platform: of now as members carry it, of then from their entries."""
    if number is not None:
        rows = await connection.fetch(_FRESH_THEN, workspace_id, [member.subject_id for member in members], number)
        return {row["platform"]: row["at"] for row in rows}
    found: dict[str, datetime] = {}
    for member in members:
        if member.observed_at is not None:
            found[member.platform] = max(member.observed_at, found.get(member.platform, member.observed_at))
    return found
