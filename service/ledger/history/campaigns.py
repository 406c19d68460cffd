"""A campaign as it stood at a posting: its version, and its members with what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.errors import NotFound
from service.ledger.history.knowledge import Knowledge, resolved, seen
from service.ledger.history.members import Members, members_at
from service.ledger.memberships import version_of
from service.ledger.posting import EVERY
from service.records import CampaignVersion

_NEWEST = """
select b.posting, b.recorded_at from campaigns c left join books b on b.workspace_id = $1
where c.workspace_id = $1 and c.campaign_id = $2
"""
_OF_STRATEGY = """
select c.campaign_id from strategies s
left join campaigns c on c.workspace_id = $1 and c.strategy_id = s.strategy_id
where s.workspace_id = $1 and s.strategy_id = $2 order by c.campaign_id
"""
_FRESH_THEN = f"""
select u.platform, max(e.observed_at) as at from entries e
join subjects u on u.workspace_id = $1 and u.subject_id = e.subject_id
where e.workspace_id = $1 and e.subject_id = any((select $2::uuid[])::uuid[]) and {seen(0, 3)}
group by u.platform order by u.platform
"""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as an answer knows it; members in the order of their platforms' ids: ours tell who was named first."""

    zone: str
    currency: str
    knowledge: Knowledge
    version: CampaignVersion
    members: Members
    campaign_id: UUID
    strategy_id: UUID | None


@lru_cache(maxsize=4)
def _campaign(*, then: bool, several: bool = False) -> str:
    """Return SQL for a row per campaign: of the one that is $2, or of all that $2 lists.

    With the posting that last shaped it: where none is kept, the newest of the workspace.
    """
    number = 0 if then else None
    one = "c.campaign_id" if several else "$2"
    return f"""
    select c.campaign_id as asked_id, c.strategy_id, c.zone, c.currency, b.posting as newest, b.recorded_at, v.*,
      coalesce(t.posting, b.posting) as shaped_by, coalesce(t.recorded_at, b.recorded_at) as shaped_at
    from campaigns c
    left join books b on b.workspace_id = $1
    left join lateral (
      select posting, recorded_at from campaign_postings t
      where t.workspace_id = $1 and t.campaign_id in ({one}, '{EVERY}') order by posting desc limit 1
    ) t on true
    left join lateral (
      select v.* from campaign_versions v where v.workspace_id = $1 and v.campaign_id = {one} and {seen(number, 3, "v")}
      order by v.version desc limit 1
    ) v on true
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
    (campaign,) = await _read(connection, workspace_id, [row], then, now)
    return campaign


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
    return await _read(connection, workspace_id, standing, then, now)


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
    rows: Sequence[Mapping[str, Any]],
    then: Knowledge | None,
    now: datetime,
) -> list[Campaign]:
    known = [then or _now(row["newest"], row["recorded_at"], now) for row in rows]
    stamps = {row["asked_id"]: (row["shaped_by"], row["shaped_at"]) for row in rows}
    members = await members_at(connection, workspace_id, stamps, None if then is None else then.number)
    return [
        Campaign(
            zone=row["zone"],
            currency=row["currency"],
            knowledge=knowledge,
            version=version_of(row),
            members=members[row["asked_id"]],
            campaign_id=row["asked_id"],
            strategy_id=row["strategy_id"],
        )
        for row, knowledge in zip(rows, known, strict=True)
    ]


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


async def freshness(
    connection: asyncpg.Connection[Any], workspace_id: UUID, members: Members, number: int | None
) -> Mapping[str, datetime]:
    """Return the newest reading of each platform: of now as members carry it, of then from their entries."""
    if number is None:
        return members.freshness
    rows = await connection.fetch(_FRESH_THEN, workspace_id, members.subject_ids, number)
    return {row["platform"]: row["at"] for row in rows}
