"""Creators: the people behind profiles. A profile belongs to one creator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.db.tables import creator_profiles, creators
from service.errors import Conflict, NotFound
from service.records import Creator

_PROFILE = (creator_profiles.c.platform, creator_profiles.c.external_id)


async def create(connection: AsyncConnection, workspace_id: UUID, creator: Creator) -> Creator:
    """Create a creator with profiles. Raises :class:`Conflict` when another creator has one of them."""
    await connection.execute(creators.insert().values(_values(workspace_id, creator)))
    await _link(connection, workspace_id, creator)
    return await get(connection, workspace_id, creator.creator_id)


async def get(connection: AsyncConnection, workspace_id: UUID, creator_id: UUID, *, lock: bool = False) -> Creator:
    """Return one creator, locked for a change if asked. Raises :class:`NotFound`."""
    query = sa.select(creators).where(_same(workspace_id, creator_id))
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("no such creator")
    return (await _with_profiles(connection, workspace_id, [row]))[0]


async def listing(
    connection: AsyncConnection, workspace_id: UUID, limit: int, after: UUID | None = None
) -> list[Creator]:
    """Return creators in the order of their ids."""
    query = sa.select(creators).where(creators.c.workspace_id == workspace_id)
    if after is not None:
        query = query.where(creators.c.creator_id > after)
    rows = (await connection.execute(query.order_by(creators.c.creator_id).limit(limit))).all()
    return await _with_profiles(connection, workspace_id, rows)


async def replace(connection: AsyncConnection, workspace_id: UUID, creator: Creator) -> Creator:
    """Write a changed creator over the one that was read under lock. Raises :class:`Conflict`."""
    same = _same(workspace_id, creator.creator_id)
    await connection.execute(creators.update().where(same).values(_values(workspace_id, creator)))
    await connection.execute(creator_profiles.delete().where(_profiles_of(workspace_id, [creator.creator_id])))
    await _link(connection, workspace_id, creator)
    return await get(connection, workspace_id, creator.creator_id)


async def delete(connection: AsyncConnection, workspace_id: UUID, creator_id: UUID) -> None:
    """Remove a creator and free the profiles. Raises :class:`NotFound`."""
    await get(connection, workspace_id, creator_id, lock=True)
    await connection.execute(creator_profiles.delete().where(_profiles_of(workspace_id, [creator_id])))
    await connection.execute(creators.delete().where(_same(workspace_id, creator_id)))


async def missing(connection: AsyncConnection, workspace_id: UUID, wanted: Iterable[UUID]) -> set[UUID]:
    """Return the ids among ``wanted`` that name no creator of the workspace."""
    given = set(wanted)
    query = sa.select(creators.c.creator_id).where(
        creators.c.workspace_id == workspace_id, creators.c.creator_id.in_(given)
    )
    return given - set(await connection.scalars(query)) if given else given


async def _link(connection: AsyncConnection, workspace_id: UUID, creator: Creator) -> None:
    if not creator.profiles:
        return
    # In the order of the key, so that two creators with the same profiles never wait for each other.
    rows = [
        {"workspace_id": workspace_id, "creator_id": creator.creator_id, "platform": platform, "external_id": external}
        for platform, external in sorted(set(creator.profiles))
    ]
    done = await connection.execute(insert(creator_profiles).values(rows).on_conflict_do_nothing().returning(*_PROFILE))
    taken = sorted(set(creator.profiles) - {(row.platform, row.external_id) for row in done})
    if taken:
        raise Conflict(await _taken(connection, workspace_id, taken[0]))


async def _taken(connection: AsyncConnection, workspace_id: UUID, profile: tuple[str, str]) -> str:
    own = sa.and_(creator_profiles.c.workspace_id == workspace_id, sa.tuple_(*_PROFILE) == profile)
    holder = await connection.scalar(sa.select(creator_profiles.c.creator_id).where(own))
    who = ids.show("creator", holder) if holder is not None else "another creator"
    return f"{who} has the {profile[0]} profile {profile[1]}"


async def _with_profiles(connection: AsyncConnection, workspace_id: UUID, rows: Sequence[sa.Row[Any]]) -> list[Creator]:
    own: dict[UUID, list[tuple[str, str]]] = {row.creator_id: [] for row in rows}
    if own:
        query = sa.select(creator_profiles).where(_profiles_of(workspace_id, own))
        for link in await connection.execute(query.order_by(*_PROFILE)):
            own[link.creator_id].append((link.platform, link.external_id))
    return [_read(row, own[row.creator_id]) for row in rows]


def _same(workspace_id: UUID, creator_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(creators.c.workspace_id == workspace_id, creators.c.creator_id == creator_id)


def _profiles_of(workspace_id: UUID, creator_ids: Iterable[UUID]) -> sa.ColumnElement[bool]:
    return sa.and_(creator_profiles.c.workspace_id == workspace_id, creator_profiles.c.creator_id.in_(creator_ids))


def _values(workspace_id: UUID, creator: Creator) -> dict[str, Any]:
    return {
        "workspace_id": workspace_id,
        "creator_id": creator.creator_id,
        "name": creator.name,
        "notes": creator.notes,
        "created_at": creator.created_at,
        "updated_at": creator.updated_at,
    }


def _read(row: sa.Row[Any], profiles: list[tuple[str, str]]) -> Creator:
    return Creator(
        creator_id=row.creator_id,
        name=row.name,
        notes=row.notes,
        profiles=tuple(profiles),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
