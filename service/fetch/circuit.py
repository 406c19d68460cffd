"""One circuit per platform and account: where a platform does not answer, its tasks wait without asking.

A task that ends without a page because nobody answered, or only faults came, is one failure; several in a row open the
circuit for a while that doubles. Then one task goes ahead; if it gets through, all do. The state is a row that replicas
share, looked at once per task: what one of them has found out the others need not (ADR 0015).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from connectors.contract import Connector, Source, TryLater, fingerprint
from service import telemetry
from service.context import Context
from service.db.engine import Database
from service.db.tables import circuits

FAILURES = 3
FIRST = timedelta(minutes=1)
LONGEST = timedelta(hours=1)
PROBE = timedelta(minutes=16)
"""A probe that has not said how it went by then is taken for lost."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How a circuit stands: failures in a row, until when it is open, and who tries it."""

    failures: int
    open_until: datetime | None
    probe_until: datetime | None

    def wait(self, now: datetime) -> timedelta:
        """Return how long nobody may ask; zero where somebody may."""
        until = max((at for at in (self.open_until, self.probe_until) if at is not None), default=now)
        return max(until - now, timedelta(0))


def key_of(connector: Connector, source: Source) -> bytes:
    """Return the key of a circuit: an account, or a source that names none."""
    return bytes.fromhex(fingerprint("circuit", connector.name, source.account or source.id))


class Circuits:
    """The circuits of all accounts, in the database."""

    def __init__(self, db: Database, context: Context) -> None:
        self._db = db
        self._context = context

    async def state(self, connector: Connector, source: Source) -> State | None:
        """Return how the circuit of a source stands; None where nothing failed."""
        query = sa.select(*(circuits.c[name] for name in State.__struct_fields__))
        async with self._db.control() as connection:
            found = await connection.execute(query.where(circuits.c.key == key_of(connector, source)))
            row = found.mappings().one_or_none()
        return None if row is None else State(**row)

    async def enter(self, connector: Connector, source: Source) -> bool:
        """Return whether a failure is known, so that a success must be told. Raises :class:`TryLater` while open."""
        now, known = self._context.now(), await self.state(connector, source)
        if known is None or known.failures < FAILURES:
            return known is not None
        wait = known.wait(now)
        if not wait and not await self._probe(connector, source, now):
            wait = FIRST
        if wait:
            raise TryLater(f"{connector.title} did not answer {known.failures} times", wait.total_seconds())
        return True

    async def _probe(self, connector: Connector, source: Source, now: datetime) -> bool:
        """Take the one try that is given after a while; False where another process has it."""
        is_free = sa.or_(circuits.c.probe_until.is_(None), circuits.c.probe_until <= now)
        is_closing = sa.or_(circuits.c.open_until.is_(None), circuits.c.open_until <= now)
        change = circuits.update().where(circuits.c.key == key_of(connector, source), is_free, is_closing)
        async with self._db.control() as connection:
            taken = (await connection.execute(change.values(probe_until=now + PROBE))).rowcount == 1
        if taken:
            telemetry.CIRCUITS.labels(connector.name, "probed").inc()
        return taken

    async def failed(self, connector: Connector, source: Source) -> None:
        """Count a failure; open the circuit after several."""
        now, key = self._context.now(), key_of(connector, source)
        first = insert(circuits).values(key=key, failures=1, updated_at=now)
        more = first.on_conflict_do_update(
            index_elements=["key"],
            set_={"failures": circuits.c.failures + 1, "updated_at": now, "probe_until": None},
        ).returning(circuits.c.failures)
        async with self._db.control() as connection:
            failures = int((await connection.execute(more)).scalar_one())
            if failures >= FAILURES:
                # With jitter: accounts that failed together must not come back together.
                pause = min(FIRST * 2 ** min(failures - FAILURES, 10), LONGEST)
                until = now + pause * (0.5 + self._context.uniform() / 2)
                await connection.execute(circuits.update().where(circuits.c.key == key).values(open_until=until))
        if failures == FAILURES:
            telemetry.CIRCUITS.labels(connector.name, "opened").inc()

    async def closed(self, connector: Connector, source: Source) -> None:
        """Forget the failures: the platform answers."""
        async with self._db.control() as connection:
            await connection.execute(circuits.delete().where(circuits.c.key == key_of(connector, source)))
        telemetry.CIRCUITS.labels(connector.name, "closed").inc()
