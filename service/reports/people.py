"""What is never summed, per bucket and member: reach, levels, the followers at publication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from service.kpi.members import FOLLOWERS_AT_PUBLISH, FOLLOWERS_START
from service.ledger import kept
from service.ledger.history.people import Level, levels, levels_at, uniques
from service.ledger.history.spans import Span
from service.reports.question import Asked

_UNIQUE = "reach"
_LEVEL = "followers"
People = dict[int, dict[str, list[int | None]]]
"""By number of the span and key: one value per member, None where it is unknown."""


async def people_of(raw: asyncpg.Connection[Any], asked: Asked, spans: Sequence[Span]) -> People:
    """Return reach, levels and followers at publication, as far as the KPIs look at them."""
    found: People = {span.number: {} for span in spans}
    if _UNIQUE in asked.needed:
        await _add_reach(raw, asked, spans, found)
    if _LEVEL in asked.needed:
        await _add_levels(raw, asked, spans, found)
    if FOLLOWERS_AT_PUBLISH in asked.needed:
        followers = await at_publication(raw, asked)
        for table in found.values():
            table[FOLLOWERS_AT_PUBLISH] = [followers.get(member.subject_id) for member in asked.members]
    return found


async def _add_reach(raw: asyncpg.Connection[Any], asked: Asked, spans: Sequence[Span], found: People) -> None:
    """Add the reach of a bucket: of a window that is it, or since publication where that lies inside."""
    ids = [member.subject_id for member in asked.members]
    reached = await uniques(raw, asked.workspace_id, ids, spans, asked.knowledge.number, asked.paid)
    published = [member.published_at for member in asked.members]
    for span in spans:
        found[span.number][_UNIQUE] = [
            reached.get((span.number, one)) if span.openings or (since is not None and since >= span.start) else None
            for one, since in zip(ids, published, strict=True)
        ]


async def _add_levels(raw: asyncpg.Connection[Any], asked: Asked, spans: Sequence[Span], found: People) -> None:
    profiles = [member.subject_id for member in asked.members if member.type == "profile"]
    read = await levels(raw, asked.workspace_id, profiles, _LEVEL, spans, asked.knowledge.number, asked.paid)
    nowhere = Level(None, None)
    for span in spans:
        at = [read.get((span.number, member.subject_id), nowhere) for member in asked.members]
        found[span.number] |= {_LEVEL: [level.end for level in at], FOLLOWERS_START: [level.start for level in at]}


async def at_publication(raw: asyncpg.Connection[Any], asked: Asked) -> Mapping[UUID, int]:
    """Return the followers of each post's profile at its publication: as stated, or as the profile's level says."""
    found: dict[UUID, int] = {}
    asks: dict[UUID, tuple[str, str, Any]] = {}
    for member in asked.members:
        if member.followers_at_publish is not None:
            found[member.subject_id] = member.followers_at_publish
        elif member.creator is not None and member.published_at is not None:
            asks[member.subject_id] = (member.platform, member.creator, member.published_at)
    keys = list(dict.fromkeys(asks.values()))
    kept.refuse_instants(asked.kept, [at for _, _, at in keys])
    read = await levels_at(raw, asked.workspace_id, keys, asked.knowledge.number)
    return found | {subject_id: read[key] for subject_id, key in asks.items() if key in read}
