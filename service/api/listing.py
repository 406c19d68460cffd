"""What routes of things that people keep do alike: a page in the order of ids, and one by its id. They say no shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api.auth import Caller
from service.api.models import PageInfo, Paging, after_id, page_of
from service.api.state import Services

Row = TypeVar("Row")
Listing = Callable[[AsyncConnection, UUID, int, UUID | None], Awaitable[Sequence[Row]]]
"""Reads rows of a workspace in the order of their ids: so many, behind an id."""
Get = Callable[[AsyncConnection, UUID, UUID], Awaitable[Row]]


async def listed(
    parts: Services, caller: Caller, paging: Paging, kind: str, listing: Listing[Row], id_of: Callable[[Row], UUID]
) -> tuple[Sequence[Row], PageInfo]:
    """Return the rows of a page and what follows it. Raises :class:`Invalid` for an ``after`` that is no id."""
    after = after_id(kind, paging)
    async with parts.db.workspace(caller.workspace_id) as connection:
        rows = await listing(connection, caller.workspace_id, paging.limit + 1, after)
    return page_of(rows, paging.limit, kind, id_of)


async def named(parts: Services, caller: Caller, kind: str, text: str, get: Get[Row]) -> Row:
    """Return what an id names. Raises NotFound."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        return await get(connection, caller.workspace_id, ids.read(kind, text))
