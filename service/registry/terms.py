"""Until when the tokens of a source live, and who renews them: the rows of ``source_tokens``. No token is in them.

A claim is a lease on the one call that renews a token. It is committed before the call leaves, so that one that ran out
without being released says that an answer may be lost. Every function takes a connection inside a transaction of the
workspace, in which the source is locked, and never commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import OAuth2
from service.db.tables import source_tokens, sources
from service.records import SourceRow


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a source's tokens. ``expires_at`` None: nobody said and nothing could be reckoned.

    ``estimated`` says that it was reckoned from the platform's usual lifetime; ``generation`` counts the tokens kept;
    ``next_try`` is before when no renewal is tried, for ``error``.
    """

    obtained_at: datetime
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    estimated: bool = False
    generation: int = 0
    claimed_until: datetime | None = None
    next_try: datetime | None = None
    error: str = ""


def renews_itself(oauth: OAuth2) -> bool:
    """Tell whether the access token is what renews it: there is no refresh token, and only a living one is renewed."""
    return oauth.refresh is not None and oauth.refresh.sends != "refresh_token" and not oauth.key


def in_hand(oauth: OAuth2 | None, at: datetime) -> Terms:
    """Return the terms of a token that a person brought.

    Nobody says how old it is. One with a refresh token is renewed when it is refused; one that only a living token
    renews must be renewed in time, so it is taken for new.
    """
    if oauth is None or oauth.lifetime is None or not renews_itself(oauth):
        return Terms(obtained_at=at)
    return Terms(obtained_at=at, expires_at=at + oauth.lifetime, estimated=True)


def margin(oauth: OAuth2, longest_pull: timedelta) -> timedelta:
    """Return how long before its end a token is renewed: it lasts for a whole pull, where it lives long enough."""
    if oauth.lifetime is None:
        return max(oauth.refresh_before, longest_pull)
    return max(oauth.refresh_before, min(longest_pull, oauth.lifetime / 2))


# ------------------------------------------------------------------------------------------------ rows


async def load(connection: AsyncConnection, row: SourceRow, oauth: OAuth2 | None) -> Terms:
    """Return the terms of a source; where none are kept, those of tokens that came with it."""
    table = source_tokens
    query = sa.select(*(table.c[name] for name in Terms.__struct_fields__)).where(_own(row))
    found = (await connection.execute(query)).mappings().one_or_none()
    return in_hand(oauth, row.created_at) if found is None else Terms(**found)


async def keep(connection: AsyncConnection, row: SourceRow, terms: Terms) -> Terms:
    """Write the terms of a source that is locked, and return them."""
    values = msgspec.structs.asdict(terms)
    change = insert(source_tokens).values(workspace_id=row.workspace_id, source_id=row.source_id, **values)
    await connection.execute(change.on_conflict_do_update(index_elements=["workspace_id", "source_id"], set_=values))
    return terms


async def forget(connection: AsyncConnection, row: SourceRow, oauth: OAuth2 | None, at: datetime) -> None:
    """Begin anew: a person brought other credentials. What is being renewed meanwhile is not kept."""
    older = await load(connection, row, oauth)
    fresh = msgspec.structs.replace(in_hand(oauth, at), generation=older.generation + 1)
    await keep(connection, row, fresh)


async def first_ends(connection: AsyncConnection, workspace_id: UUID) -> list[tuple[str, datetime]]:
    """Return, for each connector of a workspace, when the first token of an active source ends, where that is known."""
    table = source_tokens
    joined = sa.and_(sources.c.workspace_id == table.c.workspace_id, sources.c.source_id == table.c.source_id)
    is_known = (table.c.workspace_id == workspace_id, table.c.expires_at.is_not(None), sources.c.state == "active")
    first = sa.func.min(table.c.expires_at).label("first")
    query = sa.select(sources.c.connector, first).join(table, joined).where(*is_known).group_by(sources.c.connector)
    return [(row.connector, row.first) for row in await connection.execute(query)]


def unclaimed(terms: Terms, *, error: str = "", next_try: datetime | None = None) -> Terms:
    """Return terms whose claim is given back."""
    return msgspec.structs.replace(terms, claimed_until=None, error=error[:300], next_try=next_try)


def _own(row: SourceRow) -> sa.ColumnElement[bool]:
    table = source_tokens
    return sa.and_(table.c.workspace_id == row.workspace_id, table.c.source_id == row.source_id)
