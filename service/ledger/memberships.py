"""Which subject counts in which campaign: append-only dated lines, moved together with the tallies they decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.db.engine import driver
from service.ledger import days, statements
from service.ledger.assign import Candidate, Profiles, Ruled, campaigns_of
from service.ledger.conversions import reattribute
from service.ledger.facts import Subject, sources_of
from service.ledger.posting import EVERY, Posting, RetryExclusive, close_posting, open_posting
from service.records import CampaignKind, CampaignVersion, Goal, Rule

_CHUNK = 2000


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The memberships of a posting's subjects after its facts.

    ``campaigns`` by subject, ``zones`` by campaign; ``moved`` are known subjects that joined or left a campaign and
    ``left`` the campaigns left; ``changed`` tells whether any line was written.
    """

    campaigns: Mapping[UUID, Sequence[UUID]]
    zones: Mapping[UUID, str]
    moved: frozenset[UUID] = frozenset()
    left: frozenset[UUID] = frozenset()
    changed: bool = False

    def zones_of(self, subject_id: UUID) -> Sequence[str]:
        """Return the zones that a subject is asked in."""
        return sorted({self.zones[campaign] for campaign in self.campaigns.get(subject_id, ())})


class Line(msgspec.Struct, frozen=True):
    """One membership line: a subject joins (1) or leaves (-1) a campaign under a version of its rules."""

    campaign_id: UUID
    subject_id: UUID
    sign: int
    version: int


async def reassign(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    platform: str,
    subjects: Mapping[str, Subject],
    *,
    exclusive: bool,
) -> Joined:
    """Bring the memberships of a posting's subjects up to their facts.

    Raises :class:`RetryExclusive` when a known subject moves and the posting does not have the workspace to itself.
    """
    campaigns = await load_rules(connection, posting.workspace_id)
    if not campaigns:
        return Joined(campaigns={}, zones={})
    profiles = await load_profiles(connection, posting.workspace_id, campaigns)
    known = [subject.subject_id for subject in subjects.values() if not subject.fresh]
    current = await _current(connection, posting.workspace_id, known)
    lines, moved, left = [], set(), set()
    versions = {campaign.campaign_id: campaign.version for campaign in campaigns}
    for subject in subjects.values():
        if not subject.changed:
            continue
        had = current.get(subject.subject_id, set())
        has = campaigns_of(candidate(subject, platform), campaigns, profiles)
        if had == has:
            continue
        lines += [Line(name, subject.subject_id, 1, versions[name]) for name in has - had]
        lines += [Line(name, subject.subject_id, -1, versions[name]) for name in had - has]
        if not subject.fresh:
            moved.add(subject.subject_id)
            left |= had - has
        current[subject.subject_id] = has
    if moved and not exclusive:
        raise RetryExclusive
    await _write(connection, posting, lines)
    return Joined(
        campaigns={subject: sorted(names) for subject, names in current.items()},
        zones={campaign.campaign_id: campaign.zone for campaign in campaigns},
        moved=frozenset(moved),
        left=frozenset(left),
        changed=bool(lines),
    )


def candidate(subject: Subject, platform: str) -> Candidate:
    """Return a subject as rules see it."""
    return Candidate(
        subject_id=subject.subject_id,
        platform=platform,
        external_id=subject.external_id,
        type=subject.type,
        facts=subject.values(),
        sources=sources_of(subject.facts),
    )


async def load_rules(connection: asyncpg.Connection[Any], workspace_id: UUID) -> list[Ruled]:
    """Return the campaigns of a workspace, each in its newest version."""
    rows = await connection.fetch(statements.RULES, workspace_id)
    return [
        Ruled(campaign_id=row["campaign_id"], zone=row["zone"], version=row["version"], current=version_of(row))
        for row in rows
    ]


def version_of(row: Mapping[str, Any]) -> CampaignVersion:
    """Return the campaign version in a row of ``campaign_versions``."""
    return CampaignVersion(
        name=row["name"],
        kind=CampaignKind(row["kind"]),
        starts=row["starts"],
        ends=row["ends"],
        budget=row["budget"],
        margin=row["margin"],
        click_days=row["click_days"],
        view_days=row["view_days"],
        goals=msgspec.convert(row["goals"], tuple[Goal, ...]),
        tactics=tuple(row["tactics"]),
        rules=msgspec.convert(row["rules"], tuple[Rule, ...]),
        archived=row["archived"],
    )


