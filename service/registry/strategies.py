"""Strategies: the long umbrellas over campaigns."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.tables import campaigns, strategies
from service.errors import Conflict, Invalid, NotFound
from service.records import Strategy


async def create(connection: AsyncConnection, workspace_id: UUID, strategy: Strategy) -> Strategy:
    """Create a strategy and return it. Raises :class:`Invalid` when it ends before it starts."""
    _check(strategy)
    await connection.execute(strategies.insert().values(_values(workspace_id, strategy)))
    return strategy


async def get(connection: AsyncConnection, workspace_id: UUID, strategy_id: UUID, *, lock: bool = False) -> Strategy:
    """Return one strategy, locked for a change if asked. Raises :class:`NotFound`."""
    query = sa.select(strategies).where(_same(workspace_id, strategy_id))
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("no such strategy")
    return _read(row)


async def listing(
    connection: AsyncConnection, workspace_id: UUID, limit: int, after: UUID | None = None
) -> list[Strategy]:
    """Return strategies in the order of their ids."""
    query = sa.select(strategies).where(strategies.c.workspace_id == workspace_id)
    if after is not None:
        query = query.where(strategies.c.strategy_id > after)
    return [_read(row) for row in await connection.execute(query.order_by(strategies.c.strategy_id).limit(limit))]


async def replace(connection: AsyncConnection, workspace_id: UUID, strategy: Strategy) -> Strategy:
    """Write a changed strategy over the one that was read under lock. Raises :class:`Invalid`."""
    _check(strategy)
    same = _same(workspace_id, strategy.strategy_id)
    await connection.execute(strategies.update().where(same).values(_values(workspace_id, strategy)))
    return strategy


async def delete(connection: AsyncConnection, workspace_id: UUID, strategy_id: UUID) -> None:
    """Remove a strategy. Raises NotFound, and :class:`Conflict` while a campaign belongs to it."""
    await get(connection, workspace_id, strategy_id, lock=True)
    own = sa.and_(campaigns.c.workspace_id == workspace_id, campaigns.c.strategy_id == strategy_id)
    if await connection.scalar(sa.select(sa.exists().where(own))):
        raise Conflict("campaigns belong to this strategy")
    await connection.execute(strategies.delete().where(_same(workspace_id, strategy_id)))


def _check(strategy: Strategy) -> None:
    if strategy.starts is not None and strategy.ends is not None and strategy.ends < strategy.starts:
        raise Invalid("a strategy ends on or after the day it starts", pointer="/ends", code="ends_before_start")


def _same(workspace_id: UUID, strategy_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(strategies.c.workspace_id == workspace_id, strategies.c.strategy_id == strategy_id)


def _values(workspace_id: UUID, strategy: Strategy) -> dict[str, Any]:
    values = msgspec.structs.asdict(strategy)
    return values | {"workspace_id": workspace_id, "objectives": list(strategy.objectives)}


def _read(row: sa.Row[Any]) -> Strategy:
    values = {name: getattr(row, name) for name in Strategy.__struct_fields__}
    return Strategy(**values | {"objectives": tuple(row.objectives)})
