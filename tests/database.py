"""Databases for tests: one embedded server per run and machine user, a migrated template, a copy per test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from service.db import embedded, migrate
from service.db.embedded import Embedded
from service.db.engine import Database, make_engine

TEMPLATE = "tallybook_template"
_ROOM = 2 * 1024**3


def _memory() -> str | None:
    """Return a directory in memory with room for the copies, or None: hundreds of copies are what a disk is slow at."""
    place = Path("/dev/shm")  # noqa: S108 - only the parent of a directory that is made safely
    roomy = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > _ROOM
    return str(place) if roomy else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Embedded]:
    """Start (or join) the server of this test process and migrate its template."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with tempfile.TemporaryDirectory(prefix=f"tbk-{worker}-", dir=_memory(), ignore_cleanup_errors=True) as directory:
        server = embedded.start(Path(directory))
        server.psql("alter system set fsync = off; select pg_reload_conf()")
        migrate.upgrade(server.url(embedded.OWNER), embedded.SERVICE)
        server.psql(f"alter database {embedded.DATABASE} rename to {TEMPLATE}")
        yield server


@pytest.fixture
def database_url(postgres: Embedded) -> Iterator[str]:
    """Copy the template for one test; yield the service role's address."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"create database {name} template {TEMPLATE} strategy file_copy owner {embedded.OWNER}")
    yield postgres.url(embedded.SERVICE, name)
    postgres.psql(f"drop database {name} with (force)")


@pytest.fixture
def owner_url(database_url: str) -> str:
    """Return the owner's address of this test's database."""
    return database_url.replace(f"//{embedded.SERVICE}@", f"//{embedded.OWNER}@")


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open this test's database as the service role."""
    engine = make_engine(database_url, pool_size=8)
    yield Database(engine)
    await engine.dispose()
