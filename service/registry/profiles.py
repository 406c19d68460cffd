"""Creators that deliveries name: a profile nobody has claimed yet becomes a creator of its own."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context

_KNOWN = sa.text("""
select external_id from creator_profiles
where workspace_id = :workspace and platform = :platform and external_id = any(cast(:names as text[]))
""")
_CREATOR = sa.text("""
insert into creators (workspace_id, creator_id, name, created_at, updated_at)
select :workspace, id, name, :now, :now from unnest(cast(:ids as uuid[]), cast(:names as text[])) as given (id, name)
""")
_PROFILE = sa.text("""
insert into creator_profiles (workspace_id, platform, external_id, creator_id)
select :workspace, :platform, external_id, id
from unnest(cast(:names as text[]), cast(:ids as uuid[])) as given (external_id, id)
on conflict (workspace_id, platform, external_id) do nothing
""")
_ORPHANS = sa.text("""
delete from creators c where c.workspace_id = :workspace and c.creator_id = any(cast(:ids as uuid[]))
and not exists (select from creator_profiles p where p.workspace_id = :workspace and p.creator_id = c.creator_id)
""")


async def ensure(
    connection: AsyncConnection, workspace_id: UUID, platform: str, named: Mapping[str, str], context: Context
) -> None:
    """Make a creator for each profile (external id to display name) of a platform that has none."""
    if not named:
        return
    place = {"workspace": workspace_id, "platform": platform}
    known = set(await connection.scalars(_KNOWN, place | {"names": sorted(named)}))
    missing = sorted(set(named) - known)
    if not missing:
        return
    ids = [context.new_id() for _ in missing]
    names = [named[name] or name for name in missing]
    await connection.execute(_CREATOR, {"workspace": workspace_id, "ids": ids, "names": names, "now": context.now()})
    await connection.execute(_PROFILE, place | {"names": missing, "ids": ids})
    # Another source may have named the same profile meanwhile: its creator stands, ours has no profile.
    await connection.execute(_ORPHANS, {"workspace": workspace_id, "ids": ids})
