"""The worker: leases a source, posts its deliveries batch by batch, and keeps a bad one from holding up the rest.

A batch is one transaction. Trouble that passes (a conflict, a lost connection) repeats the whole batch and blames
nobody. Anything else is halved until one delivery fails alone; that one waits longer each time and ends as a dead
letter. Any number of workers may run side by side, in one process or in many. What a delivery means is not known here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Connector
from service import telemetry
from service.access.secrets import Vault
from service.context import Context
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS, is_passing, sqlstate
from service.errors import Misconfigured
from service.ledger.posting import RetryExclusive
from service.pipeline import claim, reread
from service.pipeline.claim import Ending, Lease, LeaseLost, ReplaceFirst
from service.pipeline.pause import pause
from service.pipeline.pile import Task
from service.pipeline.run import Read, post_deliveries, read
from service.records import ClaimedDelivery, Fate, Outcome, SourceRow
from service.registry import sources, workspaces
from service.settings import Settings

_log = structlog.get_logger(__name__)

BATCH_BYTES = 4 * 1024 * 1024
"""Bodies of one batch, unless a single one has more: what is read of them takes ten times the room."""
TRIES = 5
"""How often one batch meets trouble that passes before its source is put off."""
BATCHES = 4
"""Batches of one lease, after which another source has its turn."""
SWEEP_SECONDS = 60.0
_PAUSES = 50
"""The first pause of an idle worker is this part of the longest."""
_LONGEST_BACKOFF = 3600.0
_OUT_OF_ORDER_SECONDS = 60.0


class Post(Protocol):
    """What turns deliveries into a posting: :func:`service.pipeline.run.post_deliveries`."""

    async def __call__(
        self,
        connection: AsyncConnection,
        workspace_id: UUID,
        source: SourceRow,
        deliveries: Sequence[ClaimedDelivery],
        connector_of: Callable[[str], Connector],
        context: Context,
        *,
        exclusive: bool = False,
    ) -> list[Outcome]: ...


class Load(Protocol):
    """What reads a source in a transaction of its workspace: :func:`service.registry.sources.load`."""

    async def __call__(self, connection: AsyncConnection, workspace_id: UUID, source_id: UUID) -> SourceRow: ...


class DrainSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was done until nothing was ready. ``postponed`` counts failed tries that will be repeated."""

    batches: int = 0
    posted: int = 0
    dead: int = 0
    postponed: int = 0
    items: int = 0
    entries: int = 0
    drops: int = 0

    @property
    def deliveries(self) -> int:
        return self.posted + self.dead

    def plus(self, outcomes: Sequence[Outcome]) -> DrainSummary:
        """Return the summary with one more finished batch."""
        dead = sum(outcome.fate is Fate.DEAD for outcome in outcomes)
        return DrainSummary(
            batches=self.batches + 1,
            posted=self.posted + len(outcomes) - dead,
            dead=self.dead + dead,
            postponed=self.postponed,
            items=self.items + sum(outcome.items for outcome in outcomes),
            entries=self.entries + sum(outcome.entries for outcome in outcomes),
            drops=self.drops + sum(len(outcome.drops) for outcome in outcomes),
        )


