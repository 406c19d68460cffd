"""The database holds to its declaration: three classes of table, keys, policies, grants, and no drift."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from service.db import embedded, migrate
from service.db.engine import Database
from service.db.roles import assert_role
from service.db.tables import BY_RECEIPT, BY_VALIDITY, CONTROL, LANDED, TENANT, metadata

TENANT_NAMES = {table.name for table in TENANT}
CONTROL_NAMES = {table.name for table in CONTROL}
PARTITIONED = {table.name for table in (*BY_RECEIPT, *BY_VALIDITY)}

TABLES = """
select c.relname as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced, c.relispartition as part,
       c.relkind::text as kind, pg_get_userbyid(c.relowner) as owner,
       has_table_privilege(
         current_user, c.oid, 'select, insert, update, delete, truncate, references, trigger'
       ) as granted,
       coalesce(array(select p.polname::text from pg_policy p where p.polrelid = c.oid order by 1), '{}') as policies
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
KEYS = """
select c.conrelid::regclass::text as name, c.conname as key, c.contype::text as type,
       (select a.attname::text from pg_attribute a where a.attrelid = c.conrelid and a.attnum = c.conkey[1]) as first,
       (select a.attname::text from pg_attribute a where a.attrelid = c.confrelid and a.attnum = c.confkey[1]) as target
from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
where n.nspname = 'public' and c.contype in ('p', 'u', 'f')
"""
INDEXES = """
select t.relname as name, i.relname as key, x.indisunique as is_unique,
       (select a.attname::text from pg_attribute a where a.attrelid = t.oid and a.attnum = x.indkey[0]) as first
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
join pg_namespace n on n.oid = t.relnamespace where n.nspname = 'public'
"""
POLICIES = """
select tablename as name, policyname as policy, permissive, roles::text[] as roles, cmd, qual, with_check
from pg_policies where schemaname = 'public'
"""
FUNCTIONS = """
select p.proname as name, p.prosecdef as definer, coalesce(p.proconfig::text, '') as config,
       has_function_privilege('public', p.oid, 'execute') as open
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
"""


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.control() as connection:
        return list((await connection.execute(sa.text(statement))).all())


async def test_the_declared_tables_are_the_tables(database: Database) -> None:
    found = {row.name for row in await rows(database, TABLES) if not row.part}
    assert found == TENANT_NAMES | CONTROL_NAMES | {"alembic_version"}
    assert set(metadata.tables) == TENANT_NAMES | CONTROL_NAMES
    assert not TENANT_NAMES & CONTROL_NAMES
    assert {row.name for row in await rows(database, TABLES) if row.kind == "p"} == PARTITIONED


async def test_every_tenant_table_is_behind_forced_policies(database: Database) -> None:
    for row in await rows(database, TABLES):
        if row.name in TENANT_NAMES or row.part:
            assert (row.enabled, row.forced) == (True, True), row.name
        if row.name in TENANT_NAMES:
            assert "workspace" in row.policies, row.name
    landed = {table.name for table in LANDED}
    for row in await rows(database, POLICIES):
        assert row.name in TENANT_NAMES
        assert row.permissive == "PERMISSIVE"
        if row.policy == "workspace":
            assert row.cmd == "ALL"
            assert row.qual == row.with_check
            assert "NULLIF(current_setting('app.workspace_id'::text, true), ''::text)" in row.qual
        else:
            assert row.name in landed
            assert (row.policy, row.cmd) in {("landing", "INSERT"), ("landing_seen", "SELECT")}


async def test_the_workspace_stands_first_in_every_key(database: Database) -> None:
    seen = set()
    for row in await rows(database, KEYS):
        table = next((name for name in sorted(TENANT_NAMES, key=len, reverse=True) if row.name.startswith(name)), None)
        if row.name in CONTROL_NAMES or row.name == "alembic_version" or table is None:
            continue
        seen.add(table)
        assert row.first == "workspace_id", (row.name, row.key)
        if row.type == "f":
            assert row.target == "workspace_id", (row.name, row.key)
    assert seen == TENANT_NAMES
    for row in await rows(database, INDEXES):
        if row.name in TENANT_NAMES:
            assert row.first == "workspace_id", row.key


