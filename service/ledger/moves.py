"""Subjects moved between campaigns after what decides about them changed: a few at a time, each few a posting.

A new version of a campaign, or other profiles of a creator, may move every subject of a workspace. One transaction for
that would keep everybody else from posting for minutes. So the change is recorded together with the first few moves,
and a row says how far one has come; the rest follows in postings of their own (:func:`go_on`). Between any two of them
the books are sound: who has moved counts there, who has not counts here. A crash leaves the row, and whoever looks next
goes on from it. Other windows of touches come to the members in the same way (``touch_windows``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.db.engine import driver
from service.ledger import recount, statements, touch_windows
from service.ledger.assign import Candidate, Profiles, Ruled, campaigns_of
from service.ledger.conversions import reattribute
from service.ledger.facts import sources_of
from service.ledger.memberships import Line, load_profiles, load_rules, write_lines
from service.ledger.posting import Posting, close_posting, open_posting
from service.records import CampaignVersion

MOST = 100
"""Subjects that one posting moves at most: nobody waits for it longer than a second or two."""
_CHUNK = 1000
_CHUNKS = 10
"""Subjects that one transaction decides about at most, in chunks."""

_CAUSE = "campaign"
_NOWHERE = UUID(int=0)
_BEGIN = """
insert into moves (workspace_id, campaign_id, after) select $1, unnest($2::uuid[]), $3
on conflict (workspace_id, campaign_id) do update set after = excluded.after
"""
_NEXT = "select campaign_id, after from moves where workspace_id = $1 order by campaign_id limit 1"
_WAITING = "select campaign_id, after from moves where workspace_id = $1"
_REACHED = "update moves set after = $3 where workspace_id = $1 and campaign_id = $2"
_DONE = "delete from moves where workspace_id = $1 and campaign_id = $2"
# Sweeps look there alone. Written under the workspace's lock, as what it stands for is.
_PEND = "insert into pending_moves (workspace_id) values ($1) on conflict do nothing"
_REST = "delete from pending_moves where workspace_id = $1"
_WAITS = "select true from pending_moves where workspace_id = $1"
_PENDING = sa.text("""
select workspace_id from pending_moves where workspace_id > :after order by workspace_id limit :limit
""")
_VERSION = """
select version, click_days, view_days from campaign_versions
where workspace_id = $1 and campaign_id = $2 order by version desc limit 1
"""


class _Part(msgspec.Struct, kw_only=True):
    """What one transaction moves: membership lines, the campaigns of these subjects before, how far it came."""

    lines: list[Line] = []
    before: dict[UUID, Mapping[UUID, str]] = {}
    after: UUID | None = None


async def record_version(
    connection: AsyncConnection, workspace_id: UUID, campaign_id: UUID, version: CampaignVersion, context: Context
) -> int:
    """Write the next version of a campaign in a posting of its own, and move the first subjects that it decides about.

    The workspace's transaction is the caller's; the campaign exists. Returns the version's number. :func:`go_on` moves
    the rest.
    """
    posting = await open_posting(connection, workspace_id, context, cause=_CAUSE, exclusive=True)
    raw = await driver(connection)
    newest = await raw.fetchrow(_VERSION, workspace_id, campaign_id)
    number = newest["version"] + 1 if newest else 1
    await raw.execute(
        statements.INSERT_VERSION,
        workspace_id,
        campaign_id,
        number,
        posting.batch,
        version.name,
        version.kind,
        version.starts,
        version.ends,
        version.budget,
        version.margin,
        version.click_days,
        version.view_days,
        msgspec.json.encode(version.goals).decode(),
        list(version.tactics),
        msgspec.json.encode(version.rules).decode(),
        version.archived,
    )
    other = newest and (newest["click_days"], newest["view_days"]) != (version.click_days, version.view_days)
    other = other or await touch_windows.is_pending(raw, workspace_id, campaign_id)
    await raw.execute(_BEGIN, workspace_id, [campaign_id], _NOWHERE)
    part = await _moved(raw, posting)
    touched = await touch_windows.begin(raw, posting, campaign_id, number) if other else set()
    await _credit(raw, posting, part, touched)
    await _note(raw, workspace_id)
    await close_posting(connection, posting, context)
    return int(number)


async def reassign_campaigns(
    connection: AsyncConnection, workspace_id: UUID, campaign_ids: Iterable[UUID], context: Context
) -> None:
    """Decide campaigns anew after what their rules look at changed (the profiles of a creator): the first subjects.

    :func:`go_on` decides about the rest.
    """
    posting = await open_posting(connection, workspace_id, context, cause=_CAUSE, exclusive=True)
    raw = await driver(connection)
    await raw.execute(_BEGIN, workspace_id, sorted(campaign_ids), _NOWHERE)
    await _credit(raw, posting, await _moved(raw, posting), set())
    await _note(raw, workspace_id)
    await close_posting(connection, posting, context)


async def go_on(connection: AsyncConnection, workspace_id: UUID, context: Context) -> bool:
    """Move the next subjects of a workspace that wait, in a posting of their own; tell whether more may wait.

    The transaction is the caller's. Without anybody to move and windows to widen or narrow there is no posting.
    """
    raw = await driver(connection)
    if not await raw.fetchval(_WAITS, workspace_id):
        return False
    posting = await open_posting(connection, workspace_id, context, cause=_CAUSE, exclusive=True)
    part = await _moved(raw, posting)
    touched = await touch_windows.go_on(raw, posting)
    await _credit(raw, posting, part, touched or set())
    await _note(raw, workspace_id)
    if part.lines or touched is not None:
        await close_posting(connection, posting, context)
    return True


async def waiting_anywhere(connection: AsyncConnection, limit: int, after: UUID | None = None) -> list[UUID]:
    """Return workspaces in which something waits, in their order, in a control transaction."""
    return list(await connection.scalars(_PENDING, {"after": after or _NOWHERE, "limit": limit}))


async def waiting(connection: asyncpg.Connection[Any], workspace_id: UUID) -> dict[UUID, UUID]:
    """Return the campaigns that are still being decided, with the subject up to which that is done."""
    return {row["campaign_id"]: row["after"] for row in await connection.fetch(_WAITING, workspace_id)}


async def _moved(raw: asyncpg.Connection[Any], posting: Posting) -> _Part:
    """Write the memberships of the next subjects. The caller has the workspace to itself."""
    part = await _next(raw, posting.workspace_id)
    await write_lines(raw, posting, part.lines)
    return part


async def _credit(raw: asyncpg.Connection[Any], posting: Posting, part: _Part, touched: AbstractSet[UUID]) -> None:
    """Credit what touches on subjects that moved and on ``touched`` lead to now, and make their tallies again."""
    moved = {line.subject_id for line in part.lines}
    credited = await reattribute(raw, posting, moved | touched) if moved or touched else set()
    await recount.recount_all(raw, posting, moved | credited, part.before, credited)


async def _note(raw: asyncpg.Connection[Any], workspace_id: UUID) -> None:
    """Note whether anything waits still, for sweeps."""
    waits = await raw.fetchval(_NEXT, workspace_id) or await touch_windows.are_waiting(raw, workspace_id)
    await raw.execute(_PEND if waits else _REST, workspace_id)


async def _next(raw: asyncpg.Connection[Any], workspace_id: UUID) -> _Part:
    """Return what is moved next, and note how far that comes."""
    row = await raw.fetchrow(_NEXT, workspace_id)
    if row is None:
        return _Part()
    part = await _decided(raw, workspace_id, row["campaign_id"], row["after"])
    if part.after is None:
        await raw.execute(_DONE, workspace_id, row["campaign_id"])
    else:
        await raw.execute(_REACHED, workspace_id, row["campaign_id"], part.after)
    return part


async def _decided(raw: asyncpg.Connection[Any], workspace_id: UUID, campaign_id: UUID, after: UUID) -> _Part:
    """Return what the rules of a campaign move among the next subjects."""
    rules = [rule for rule in await load_rules(raw, workspace_id) if rule.campaign_id == campaign_id]
    profiles = await load_profiles(raw, workspace_id, rules)
    part = _Part(after=after)
    for _ in range(_CHUNKS):
        rows = await raw.fetch(statements.SUBJECTS_AFTER, workspace_id, part.after, _CHUNK)
        campaigns = await recount.campaigns_of(raw, workspace_id, [row["subject_id"] for row in rows])
        for row in rows:
            part.after = row["subject_id"]
            _decide(part, row, campaigns.get(row["subject_id"], {}), rules[0], profiles)
            if len(part.lines) == MOST:
                return part
        if len(rows) < _CHUNK:
            part.after = None
            break
    return part


def _decide(
    part: _Part, row: Mapping[str, Any], counts_in: Mapping[UUID, str], rule: Ruled, profiles: Profiles
) -> None:
    subject_id, campaign_id = row["subject_id"], rule.campaign_id
    belongs = campaign_id in campaigns_of(_stored(row), [rule], profiles)
    if belongs != (campaign_id in counts_in):
        part.lines.append(Line(campaign_id, subject_id, 1 if belongs else -1, rule.version))
        part.before[subject_id] = dict(counts_in)


def _stored(row: Mapping[str, Any]) -> Candidate:
    facts = row["facts"]
    return Candidate(
        subject_id=row["subject_id"],
        platform=row["platform"],
        external_id=row["external_id"],
        type=row["type"],
        facts={name: value for name, (_, value) in facts.items()},
        sources=sources_of(facts),
    )
