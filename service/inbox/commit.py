"""One commit for many deliveries: what arrives together is written together, and whoever waits hears of it after.

Memory is bounded: what does not fit the queue is refused at once, as is everything while the database is away. A batch
that the database refuses is halved until the delivery to blame stands alone. Outcomes that are not known are reported
as *busy*: sent again, the delivery is then a duplicate.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import Protocol

import msgspec
import structlog

from service import telemetry
from service.context import Context
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS, is_away, is_conflict, sqlstate
from service.db.line import LandingLine, landing_line
from service.errors import Busy, Invalid, TallybookError
from service.inbox.store import Kept, Landed, Landing, store

_log = structlog.get_logger(__name__)

_AWAY = "deliveries cannot be stored at the moment"
# Values that PostgreSQL cannot hold and structures beyond its limits; values that the driver cannot send have no state.
_UNSTORABLE = frozenset({"22", "54", ""})


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the shared commit. Times are seconds, ``*_bytes`` count bodies.

    ``linger`` is how long the first delivery of a batch waits unless there is ``company``, ``idle`` how long a
    connection is kept that nothing is written by; ``connect`` after how long without a connection the database counts
    as away, ``commit`` after how long a commit does. A body of at least ``alone_bytes`` has a transaction to itself, so
    that small ones do not wait for it; ``alone`` of these run at a time.
    """

    batch: int = 500
    batch_bytes: int = 8 * 1024 * 1024
    queue: int = 1000
    queue_bytes: int = 64 * 1024 * 1024
    linger: float = 0.01
    company: int = 32
    idle: float = 1.0
    connect: float = 0.8
    commit: float = 5.0
    alone_bytes: int = 1024 * 1024
    alone: int = 2
    alone_queue_bytes: int = 512 * 1024 * 1024
    alone_commit: float = 60.0
    tries: int = 5
    stop: float = 10.0