async def load_profiles(
    connection: asyncpg.Connection[Any], workspace_id: UUID, campaigns: Iterable[Ruled]
) -> Profiles:
    """Return the profiles of the creators that rules name."""
    creators = {rule.creator for campaign in campaigns for rule in campaign.current.rules if rule.creator}
    if not creators:
        return {}
    profiles: dict[UUID, set[tuple[str, str]]] = defaultdict(set)
    for row in await connection.fetch(statements.PROFILES_OF_CREATORS, workspace_id, sorted(creators)):
        profiles[row["creator_id"]].add((row["platform"], row["external_id"]))
    return {creator: frozenset(names) for creator, names in profiles.items()}


async def _current(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]
) -> dict[UUID, set[UUID]]:
    current: dict[UUID, set[UUID]] = defaultdict(set)
    if subject_ids:
        for row in await connection.fetch(statements.ZONES_OF_SUBJECTS, workspace_id, subject_ids):
            current[row["subject_id"]].add(row["campaign_id"])
    return current


async def _write(connection: asyncpg.Connection[Any], posting: Posting, lines: Sequence[Line]) -> None:
    if lines:
        rows = sorted(lines, key=lambda line: (line.campaign_id, line.subject_id))
        await connection.execute(
            statements.INSERT_MEMBERSHIPS,
            posting.workspace_id,
            posting.batch,
            [line.campaign_id for line in rows],
            [line.subject_id for line in rows],
            [line.sign for line in rows],
            [line.version for line in rows],
        )


async def record_version(
    connection: AsyncConnection, workspace_id: UUID, campaign_id: UUID, version: CampaignVersion, context: Context
) -> int:
    """Write the next version of a campaign in a posting of its own and move every subject its rules decide about.

    The workspace's transaction is the caller's; the campaign exists. Returns the version's number.
    """
    posting = await open_posting(connection, workspace_id, context, cause="campaign", exclusive=True)
    raw = await driver(connection)
    number = await raw.fetchval(
        "select coalesce(max(version), 0) + 1 from campaign_versions where workspace_id = $1 and campaign_id = $2",
        workspace_id,
        campaign_id,
    )
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
    shaped = await _reassign_all(raw, posting, [campaign_id], windows=True)
    await close_posting(connection, posting, context, shaped=shaped)
    return int(number)


async def reassign_campaigns(
    connection: AsyncConnection, workspace_id: UUID, campaign_ids: Iterable[UUID], context: Context
) -> None:
    """Decide campaigns anew after what their rules look at changed (the profiles of a creator)."""
    posting = await open_posting(connection, workspace_id, context, cause="campaign", exclusive=True)
    raw = await driver(connection)
    shaped = await _reassign_all(raw, posting, sorted(campaign_ids))
    await close_posting(connection, posting, context, shaped=shaped)


async def _reassign_all(
    connection: asyncpg.Connection[Any], posting: Posting, campaign_ids: Sequence[UUID], *, windows: bool = False
) -> frozenset[UUID]:
    """Decide campaigns anew, and then what touches on their subjects are credited with; ``windows`` may be new too.

    Returns the campaigns that are shaped: a credit that moves may move between any of them.
    """
    moved: set[UUID] = set()
    for campaign_id in campaign_ids:
        moved |= set(await _reassign_one(connection, posting, campaign_id))
    touched = moved
    if windows:
        for campaign_id in campaign_ids:
            members = await connection.fetch(statements.MEMBERS, posting.workspace_id, campaign_id)
            touched = touched | {row["subject_id"] for row in members}
    credited = await reattribute(connection, posting, touched)
    moved |= credited
    if moved:
        await days.rebuild(connection, posting.workspace_id, sorted(moved), campaign_ids)
    return frozenset((EVERY,) if credited else campaign_ids)


async def _reassign_one(connection: asyncpg.Connection[Any], posting: Posting, campaign_id: UUID) -> list[UUID]:
    """Bring the members of a campaign up to its rules; return the subjects that joined or left."""
    workspace_id = posting.workspace_id
    rules = [rule for rule in await load_rules(connection, workspace_id) if rule.campaign_id == campaign_id]
    profiles = await load_profiles(connection, workspace_id, rules)
    members = {row["subject_id"] for row in await connection.fetch(statements.MEMBERS, workspace_id, campaign_id)}
    moved: list[UUID] = []
    after = UUID(int=0)
    while rows := await connection.fetch(statements.SUBJECTS_AFTER, workspace_id, after, _CHUNK):
        lines = []
        for row in rows:
            after = row["subject_id"]
            belongs = campaign_id in campaigns_of(_stored(row), rules, profiles)
            if belongs != (after in members):
                lines.append(Line(campaign_id, after, 1 if belongs else -1, rules[0].version))
        await _write(connection, posting, lines)
        moved += [line.subject_id for line in lines]
    return moved


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