async def test_every_workspace_id_is_required(database: Database) -> None:
    columns = """select table_name as name, is_nullable as nullable from information_schema.columns
                 where table_schema = 'public' and column_name = 'workspace_id'"""
    found = {row.name: row.nullable for row in await rows(database, columns)}
    assert found.keys() >= TENANT_NAMES
    assert {name for name, nullable in found.items() if nullable == "YES"} == {"key_routes"}


async def test_the_service_role_owns_nothing_and_passes_nothing_by(database: Database) -> None:
    async with database.control() as connection:
        await assert_role(connection)
    (role,) = await rows(database, "select * from pg_roles where rolname = current_user")
    assert role.rolname == embedded.SERVICE
    assert not any((role.rolsuper, role.rolbypassrls, role.rolcreaterole, role.rolcreatedb, role.rolreplication))
    assert {row.owner for row in await rows(database, TABLES)} == {embedded.OWNER}
    for statement in (
        "create table t (a int)",
        "alter table workspaces disable row level security",
        "drop policy workspace on workspaces",
        "truncate entries",
        "set role tallybook_owner",
    ):
        with pytest.raises(sa.exc.DBAPIError, match=r"permission denied|must be owner"):
            await rows(database, statement)


async def test_partitions_are_granted_to_nobody(database: Database) -> None:
    parts = [row for row in await rows(database, TABLES) if row.part]
    assert len(parts) > len(PARTITIONED)
    assert [row.name for row in parts if row.granted] == []
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        await rows(database, f"select * from {parts[0].name}")
    defaults = "select 1 from pg_class where relispartition and pg_get_expr(relpartbound, oid) = 'DEFAULT'"
    assert await rows(database, defaults) == []


async def test_days_of_subjects_have_room_where_they_are_updated(database: Database) -> None:
    found = await rows(
        database,
        """select c.relname as name, c.reloptions as options from pg_inherits join pg_class c on c.oid = inhrelid
           where inhparent = 'subject_days'::regclass""",
    )
    assert len(found) > 1
    assert {tuple(row.options or ()) for row in found} == {("fillfactor=50",)}


async def test_functions_of_the_owner_have_a_fixed_search_path(database: Database) -> None:
    found = await rows(database, FUNCTIONS)
    assert {row.name for row in found if row.definer} == {
        "tallybook_make_partitions",
        "tallybook_last_partition",
        "tallybook_old_partitions",
        "tallybook_drop_partitions",
    }
    for row in found:
        if row.definer:
            assert "search_path=public, pg_temp" in row.config
            assert not row.open


async def test_books_are_append_only_for_the_service(database: Database) -> None:
    granted = """select table_name as name, privilege_type as right from information_schema.role_table_grants
                 where grantee = current_user and table_schema = 'public'"""
    rights: dict[str, set[str]] = {}
    for row in await rows(database, granted):
        rights.setdefault(row.name, set()).add(row.right)
    for name in (
        "deliveries",
        "delivery_keys",
        "delivery_outcomes",
        "postings",
        "entries",
        "subject_facts",
        "memberships",
        "window_steps",
        "touchpoints",
        "conversions",
        "credits",
        "retentions",
        "resets",
    ):
        assert rights[name] == {"SELECT", "INSERT"}, name
    assert rights["alembic_version"] == {"SELECT"}


async def test_tables_equal_migrations(owner_url: str) -> None:
    await asyncio.to_thread(command.check, migrate.config(owner_url, embedded.SERVICE))


def test_migrations_are_one_line() -> None:
    assert len(ScriptDirectory.from_config(migrate.config("", "")).get_heads()) == 1