class Waiter(Protocol):
    """Who waits for a landing, in the words of a future: told once, unless done with waiting before."""

    def done(self) -> bool:
        """Tell whether nobody waits any more."""
        ...

    def set_result(self, result: Landed, /) -> None:
        """Hear that it is committed. Raises nothing: others are told by the same hand."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """Hear that it is not, or not known to be. Raises nothing."""
        ...


class _Waiting(msgspec.Struct, frozen=True):
    """A landing and who waits for it."""

    landing: Landing
    waiter: Waiter

    def fail(self, error: TallybookError, reason: str) -> None:
        if not self.waiter.done():
            telemetry.LANDING_REFUSED.labels(reason).inc()
            self.waiter.set_exception(error)


def pass_on(waiter: Waiter, done: asyncio.Future[Landed]) -> None:
    """Tell a waiter what a future that is done holds."""
    if waiter.done():
        return
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if error is None:
        waiter.set_result(done.result())
    else:
        waiter.set_exception(error)


def _tell_all(batch: Sequence[_Waiting], landed: Sequence[Landed]) -> None:
    for waiting, result in zip(batch, landed, strict=True):
        if not waiting.waiter.done():
            waiting.waiter.set_result(result)


def count_landed(channel: str, landed: Landed) -> None:
    """Count a delivery once its transaction is committed."""
    telemetry.DELIVERIES_LANDED.labels(channel, _fate(landed.outcome, is_first=landed.conflict_of is None)).inc()


def _count_all(batch: Sequence[_Waiting], landed: Sequence[Landed]) -> None:
    telemetry.LANDING_BATCH.observe(len(batch))
    kinds = [
        (waiting.landing.origin.channel, one.outcome, one.conflict_of is None)
        for waiting, one in zip(batch, landed, strict=True)
    ]
    for (channel, outcome, is_first), number in Counter(kinds).items():
        telemetry.DELIVERIES_LANDED.labels(channel, _fate(outcome, is_first=is_first)).inc(number)


def _fate(outcome: Kept, *, is_first: bool) -> str:
    return outcome.value if is_first or outcome is not Kept.STORED else "conflict"


class SharedCommit:
    """The writer of one process. ``landed`` is set after each commit."""

    def __init__(self, db: Database, context: Context, limits: Limits) -> None:
        self.landed = asyncio.Event()
        self._db = db
        self._context = context
        self._limits = limits
        self._store = store
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._batch: Sequence[_Waiting] = ()
        self._arrived = asyncio.Event()
        self._has_company = asyncio.Event()
        self._alone = asyncio.Semaphore(limits.alone)
        self._alone_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._is_open = False
        self._is_away = False

    def start(self) -> None:
        """Begin to take deliveries."""
        self._is_open = True
        self._writer = asyncio.create_task(self._write_all(), name="shared commit")
        self._writer.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Take no more, write what waits, fail what cannot be written within the limit."""
        self._is_open = False
        self._arrived.set()
        self._has_company.set()
        if self._writer is not None:
            _, pending = await asyncio.wait({self._writer}, timeout=self._limits.stop)
            for task in pending:
                task.cancel()
            await asyncio.wait({self._writer})
        self._fail_all()

    def submit(self, landing: Landing) -> asyncio.Future[Landed]:
        """Return what tells when the landing is committed: its result, or :class:`Busy`, or :class:`Invalid` if never.

        Raises :class:`Busy` for what is not taken at all.
        """
        if len(landing.body) >= self._limits.alone_bytes:
            self._require_open()
            return asyncio.ensure_future(self._write_alone(landing))
        done: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        self.hand_in(landing, done)
        return done

    def hand_in(self, landing: Landing, waiter: Waiter) -> None:
        """Tell the waiter when the landing is committed, and no sooner; errors are those of :meth:`submit`."""
        size = len(landing.body)
        if size >= self._limits.alone_bytes:
            self.submit(landing).add_done_callback(partial(pass_on, waiter))
            return
        self._require_open()
        if len(self._queue) >= self._limits.queue or self._queued_bytes + size > self._limits.queue_bytes:
            raise _refused("busy", "too many deliveries are waiting to be stored")
        self._queue.append(_Waiting(landing, waiter))
        self._queued_bytes += size
        self._arrived.set()
        if len(self._queue) >= self._limits.company:
            self._has_company.set()

    def _require_open(self) -> None:
        if not self._is_open or self._is_away:
            raise _refused("away", _AWAY)

    async def _write_alone(self, landing: Landing) -> Landed:
        size = len(landing.body)
        if self._alone_bytes + size > self._limits.alone_queue_bytes:
            raise _refused("busy", "too many large deliveries are waiting to be stored")
        self._alone_bytes += size
        try:
            async with self._alone, landing_line(self._db) as line:
                done: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
                await self._write([_Waiting(landing, done)], line, shared=False)
                return await done
        finally:
            self._alone_bytes -= size

    # -------------------------------------------------------------------------------------------- the writer

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody may wait for a writer that is gone: fail what it held and start another one."""
        if task.cancelled() or task.exception() is None:
            return
        _log.error("lander.died", error=type(task.exception()).__name__)
        self._fail_all()
        if self._is_open:
            self.start()

    async def _write_all(self) -> None:
        self._is_away = False
        while await self._waits_for_work(None):
            async with landing_line(self._db) as line:
                while await self._waits_for_work(self._limits.idle):
                    await self._write_next(line)

    async def _waits_for_work(self, seconds: float | None) -> bool:
        """Return once something waits to be written; False when nothing came in time, or no more will come."""
        if self._queue:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._queue and self._is_open:
                    self._arrived.clear()
                    await self._arrived.wait()
        return bool(self._queue)

    async def _write_next(self, line: LandingLine) -> None:
        if self._is_open and len(self._queue) < self._limits.company:
            self._has_company.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.linger):
                    await self._has_company.wait()
        self._batch = self._next_batch()
        await self._write(self._batch, line, shared=True)
        self._batch = ()
        self._is_away = False

    def _next_batch(self) -> list[_Waiting]:
        """Take from the queue what fits one commit, at least one; what nobody waits for any more is not written."""
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._limits.batch:
            following = len(self._queue[0].landing.body)
            if batch and size + following > self._limits.batch_bytes:
                break
            waiting = self._queue.popleft()
            self._queued_bytes -= following
            if not waiting.waiter.done():
                batch.append(waiting)
                size += following
        return batch

    async def _write(self, batch: Sequence[_Waiting], line: LandingLine, *, shared: bool) -> None:
        """Write a batch and tell everybody in it; halve it where something in it is refused."""
        if not batch:
            return
        try:
            landed = await self._commit_again(batch, line, shared=shared)
        except DATABASE_ERRORS as error:
            state = sqlstate(error)
            if is_away(error) or is_conflict(error) or state[:2] not in _UNSTORABLE:
                self._give_up(batch, state or type(error).__name__, shared=shared)
            elif len(batch) == 1:
                _log.warning("lander.refused", delivery=str(batch[0].landing.delivery_id), state=state)
                batch[0].fail(Invalid("the delivery holds what cannot be stored"), "unstorable")
            else:
                middle = len(batch) // 2
                await self._write(batch[:middle], line, shared=shared)
                await self._write(batch[middle:], line, shared=shared)
            return
        self.landed.set()
        _count_all(batch, landed)
        # Only after the next batch is on its way: to answer these takes as long as a commit.
        asyncio.get_running_loop().call_soon(_tell_all, batch, landed)

    async def _commit_again(self, batch: Sequence[_Waiting], line: LandingLine, *, shared: bool) -> list[Landed]:
        for _ in range(self._limits.tries - 1):
            try:
                return await self._commit(batch, line, shared=shared)
            except DATABASE_ERRORS as error:
                if not is_conflict(error):
                    raise
        return await self._commit(batch, line, shared=shared)

    async def _commit(self, batch: Sequence[_Waiting], line: LandingLine, *, shared: bool) -> list[Landed]:
        """Write a batch; everybody hears of a server that hangs, however long cleaning up takes."""
        landings = [waiting.landing for waiting in batch]
        seconds = self._limits.commit if shared else self._limits.alone_commit
        async with AsyncExitStack() as stack:
            with self._alarm(batch, self._limits.connect, shared=shared):
                async with asyncio.timeout(self._limits.connect):
                    workspaces = {landing.origin.workspace_id for landing in landings}
                    connection = await stack.enter_async_context(line.landing(workspaces))
            with self._alarm(batch, seconds, shared=shared):
                async with asyncio.timeout(seconds):
                    landed = await self._store(connection, landings, self._context.now())
                    await stack.aclose()
        return landed

    @contextmanager
    def _alarm(self, batch: Sequence[_Waiting], seconds: float, *, shared: bool) -> Iterator[None]:
        """Give up on a batch a little after the time-out that should have ended the block."""
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(seconds * 1.1, partial(self._give_up, batch, "hangs", shared=shared))
        try:
            yield
        finally:
            alarm.cancel()

    def _give_up(self, batch: Sequence[_Waiting], reason: str, *, shared: bool) -> None:
        """Fail a batch; of a shared one also all that waits behind it, and newcomers until the writer is free again."""
        _log.warning("lander.away", reason=reason, waiting=len(batch) + len(self._queue))
        for waiting in batch:
            waiting.fail(Busy(_AWAY), "away")
        if shared:
            self._is_away = True
            self._fail_all()

    def _fail_all(self) -> None:
        waiting = [*self._batch, *self._queue]
        self._batch = ()
        self._queue.clear()
        self._queued_bytes = 0
        for one in waiting:
            one.fail(Busy(_AWAY), "away")


def _refused(reason: str, message: str) -> Busy:
    telemetry.LANDING_REFUSED.labels(reason).inc()
    return Busy(message)