class _Poisoned(Exception):  # noqa: N818 - private, and it is caught where it is raised
    """Deliveries that could not be posted together; the cause is the error."""

    def __init__(self, deliveries: Sequence[ClaimedDelivery], error: Exception) -> None:
        super().__init__()
        self.deliveries = deliveries
        self.error = error


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch. ``is_last``: the lease has ended, for nothing more was ready or the turn was over."""

    outcomes: Sequence[Outcome]
    is_last: bool


class Worker:
    """Posts what is queued. ``wake`` is set by whoever lands deliveries in this process: it ends a pause early."""

    def __init__(
        self,
        db: Database,
        context: Context,
        settings: Settings,
        connectors: Mapping[str, Connector],
        *,
        wake: asyncio.Event | None = None,
        post: Post = post_deliveries,
        vault: Vault | None = None,
        load: Load = sources.load,
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._connectors = connectors
        self._wake = wake or asyncio.Event()
        self._post = post
        self._vault = vault
        self._load = load
        self._summary = DrainSummary()
        self._swept: float | None = None

    # -------------------------------------------------------------------------------------------- loops

    async def run(self, stop: asyncio.Event) -> None:
        """Post until ``stop`` is set; the batch at hand is finished first."""
        shortest = self._settings.worker_poll_seconds / _PAUSES
        rest = shortest
        while not stop.is_set():
            self._wake.clear()
            if await self._step():
                rest = shortest
                continue
            await pause(rest, self._wake, stop)
            rest = min(rest * 2, self._settings.worker_poll_seconds)

    async def drain(self) -> DrainSummary:
        """Post everything that is ready now and return. Raises the database's errors when it stays away."""
        self._summary = DrainSummary()
        await self._sweep()
        while lease := await self._lease():
            await self._work(lease)
        return self._summary

    async def _step(self) -> bool:
        """Do one lease's work; False when there was none, or when it failed and a pause is due."""
        try:
            if self._swept is None or self._context.monotonic() - self._swept >= SWEEP_SECONDS:
                await self._sweep()
            lease = await self._lease()
            if lease is None:
                return False
            await self._work(lease)
        except Exception as error:  # noqa: BLE001 - the loop goes on whatever one source brings
            _log.error("worker.failed", error=type(error).__name__, state=sqlstate(error))
            return False
        return True

    async def _sweep(self) -> None:
        """Make up for lost hints of work in every workspace. Every worker does so: none may be the only one."""
        async for workspace_id in workspaces.everywhere(self._db):
            telemetry.LOST_HINTS.inc(await claim.sweep(self._db, workspace_id))
        self._swept = self._context.monotonic()

    # -------------------------------------------------------------------------------------------- one source

    async def _lease(self) -> Lease | None:
        return await claim.lease_next(self._db, self._context.now(), self._settings.lease_seconds)

    async def _work(self, lease: Lease) -> None:
        """Post batches of a leased source until nothing is ready, or it is another source's turn."""
        beat = asyncio.create_task(self._beat(lease))
        try:
            for left in reversed(range(BATCHES)):
                try:
                    if not await self._post_batch(lease, is_turn_over=not left):
                        return
                except ReplaceFirst:
                    await self._reread(lease)
            await claim.give_back(self._db, lease, self._context.now())
        except LeaseLost:
            telemetry.LEASES_LOST.inc()
            _log.warning("worker.lease_lost", source=str(lease.source_id))
        except Misconfigured as error:
            _log.error("worker.source_put_off", source=str(lease.source_id), reason=str(error))
            await claim.give_back(self._db, lease, self._context.now() + timedelta(seconds=_OUT_OF_ORDER_SECONDS))
        except DATABASE_ERRORS:
            with suppress(*DATABASE_ERRORS):
                soon = self._context.now() + timedelta(seconds=self._settings.retry_seconds)
                await claim.give_back(self._db, lease, soon)
            raise
        finally:
            beat.cancel()

    async def _beat(self, lease: Lease) -> None:
        """Keep the lease while its work goes on."""
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            until = self._context.now() + timedelta(seconds=self._settings.lease_seconds)
            with suppress(*DATABASE_ERRORS):
                if not await claim.extend(self._db, lease, until):
                    return

    async def _reread(self, lease: Lease) -> None:
        """Replace the older readings of what is queued to be read again."""
        while (task := await self._reread_task(lease)) is not None:
            try:
                async for outcomes in reread.replace_readings(self._db, lease, task):
                    self._count(outcomes)
            except _Poisoned as poisoned:
                await self._split(lease, poisoned)
            except (LeaseLost, Misconfigured):
                raise
            except Exception as error:
                if is_passing(error):
                    raise
                await self._put_off(lease, error)

    async def _put_off(self, lease: Lease, error: Exception) -> None:
        """Let a replacement wait that failed for no delivery's sake: its source goes on with what is new."""
        reason, now = " ".join(filter(None, (type(error).__name__, sqlstate(error)))), self._context.now()
        ready_at = now + timedelta(seconds=self._backoff(self._settings.max_attempts))
        async with self._db.workspace(lease.workspace_id) as connection:
            self._count(await reread.put_off(connection, lease, reason, now, ready_at, self._settings.max_attempts))
        _log.error("worker.replay_failed", source=str(lease.source_id), error=reason)

    async def _reread_task(self, lease: Lease) -> Task | None:
        async with self._db.workspace(lease.workspace_id) as connection:
            if not await reread.is_due(connection, lease, self._connector, self._context.now()):
                return None
            source = await self._load(connection, lease.workspace_id, lease.source_id)
            veil = None
            if self._vault is not None:
                veil = (await workspaces.open_vault(connection, lease.workspace_id, self._vault)).hash
        return Task(source=source, connector_of=self._connector, context=self._context, read=self._read, veil=veil)

    def _read(self, delivery: ClaimedDelivery, connector: Connector) -> Read | Outcome:
        try:
            return read(delivery, connector)
        except Exception as error:
            raise _Poisoned([delivery], error) from error

    async def _post_batch(
        self, lease: Lease, only: Sequence[UUID] | None = None, *, is_turn_over: bool = False
    ) -> bool:
        """Post one batch, splitting it where it fails; False when the lease has ended.

        It ends where nothing more was ready, and where it was the last batch of a turn.
        """
        try:
            batch = await self._post_patiently(lease, only, is_turn_over=is_turn_over)
        except _Poisoned as poisoned:
            await self._split(lease, poisoned)
            return True
        if batch.outcomes:
            self._count(batch.outcomes)
        return not batch.is_last

    async def _post_patiently(self, lease: Lease, only: Sequence[UUID] | None, *, is_turn_over: bool) -> _Batch:
        exclusive = False
        for left in reversed(range(TRIES)):
            try:
                return await self._post_once(lease, only, exclusive=exclusive, is_turn_over=is_turn_over)
            except RetryExclusive:
                exclusive = True
            except DATABASE_ERRORS as error:
                if not left or not is_passing(error):
                    raise
                telemetry.BATCHES_REPEATED.inc()
                await asyncio.sleep(self._context.uniform() * self._settings.retry_seconds / 2**left)
        raise Misconfigured("a posting asks to have the workspace alone again and again")

    async def _post_once(
        self, lease: Lease, only: Sequence[UUID] | None, *, exclusive: bool, is_turn_over: bool
    ) -> _Batch:
        """Take, post, finish, and hold, leave or give back: one transaction."""
        outcomes: list[Outcome] = []
        async with self._db.posting(lease.workspace_id) as connection:
            limit = self._settings.worker_batch
            deliveries = await claim.take(connection, lease, limit, BATCH_BYTES, self._context.now(), only)
            full = len(deliveries) == limit or sum(len(one.body) for one in deliveries) > BATCH_BYTES // 2
            ending = Ending.GIVE_BACK if is_turn_over else Ending.HOLD
            if only is None and not full:
                ending = Ending.ALONE
            if deliveries:
                outcomes = await self._outcomes(connection, lease, deliveries, ending, exclusive=exclusive)
            # What is ready now may wait for its turn: it came while the batch was posted.
            now = self._context.now()
            soonest = now + timedelta(seconds=self._settings.worker_poll_seconds)
            if only is None and not deliveries:
                await claim.leave(connection, lease, now, soonest)
            elif ending is Ending.ALONE:
                await claim.left(connection, lease, now, soonest)
        return _Batch(outcomes=outcomes, is_last=ending is not Ending.HOLD)

    async def _outcomes(
        self,
        connection: AsyncConnection,
        lease: Lease,
        deliveries: Sequence[ClaimedDelivery],
        ending: Ending,
        *,
        exclusive: bool,
    ) -> list[Outcome]:
        source = await self._load(connection, lease.workspace_id, lease.source_id)
        try:
            outcomes = await self._post(
                connection,
                lease.workspace_id,
                source,
                deliveries,
                self._connector,
                self._context,
                exclusive=exclusive,
            )
            await claim.finish(connection, lease, outcomes, self._context.now(), ending)
        except (RetryExclusive, Misconfigured, LeaseLost):
            raise
        except Exception as error:
            if is_passing(error):
                raise
            raise _Poisoned(deliveries, error) from error
        return outcomes

    def _connector(self, name: str) -> Connector:
        found = self._connectors.get(name)
        if found is None:
            raise Misconfigured(f"the connector {name} is not installed")
        return found

    # -------------------------------------------------------------------------------------------- what fails

    async def _split(self, lease: Lease, poisoned: _Poisoned) -> None:
        deliveries = poisoned.deliveries
        if len(deliveries) == 1:
            await self._fail(lease, deliveries[0], poisoned.error)
            return
        middle = len(deliveries) // 2
        for half in (deliveries[:middle], deliveries[middle:]):
            await self._post_batch(lease, [delivery.delivery_id for delivery in half])

    async def _fail(self, lease: Lease, delivery: ClaimedDelivery, error: Exception) -> None:
        """Let a delivery that failed alone wait, or put it aside after its last try."""
        reason = " ".join(filter(None, (type(error).__name__, sqlstate(error))))
        now = self._context.now()
        is_last = delivery.attempt >= self._settings.max_attempts
        async with self._db.workspace(lease.workspace_id) as connection:
            if is_last:
                dead = self._dead(delivery, f"failed {delivery.attempt} times: {reason}")
                await claim.finish(connection, lease, [dead], now)
            else:
                ready_at = now + timedelta(seconds=self._backoff(delivery.attempt))
                await claim.postpone(connection, lease, delivery.delivery_id, ready_at, reason)
                await claim.hold(connection, lease)
        _log.warning("worker.delivery_failed", delivery=str(delivery.delivery_id), error=reason, last=is_last)
        if is_last:
            self._count([dead])
        else:
            telemetry.DELIVERIES_POSTPONED.inc()
            self._summary = msgspec.structs.replace(self._summary, postponed=self._summary.postponed + 1)

    def _dead(self, delivery: ClaimedDelivery, error: str) -> Outcome:
        return Outcome(
            delivery_id=delivery.delivery_id,
            received_at=delivery.received_at,
            fate=Fate.DEAD,
            connector_version=self._connector(delivery.connector).version,
            error=error,
        )

    def _backoff(self, attempt: int) -> float:
        """Full jitter: anything between nothing and the doubled pause."""
        longest = min(self._settings.retry_seconds * 2.0 ** (attempt - 1), _LONGEST_BACKOFF)
        return self._context.uniform() * longest

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        self._summary = self._summary.plus(outcomes)
        for fate, count in Counter(outcome.fate for outcome in outcomes).items():
            telemetry.DELIVERIES_READ.labels(fate.value).inc(count)
