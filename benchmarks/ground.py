"""Where it is measured: one embedded PostgreSQL in a directory of its own, fsync on, its settings as they come.

Everything that is compared runs against this one server, each in a fresh database. Nothing of it outlives the run.
"""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.context import Context, real
from service.db import embedded, migrate
from service.db.embedded import Embedded
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = "tallybook_template"
_TICKS = os.sysconf("SC_CLK_TCK")


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """The server, a directory for throw-away files, and the context that ids and times come from.

    ``shelf`` holds what parts leave for each other, by name: databases that take long to fill.
    """

    server: Embedded
    scratch: Path
    context: Context
    master: str
    shelf: dict[str, Any] = {}

    def settings(self, database: str, **more: Any) -> Settings:
        """Return the settings of a service process on ``database``; the environment has no say."""
        return Settings.model_validate(
            {"database_url": self.server.url(embedded.SERVICE, database), "master_key": self.master, **more}
        )

    def environ(self, database: str) -> dict[str, str]:
        """Return the environment of a service process on ``database``."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYBOOK_", "PG"))}
        url = self.server.url(embedded.SERVICE, database)
        return own | {"TALLYBOOK_DATABASE_URL": url, "TALLYBOOK_MASTER_KEY": self.master}

    @asynccontextmanager
    async def database(self, *, migrated: bool = True) -> AsyncIterator[str]:
        """Make a database, migrated or empty, and drop it at the end; the server has come to rest before."""
        name = await self.new_database(migrated=migrated)
        try:
            yield name
        finally:
            await asyncio.to_thread(self.server.psql, f"drop database {name} with (force)")

    async def new_database(self, *, migrated: bool = True) -> str:
        """Make a database that stays until the server goes; return its name."""
        name = f"bench_{self.context.new_id().hex[-12:]}"
        template = TEMPLATE if migrated else "template1"
        made = f"create database {name} template {template} strategy file_copy owner {embedded.OWNER}"
        await asyncio.to_thread(self.server.psql, f"{made};\ncheckpoint;")
        return name

    @asynccontextmanager
    async def superuser(self, database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Connect past every policy."""
        connection = await asyncpg.connect(self.server.url("postgres", database))
        try:
            yield connection
        finally:
            await connection.close()

    def cpu(self) -> float:
        """Return the CPU seconds that the server and all its processes have taken so far."""
        first = int((self.scratch / "postgres" / "postmaster.pid").read_text(encoding="ascii").split()[0])
        gone = cpu_of(first, with_gone=True)
        return gone + sum(cpu_of(process) for process in _children(first))


def cpu_of(process: int, *, with_gone: bool = False) -> float:
    """Return the CPU seconds of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11 : 15 if with_gone else 13]) / _TICKS


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(text) for text in found.split()]


@contextmanager
def opened() -> Iterator[Ground]:
    """Start the server and migrate the template that databases are copied from."""
    context = real()
    with tempfile.TemporaryDirectory(prefix="tbk-bench-", ignore_cleanup_errors=True) as directory:
        scratch = Path(directory)
        server = embedded.start(scratch)
        migrate.upgrade(server.url(embedded.OWNER), embedded.SERVICE)
        server.psql(f"alter database {embedded.DATABASE} rename to {TEMPLATE}")
        master = base64.b64encode(context.token(32)).decode()
        yield Ground(server=server, scratch=scratch, context=context, master=master)
