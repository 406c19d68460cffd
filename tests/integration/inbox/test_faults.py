from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db import faults
from service.db.engine import Database, driver, make_engine


def kinds(error: BaseException) -> str:
    """Return the first letters of what an error is: lost, away, conflict, passing."""
    checks: dict[str, Callable[[BaseException], bool]] = {
        "l": faults.is_lost,
        "a": faults.is_away,
        "c": faults.is_conflict,
        "p": faults.is_passing,
    }
    return "".join(letter for letter, check in checks.items() if check(error))


async def plain(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(sa.text(statement))


async def raw(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(sa.text("select 1"))
    await (await driver(connection)).execute(statement)


@pytest.mark.parametrize("run", [plain, raw])
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select 1/0", ""),
        ("select 'x'::jsonb", ""),
        ("select no_such_function()", ""),
        ("do $$ begin raise exception using errcode = '40P01'; end $$", "cp"),
        ("do $$ begin raise exception using errcode = '40001'; end $$", "cp"),
        ("do $$ begin raise exception using errcode = '53100'; end $$", "lap"),
        ("do $$ begin raise exception using errcode = '25006'; end $$", "lap"),
        ("do $$ begin raise exception using errcode = '55P03'; end $$", "ap"),
        ("select set_config('statement_timeout', '50', true); select pg_sleep(9)", "a"),
        ("select pg_terminate_backend(pg_backend_pid())", "lap"),
    ],
)
async def test_errors_of_the_server_are_told_apart_in_both_dialects(
    database: Database, run: Any, statement: str, expected: str
) -> None:
    async def go() -> None:
        async with database.control() as connection:
            for part in statement.split("; ") if "pg_sleep" in statement else [statement]:
                await run(connection, part)

    with pytest.raises(faults.DATABASE_ERRORS) as caught:
        await go()
    assert kinds(caught.value) == expected


async def test_a_value_that_cannot_be_sent_is_no_lost_connection(database: Database) -> None:
    async with database.control() as connection:
        with pytest.raises(sa.exc.DBAPIError) as plain_error:
            await connection.execute(sa.text("select cast(:x as integer)"), {"x": "no number"})
        assert kinds(plain_error.value) == ""
    async with database.control() as connection:
        await connection.execute(sa.text("select 1"))
        with pytest.raises(asyncpg.DataError) as raw_error:
            await (await driver(connection)).fetch("select $1::integer", "no number")
        assert kinds(raw_error.value) == ""


@pytest.mark.parametrize(
    "url", ["postgresql://x@127.0.0.1:1/x", "postgresql://x@/x?host=/nonexistent", "{known}_and_no_such"]
)
async def test_a_database_that_cannot_be_reached_is_away(database_url: str, url: str) -> None:
    known = database_url.partition("?")
    engine = make_engine(url.format(known=known[0]) + ("?" + known[2] if url.startswith("{") else ""))
    with pytest.raises(faults.DATABASE_ERRORS) as caught:
        await engine.connect()
    assert kinds(caught.value) == "lap"
    await engine.dispose()
