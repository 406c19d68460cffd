"""Bringing running sums up to date, beside the postings: for a loop of the worker.

A process hears of its own postings and looks at their workspaces a little later; what others posted it finds on its
round. Nobody waits for it: an answer reads from the tallies what the running sums do not hold yet. How they are built
is in ``service.ledger.running``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service import telemetry
from service.context import Context
from service.db.engine import Database, driver
from service.db.faults import DATABASE_ERRORS, is_passing, sqlstate
from service.ledger import running
from service.pipeline.pause import pause
from service.pipeline.worker import Post
from service.records import Outcome
from service.registry import workspaces

_log = structlog.get_logger(__name__)

LINGER_SECONDS = 1.0
"""How long postings are let gather before what they touched is built."""
EVERY_SECONDS = 30.0
"""How often all workspaces are looked at."""
_SHORTEST = 0.05


class Summer:
    """Builds running sums that are behind. Any number of them may run: a campaign has one builder at a time."""

    def __init__(self, db: Database, context: Context) -> None:
        self._db = db
        self._context = context
        self._heard: dict[UUID, datetime] = {}
        self._wake = asyncio.Event()

    def hearing(self, post: Post) -> Callable[..., Coroutine[Any, Any, list[Outcome]]]:
        """Return what posts as ``post`` does, and is heard."""

        async def heard(connection: AsyncConnection, workspace_id: UUID, *parts: Any, **options: Any) -> list[Outcome]:
            outcomes = await post(connection, workspace_id, *parts, **options)
            self._look(workspace_id, self._context.now() + timedelta(seconds=LINGER_SECONDS))
            return outcomes

        return heard

    def _look(self, workspace_id: UUID, at: datetime) -> None:
        """Look at a workspace at an instant, unless it is looked at earlier."""
        if workspace_id not in self._heard or at < self._heard[workspace_id]:
            self._heard[workspace_id] = at
            self._wake.set()

    # -------------------------------------------------------------------------------------------- loops

    async def run(self, stop: asyncio.Event) -> None:
        """Build until ``stop`` is set; the build at hand is finished first."""
        round_at = self._context.now() + timedelta(seconds=LINGER_SECONDS)
        while not stop.is_set():
            self._wake.clear()
            now = self._context.now()
            try:
                if now >= round_at:
                    round_at = now + timedelta(seconds=EVERY_SECONDS)
                    await self.sweep()
                for workspace_id in [one for one, at in self._heard.items() if at <= now]:
                    del self._heard[workspace_id]
                    await self.catch_up(workspace_id)
            except DATABASE_ERRORS as error:
                _log.warning("sums.failed", error=type(error).__name__, state=sqlstate(error))
            until = min([round_at, *self._heard.values()])
            await pause(max((until - self._context.now()).total_seconds(), _SHORTEST), self._wake, stop)

    async def sweep(self) -> None:
        """Build all that is behind, anywhere, and begin with campaigns that have grown large."""
        async for workspace_id in workspaces.everywhere(self._db):
            async with self._db.workspace(workspace_id) as connection:
                await running.announce(await driver(connection), workspace_id, self._context.now())
            await self.catch_up(workspace_id)

    # -------------------------------------------------------------------------------------------- one workspace

    async def catch_up(self, workspace_id: UUID) -> None:
        """Build what is behind in a workspace; what was built a moment ago is looked at again when it has rested."""
        async with self._db.workspace(workspace_id) as connection:
            behind = await running.due(await driver(connection), workspace_id)
        if any(one.is_new for one in behind):
            async with self._db.workspace(workspace_id) as connection:
                await running.settle(await driver(connection), workspace_id)
        for one in behind:
            if one.rests_until <= self._context.now():
                await self._build(workspace_id, one.campaign_id)
            else:
                self._look(workspace_id, one.rests_until)

    async def _build(self, workspace_id: UUID, campaign_id: UUID) -> None:
        """Build one campaign. Where somebody else has built it meanwhile, the next round will tell."""
        begun = self._context.monotonic()

        def elapsed() -> float:
            return self._context.monotonic() - begun

        try:
            async with self._db.steady(workspace_id) as connection:
                raw = await driver(connection)
                built = await running.build(raw, workspace_id, campaign_id, self._context.now(), elapsed)
        except OverflowError as error:
            _log.error("sums.too_large", campaign=str(campaign_id), reason=str(error))
        except DATABASE_ERRORS as error:
            if not is_passing(error):
                raise
            _log.warning("sums.interrupted", state=sqlstate(error))
        else:
            if built is not None:
                telemetry.SUMS_SECONDS.observe(elapsed())
