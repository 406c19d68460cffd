"""Proof at start-up that row-level security binds us: the service role owns nothing and passes no policy by."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import Misconfigured

_RIGHTS = sa.text("""
select r.rolsuper, r.rolbypassrls, exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'public' and c.relkind in ('r', 'p') and pg_has_role(r.oid, c.relowner, 'member')
) as owns
from pg_roles r where r.rolname = current_user
""")


async def assert_role(connection: AsyncConnection) -> None:
    """Raise :class:`Misconfigured` when the role of this connection could see past the policies of a workspace."""
    rights = (await connection.execute(_RIGHTS)).one()
    if rights.rolsuper:
        raise Misconfigured("TALLYBOOK_DATABASE_URL names a superuser: give a role that owns nothing")
    if rights.rolbypassrls:
        raise Misconfigured("TALLYBOOK_DATABASE_URL names a role with BYPASSRLS: give one without")
    if rights.owns:
        raise Misconfigured(
            "TALLYBOOK_DATABASE_URL names the owner of the tables: the owner is for TALLYBOOK_MIGRATE_URL"
        )
