"""The migration that adds the marks fills them as the service would have written them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from service.db import migrate
from service.db.engine import Database, asyncpg_url
from service.ledger.verify import verify
from tests.integration.reports.test_sums import filled

BLANK = (
    "update subject_days set carried = 0",
    "update subjects set observed_at = null, longest = 1",
)


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_was_there_is_marked(database: Database, owner_url: str, seed: int) -> None:
    books, _ = await filled(database, seed)
    migration = ScriptDirectory.from_config(migrate.config("", "")).get_revision("0003").module
    engine = create_async_engine(asyncpg_url(owner_url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as owner:
        await owner.execute(sa.text(f"set app.workspace_id = '{books.workspace_id}'"))
        for statement in BLANK:
            await owner.execute(sa.text(statement))
        await owner.execute(sa.text("reset app.workspace_id"))
        async with database.snapshot(books.workspace_id) as connection:
            blank = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
        await owner.run_sync(migration.fill)
    await engine.dispose()
    async with database.snapshot(books.workspace_id) as connection:
        report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
    assert {one.check for one in blank.differences} == {"subject_days", "extents"}
    assert report.differences == []
