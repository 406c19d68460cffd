"""The timer: looks for due fetches every few seconds and keeps partitions ahead of time. The only user of apscheduler.

It is a timer and never the truth: every replica may tick, twice even, and the database decides who begins what. What it
remembers between ticks only saves questions; a new source is noticed within :data:`LONGEST_QUIET`.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from service import telemetry
from service.context import Context
from service.db.engine import Database
from service.db.partitions import days_left, make_partitions
from service.fetch.budget import forget_old
from service.fetch.rounds import SIDE_BY_SIDE, DueSource, Rounds
from service.fetch.subscribing import Subscriber
from service.registry import sources, terms
from service.settings import Settings

_log = structlog.get_logger(__name__)

LONGEST_QUIET = timedelta(seconds=30)
MAINTENANCE = timedelta(hours=1)
RENEWALS = timedelta(minutes=1)
"""How often leases of subscriptions and ends of tokens are looked at."""
_STOP_SECONDS = 10.0


class Scheduler:
    """Runs rounds in the background, a bounded number of sources at a time."""

    def __init__(
        self,
        db: Database,
        context: Context,
        settings: Settings,
        rounds: Rounds,
        subscriber: Subscriber | None = None,
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._rounds = rounds
        self._subscriber = subscriber
        self._quiet: dict[UUID, datetime] = {}
        self._running: dict[UUID, asyncio.Task[object]] = {}
        self._last = UUID(int=0)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until ``stop`` is set; what is being pulled then is let go and goes on elsewhere."""
        timer = AsyncIOScheduler(timezone=UTC, logger=_silent())
        timer.add_listener(_on_error, EVENT_JOB_ERROR)
        for job, every in (
            (self.tick, timedelta(seconds=self._settings.schedule_seconds)),
            (self.maintain, MAINTENANCE),
            (self.renew, RENEWALS),
        ):
            trigger = IntervalTrigger(seconds=every.total_seconds(), timezone=UTC)
            timer.add_job(job, trigger, max_instances=1, coalesce=True, next_run_time=self._context.now())
        timer.start()
        try:
            await stop.wait()
        finally:
            timer.shutdown(wait=False)
            await self._let_go()

    async def tick(self) -> None:
        """Begin what is due, as far as there is room; return without waiting for it."""
        known = await self._rounds.known()
        self._quiet = {workspace_id: self._quiet[workspace_id] for workspace_id in known if workspace_id in self._quiet}
        # The turn goes round: with little room the first workspaces must not be the only ones.
        for workspace_id in sorted(known, key=lambda each: (each <= self._last, each)):
            now = self._context.now()
            if len(self._running) >= SIDE_BY_SIDE:
                return
            self._last = workspace_id
            if self._quiet.get(workspace_id, now) > now:
                continue
            planned = await self._rounds.plan(workspace_id)
            if all(self._begin(wanted) for wanted in planned.sources):
                latest = now + LONGEST_QUIET
                self._quiet[workspace_id] = min(planned.next_look or latest, latest)

    def _begin(self, wanted: DueSource) -> bool:
        """Pull a source in the background; False when there is no room now."""
        source_id = wanted.source.source_id
        if source_id in self._running:
            return True
        if len(self._running) >= SIDE_BY_SIDE:
            return False
        task: asyncio.Task[object] = asyncio.create_task(self._rounds.pull(wanted), name=f"fetch {source_id}")
        self._running[source_id] = task
        task.add_done_callback(lambda done: self._ended(source_id, wanted.source.workspace_id, done))
        return True

    def _ended(self, source_id: UUID, workspace_id: UUID, task: asyncio.Task[object]) -> None:
        self._running.pop(source_id, None)
        self._quiet.pop(workspace_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("fetch.interrupted", source=str(source_id), error=type(error).__name__)

    async def maintain(self) -> None:
        """Make the partitions of the weeks to come and say how many days are left."""
        today = self._context.now().date()
        async with self._db.control() as connection:
            made = await make_partitions(connection, today)
            left = await days_left(connection, today)
            await forget_old(connection, self._context.now())
        telemetry.PARTITION_DAYS.set(left)
        if made:
            _log.info("partitions.made", count=made, days_left=left)

    async def renew(self) -> None:
        """Renew the leases of subscriptions that are due; say which tokens end and how many accounts are lost."""
        lost, ends = 0, dict[str, datetime]()
        for workspace_id in await self._rounds.known():
            if self._subscriber is not None:
                await self._subscriber.renew_due(workspace_id)
            async with self._db.workspace(workspace_id) as connection:
                lost += await sources.lost(connection, workspace_id)
                for connector, end in await terms.first_ends(connection, workspace_id):
                    ends[connector] = min(end, ends.get(connector, end))
        telemetry.NEEDS_REAUTH.set(lost)
        telemetry.TOKEN_SECONDS.clear()
        for connector, end in ends.items():
            telemetry.TOKEN_SECONDS.labels(connector).set((end - self._context.now()).total_seconds())

    async def _let_go(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)


def _silent() -> logging.Logger:
    """Return a logger that says nothing: tracebacks quote statements and their values."""
    logger = logging.getLogger("tallybook.timer")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _on_error(event: JobExecutionEvent) -> None:
    _log.error("scheduler.failed", error=type(event.exception).__name__)
