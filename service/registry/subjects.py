"""Reads of subjects and of the newest facts about them. Written by the ledger alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.tables import memberships, subjects
from service.errors import NotFound

_NAMED_BY = "source:"
"""Facts of this prefix say which sources named the subject: for rules, not for people."""


class SubjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform reports numbers about. ``facts`` maps names to (instant observed, value)."""

    subject_id: UUID
    platform: str
    external_id: str
    type: str
    facts: Mapping[str, tuple[str, Any]]


class SubjectFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of subjects is narrowed to; ``campaign_id`` to those that count in it now."""

    campaign_id: UUID | None = None
    platform: str | None = None
    type: str | None = None


async def get(connection: AsyncConnection, workspace_id: UUID, subject_id: UUID) -> SubjectRow:
    """Return one subject. Raises :class:`NotFound`."""
    query = sa.select(subjects).where(subjects.c.workspace_id == workspace_id, subjects.c.subject_id == subject_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("no such subject")
    return _read(row)


async def listing(
    connection: AsyncConnection,
    workspace_id: UUID,
    limit: int,
    after: UUID | None = None,
    wanted: SubjectFilter | None = None,
) -> list[SubjectRow]:
    """Return subjects in the order of their ids."""
    asked = wanted or SubjectFilter()
    query = sa.select(subjects).where(subjects.c.workspace_id == workspace_id)
    if after is not None:
        query = query.where(subjects.c.subject_id > after)
    if asked.platform is not None:
        query = query.where(subjects.c.platform == asked.platform)
    if asked.type is not None:
        query = query.where(subjects.c.type == asked.type)
    if asked.campaign_id is not None:
        query = query.where(subjects.c.subject_id.in_(_members(workspace_id, asked.campaign_id)))
    return [_read(row) for row in await connection.execute(query.order_by(subjects.c.subject_id).limit(limit))]


async def missing(connection: AsyncConnection, workspace_id: UUID, wanted: Iterable[UUID]) -> set[UUID]:
    """Return the ids among ``wanted`` that name no subject of the workspace."""
    ids = set(wanted)
    query = sa.select(subjects.c.subject_id).where(
        subjects.c.workspace_id == workspace_id, subjects.c.subject_id.in_(ids)
    )
    return ids - set(await connection.scalars(query)) if ids else ids


def _members(workspace_id: UUID, campaign_id: UUID) -> sa.Select[tuple[UUID]]:
    same = sa.and_(memberships.c.workspace_id == workspace_id, memberships.c.campaign_id == campaign_id)
    grouped = sa.select(memberships.c.subject_id).where(same).group_by(memberships.c.subject_id)
    return grouped.having(sa.func.sum(memberships.c.sign) > 0)


def _read(row: sa.Row[Any]) -> SubjectRow:
    facts = {
        name: (str(pair[0]), pair[1]) for name, pair in sorted(row.facts.items()) if not name.startswith(_NAMED_BY)
    }
    return SubjectRow(
        subject_id=row.subject_id,
        platform=row.platform,
        external_id=row.external_id,
        type=row.type,
        facts=facts,
    )
