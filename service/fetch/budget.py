"""Rate budgets that all replicas share: one row per limit of an app or account, drawn on in small leases.

A call leaves only where its cost was drawn before. Where much is left a draw takes some for the calls that follow in
the same slot, so that a wide limit costs a row now and then and not one per call; near its end every call asks. What an
answer says of a limit is written down where it matters: when it asks to wait, when little is left, else now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Budget, Connector, Response, Source, TryLater, Usage, fingerprint
from service import telemetry
from service.context import Context
from service.db.engine import Database
from service.db.tables import rate_budgets
from service.fetch import rates
from service.fetch.rates import Level

LONGEST_PAUSE = 20.0
"""What is waited here at most; more, and the task makes room for others."""
KEPT = timedelta(days=2)
_QUIET = 5.0  # seconds for which a limit that nobody knows is not looked up again
_WRITE_EVERY = 2.0
_PARTS = 20  # a word is written after this part of a limit was drawn
_LITTLE = 0.8
_FEW = 10.0


class _Lease(msgspec.Struct):
    """What this process may use without asking; ``got`` None: there is no limit."""

    got: float | None
    until: float


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One rate limit of one app or account. ``budget`` None: not documented, without end until the platform speaks."""

    key: bytes
    bucket: str
    budget: Budget | None


