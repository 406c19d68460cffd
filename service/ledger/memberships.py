"""Which subject counts in which campaign: append-only dated lines, moved together with the tallies they decide.

What a posting says of its own subjects is decided here; what a changed rule means for all of them is in ``moves``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger import statements
from service.ledger.assign import Candidate, Profiles, Ruled, campaigns_of, facts_asked
from service.ledger.facts import Subject, is_source, sources_of
from service.ledger.posting import Posting, RetryExclusive
from service.records import CampaignKind, CampaignVersion, Goal, Rule


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The memberships of a posting's subjects after its facts.

    ``campaigns`` by subject, ``zones`` by campaign; ``moved`` are known subjects that joined or left a campaign, with
    the campaigns and zones of before; ``changed`` tells whether any line was written.
    """

    campaigns: Mapping[UUID, Sequence[UUID]]
    zones: Mapping[UUID, str]
    moved: Mapping[UUID, Mapping[UUID, str]] = {}
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
    belongs = decider(platform, campaigns, profiles)
    lines, moved = [], {}
    zones = {campaign.campaign_id: campaign.zone for campaign in campaigns}
    versions = {campaign.campaign_id: campaign.version for campaign in campaigns}
    for subject in subjects.values():
        if not subject.changed:
            continue
        had = current.get(subject.subject_id, set())
        has = belongs(subject)
        if had == has:
            continue
        lines += [Line(name, subject.subject_id, 1, versions[name]) for name in has - had]
        lines += [Line(name, subject.subject_id, -1, versions[name]) for name in had - has]
        if not subject.fresh:
            moved[subject.subject_id] = {name: zones[name] for name in had}
        current[subject.subject_id] = has
    if moved and not exclusive:
        raise RetryExclusive
    await write_lines(connection, posting, lines)
    return Joined(
        campaigns={subject: sorted(names) for subject, names in current.items()},
        zones=zones,
        moved=moved,
        changed=bool(lines),
    )


def decider(platform: str, campaigns: Sequence[Ruled], profiles: Profiles) -> Callable[[Subject], set[UUID]]:
    """Return what tells the campaigns of a subject. Most subjects of a page say the same: it is decided once."""
    asked = facts_asked(campaigns)
    decided: dict[tuple[Any, ...], set[UUID]] = {}

    def belongs(subject: Subject) -> set[UUID]:
        if asked is None:
            return campaigns_of(candidate(subject, platform), campaigns, profiles)
        facts = subject.facts
        key = (*filter(is_source, facts), None, *(_hashable(facts.get(name)) for name in asked))
        found = decided.get(key)
        if found is None:
            found = decided[key] = campaigns_of(candidate(subject, platform), campaigns, profiles)
        return found

    return belongs


def _hashable(fact: Sequence[Any] | None) -> Any:
    value = None if fact is None else fact[1]
    return tuple(value) if isinstance(value, list) else value


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


async def write_lines(connection: asyncpg.Connection[Any], posting: Posting, lines: Sequence[Line]) -> None:
    """Write membership lines, in the order of their keys."""
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