class Budgets:
    """The budgets of a process; leases are all that it remembers."""

    def __init__(
        self, db: Database, context: Context, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._db = db
        self._context = context
        self._sleep = sleep
        self._leases: dict[bytes, _Lease] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._written: dict[bytes, float] = {}
        self._drawn: dict[bytes, float] = {}

    def of(self, connector: Connector, source: Source, client_id: str = "") -> Paced:
        """Return the pace of a source's calls."""
        return Paced(self, connector, source, client_id)

    async def take(self, limit: Limit, cost: float) -> float:
        """Draw ``cost``; return 0, or the seconds to wait before asking again."""
        async with self._locks.setdefault(limit.key, asyncio.Lock()):
            now = self._now()
            lease = self._leases.get(limit.key)
            if lease is not None and lease.until > now and (lease.got is None or lease.got >= cost):
                lease.got = None if lease.got is None else lease.got - cost
                return 0.0
            drawn = await self._draw(limit, cost, now)
            if drawn.got is None:
                self._leases[limit.key] = _Lease(None, now + _QUIET)
                return 0.0
            if drawn.got < cost or self._now() >= drawn.latest:
                # What the database took too long for would leave in a window that it was not counted in.
                return max(drawn.wait, 0.001)
            self._leases[limit.key] = _Lease(drawn.got - cost, drawn.until)
            self._drawn[limit.key] = self._drawn.get(limit.key, 0.0) + drawn.got
            return 0.0

    async def _draw(self, limit: Limit, cost: float, now: float) -> rates.Drawn:
        async with self._db.control() as connection:
            level = await load(connection, limit.key, lock=True)
            if level is None and limit.budget is None:
                return rates.Drawn(level=Level(), got=None)
            if level is None:
                await _begin(connection, limit.key, self._context.now())
                level = await load(connection, limit.key, lock=True) or Level()
            drawn = rates.draw(level, limit.budget, cost, now)
            if drawn.got:
                await _save(connection, limit.key, drawn.level, self._context.now())
        return drawn

    async def correct(self, limit: Limit, usage: Usage, *, guessed: bool = False) -> None:
        """Write down what the platform said of a limit, where it matters; ``guessed``: its costs are estimates."""
        now = self._now()
        much = limit.budget is not None and self._drawn.get(limit.key, 0.0) * _PARTS >= limit.budget.calls
        if not much and not _matters(usage) and self._written.get(limit.key, 0.0) + _WRITE_EVERY > now:
            return
        self._drawn[limit.key] = 0.0
        if len(self._written) > 10_000:  # noqa: PLR2004 - a bound on memory, nothing more
            self._written.clear()
            self._drawn.clear()
        self._written[limit.key] = now
        if _matters(usage):
            self._leases.pop(limit.key, None)
        async with self._db.control() as connection:
            await _begin(connection, limit.key, self._context.now())
            level = await load(connection, limit.key, lock=True) or Level()
            corrected = rates.told(level, limit.budget, usage, now, guessed=guessed)
            await _save(connection, limit.key, corrected, self._context.now())

    async def wait(self, seconds: float, waited: float, connector: str, bucket: str) -> None:
        """Wait for a limit. Raises :class:`TryLater` where that takes too long, what was waited before included."""
        here = waited + seconds <= LONGEST_PAUSE
        telemetry.BUDGET_WAITS.labels(connector, "waited" if here else "put_off").inc()
        if not here:
            raise TryLater(f"the rate budget {bucket} is used up", seconds)
        # All who wait would come back at the same moment.
        await self._sleep(seconds + self._context.uniform() * min(1.0, seconds))

    def _now(self) -> float:
        return self._context.now().timestamp()


class Paced:
    """:class:`connectors.http.Pace` of one source."""

    def __init__(self, budgets: Budgets, connector: Connector, source: Source, client_id: str) -> None:
        self._budgets = budgets
        self._connector = connector
        self._limits = limits_of(connector, source, client_id)
        self._whose = (source, client_id)
        self._guessed: set[str] = set()

    async def draw(self, method: str, path: str) -> None:
        """Draw on the budget of a call; one that draws on an account's draws on the app's as well."""
        bucket, cost = self._connector.cost(method, path)
        for limit, each in self._drawn(bucket, cost):
            waited = 0.0
            while (seconds := await self._budgets.take(limit, each)) > 0:
                await self._budgets.wait(seconds, waited, self._connector.name, limit.bucket)
                waited += seconds

    def _drawn(self, bucket: str, cost: float) -> list[tuple[Limit, float]]:
        if not bucket or cost <= 0:
            return []
        own = self._limit(bucket)
        if cost != 1:
            self._guessed.add(bucket)
        found = [(own, cost)]
        if own.budget is None or own.budget.per != "app":
            found += [(one, 1.0) for one in self._limits.values() if one.budget and one.budget.per == "app"]
        return found

    async def heard(self, response: Response) -> Sequence[Usage]:
        """Take note of what an answer says."""
        told = list(self._connector.usage(response))
        for usage in told:
            await self._budgets.correct(self._limit(usage.bucket), usage, guessed=usage.bucket in self._guessed)
        return told

    def _limit(self, bucket: str) -> Limit:
        found = self._limits.get(bucket)
        if found is None:
            source, client_id = self._whose
            key = _key(self._connector, source, client_id, bucket, None)
            found = self._limits[bucket] = Limit(key=key, bucket=bucket, budget=None)
        return found


def limits_of(connector: Connector, source: Source, client_id: str) -> dict[str, Limit]:
    """Return the documented limits of a source, by bucket."""
    return {
        budget.bucket: Limit(
            key=_key(connector, source, client_id, budget.bucket, budget), bucket=budget.bucket, budget=budget
        )
        for budget in connector.capabilities.budgets
    }


def _key(connector: Connector, source: Source, client_id: str, bucket: str, budget: Budget | None) -> bytes:
    """Return the key of a limit: of an app, or of an account as an app sees it; without an account, of the source."""
    of_app = budget is not None and budget.per == "app"
    whose = "" if of_app else source.account or source.id
    return bytes.fromhex(fingerprint(connector.name, bucket, "app" if of_app else "account", client_id, whose))


def _matters(usage: Usage) -> bool:
    few = usage.remaining is not None and usage.remaining <= max(_FEW, (usage.limit or 0.0) * (1 - _LITTLE))
    return bool(usage.wait) or few or (usage.remaining is None and (usage.used or 0.0) >= _LITTLE)


# ------------------------------------------------------------------------------------------------ rows


async def load(connection: AsyncConnection, key: bytes, *, lock: bool = False) -> Level | None:
    """Return the level of a limit, locked for a change if asked; None where nothing was ever drawn or said."""
    query = sa.select(rate_budgets.c.state).where(rate_budgets.c.key == key)
    found = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if found is None else msgspec.convert(found.state, Level)


async def _begin(connection: AsyncConnection, key: bytes, now: datetime) -> None:
    row = insert(rate_budgets).values(key=key, state={}, updated_at=now)
    await connection.execute(row.on_conflict_do_nothing())


async def _save(connection: AsyncConnection, key: bytes, level: Level, now: datetime) -> None:
    change = rate_budgets.update().where(rate_budgets.c.key == key)
    await connection.execute(change.values(state=msgspec.to_builtins(level), updated_at=now))


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Take away what no window reaches back to any more."""
    await connection.execute(rate_budgets.delete().where(rate_budgets.c.updated_at < now - KEPT))
