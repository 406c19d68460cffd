"""One task of pulling, from its beginning to its end: pages from the connector, into the inbox with their cursor.

The network and the database work side by side: while pages are being kept the connector fetches the next ones, and
those that came meanwhile are kept together with the cursor after them, in one transaction. Sources that are pulled side
by side keep theirs in turn. A crash repeats the pages of one such group at most, and only where an answer is another is
the repeat a delivery of its own. Who lost a task to another replica lands nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from connectors import contract
from connectors.contract import (
    Connector,
    ConnectorError,
    Http,
    NeedsReauth,
    Page,
    Task,
    TryLater,
    Unreachable,
    fingerprint,
)
from service import telemetry
from service.access.secrets import Vault, WorkspaceVault
from service.context import Context
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS
from service.errors import TallybookError
from service.fetch import hints, tasks
from service.fetch.ahead import Ahead
from service.fetch.circuit import Circuits
from service.fetch.plan import Due, TaskRow, TaskState
from service.fetch.tasks import TaskLost
from service.fetch.tokens import Tokens
from service.inbox.commit import count_landed
from service.inbox.land import land_pages
from service.inbox.store import Kept
from service.records import SourceRow, SourceState
from service.registry import rings, sources, workspaces
from service.settings import Settings

_log = structlog.get_logger(__name__)

MOST_PAGES = 10_000
"""Pages of one task: more means that a platform turns in circles."""
PULL_SECONDS = 900.0
"""After this a task makes room for others and goes on later, from its cursor."""
_FIRST_WAIT = 30.0
_LONGEST_WAIT = 86_400.0
_LONGEST_ERROR = 300

HttpFor = Callable[[contract.Source, Connector], Http]
"""Gives the client of a source: its base address and credentials are the composition root's business."""


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a task. ``state`` is None when it was not begun, or lost, because another replica has it.

    ``stored`` counts the pages that were new; ``until`` is when a waiting task may go on; ``is_locked_out`` says that a
    person must connect the account again.
    """

    source_id: UUID
    kind: str
    slot: datetime
    state: TaskState | None
    pages: int = 0
    stored: int = 0
    error: str = ""
    until: datetime | None = None
    is_locked_out: bool = False


class _Circle(ConnectorError):  # noqa: N818 - private, and it is caught where it is raised
    """The platform gives the same page again, or pages without end."""


class _Run(msgspec.Struct):
    """What changes while a task is pulled."""

    source: SourceRow
    connector: Connector
    task: TaskRow
    pages: int = 0
    stored: int = 0


class Puller:
    """Pulls tasks of any source. ``landed`` is set after each page: a worker in the same process need not poll."""

    def __init__(
        self,
        db: Database,
        context: Context,
        settings: Settings,
        vault: Vault,
        http_for: HttpFor,
        landed: asyncio.Event | None = None,
        tokens: Tokens | None = None,
        circuits: Circuits | None = None,
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._vault = vault
        self._http_for = http_for
        self._landed = landed or asyncio.Event()
        self._tokens = tokens
        self._circuits = circuits
        self._turn = asyncio.Semaphore(1)

    async def pull(self, source: SourceRow, connector: Connector, due: Due) -> Pulled:
        """Begin a task, or take it up, and pull it to its end. Raises the database's errors; the lease then runs out.

        Cancelled, it leaves the task to whoever comes next.
        """
        async with self._db.workspace(source.workspace_id) as connection:
            now = self._context.now()
            task = await tasks.begin(connection, source.workspace_id, source.source_id, due, now, self._until())
            vault = await workspaces.open_vault(connection, source.workspace_id, self._vault)
        if task is None:
            return Pulled(source_id=source.source_id, kind=due.kind.name, slot=due.slot, state=None)
        run = _Run(source=source, connector=connector, task=task)
        try:
            if task.attempt > self._settings.max_attempts + task.pages:
                return await self._end(run, TaskState.FAILED, f"given up after {task.attempt - 1} attempts")
            async with self._beating(run):
                return await self._pull(run, vault, due)
        except TaskLost:
            _log.warning("fetch.lost", source=str(source.source_id), kind=task.kind)
            return self._pulled(run, None)
        except asyncio.CancelledError:
            await asyncio.shield(self._let_go(run))
            raise

    async def _pull(self, run: _Run, vault: WorkspaceVault, due: Due) -> Pulled:
        try:
            if self._tokens is not None:
                run.source = await self._tokens.fresh(run.source, run.connector)
            known = sources.contract_source(run.source, vault, run.connector, self._settings.public_url)
            async with asyncio.timeout(PULL_SECONDS) as limit:
                await self._heeding(run, known, due)
        except TryLater as error:
            return await self._wait(run, error)
        except NeedsReauth as error:
            return await self._refused(run, vault, error)
        except (ConnectorError, TallybookError) as error:
            return await self._end(run, TaskState.FAILED, f"{type(error).__name__}: {error}")
        except TimeoutError:
            if not limit.expired():
                raise
            return await self._put_off(run, self._context.now(), "made room for others")
        return await self._end(run, TaskState.DONE)

    async def _heeding(self, run: _Run, known: contract.Source, due: Due) -> None:
        """Pull the pages of a platform that answers; leave one alone that does not, and remember whether it did."""
        if self._circuits is None:
            await self._pages(run, known, due)
            return
        failed_before = await self._circuits.enter(run.connector, known)
        answered = False
        try:
            await self._pages(run, known, due)
            answered = True
        except Unreachable:
            if not run.pages:
                await self._circuits.failed(run.connector, known)
            raise
        except ConnectorError:
            answered = True
            raise
        finally:
            if failed_before and (answered or run.pages):
                await self._circuits.closed(run.connector, known)

    async def _refused(self, run: _Run, vault: WorkspaceVault, error: NeedsReauth) -> Pulled:
        """Go on with another token where there is one: the account is lost only where there is none."""
        auth = run.connector.auth_for(sources.contract_source(run.source, vault, run.connector).options)
        used = rings.unseal_credentials(vault, run.source.source_id, run.source.credentials).get(auth.token, "")
        if self._tokens is not None and used:
            try:
                if await self._tokens.replaced(run.source, run.connector, used) is not None:
                    return await self._put_off(run, self._context.now(), "goes on with another token")
            except TryLater as later:
                return await self._wait(run, later)
            except ConnectorError as refused:
                return await self._end(run, TaskState.FAILED, str(refused))
        return await self._end(run, TaskState.FAILED, str(error), needs_reauth=True)

    async def _pages(self, run: _Run, known: contract.Source, due: Due) -> None:
        began = run.task.started_at
        task = Task(
            kind=run.task.kind,
            source=known,
            subjects=run.task.subjects,
            start=began - due.kind.look_back if due.kind.look_back else None,
            end=began,
            cursor=run.task.cursor,
        )
        pages = run.connector.fetch(self._http_for(known, run.connector), task, self._context.now())
        ahead = Ahead(_without_circles(pages, MOST_PAGES - run.task.pages), self._turn)
        try:
            async with aclosing(ahead.groups()) as groups:
                async for group in groups:
                    await self._land(run, group)
        finally:
            await ahead.close()

    async def _land(self, run: _Run, pages: Sequence[Page]) -> None:
        """Keep pages and move the cursor past them, or neither."""
        workspace_id = run.source.workspace_id
        async with self._db.workspace(workspace_id) as connection:
            moved = await tasks.advance(connection, workspace_id, run.task, pages[-1].cursor, len(pages), self._until())
            unit = (moved.kind, moved.slot.isoformat())
            landed = await land_pages(connection, run.source, pages, unit, self._context)
        run.task = moved
        run.pages += len(pages)
        for one in landed:
            run.stored += one.outcome is Kept.STORED
            count_landed("fetch", one)
        telemetry.FETCH_PAGES.labels(run.connector.name).inc(len(pages))
        self._landed.set()

    # -------------------------------------------------------------------------------------------- leases

    def _until(self) -> datetime:
        return self._context.now() + timedelta(seconds=self._settings.lease_seconds)

    @asynccontextmanager
    async def _beating(self, run: _Run) -> AsyncIterator[None]:
        """Keep the task while its platform takes its time."""
        beat = asyncio.create_task(self._beat(run))
        try:
            yield
        finally:
            beat.cancel()

    async def _beat(self, run: _Run) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            with suppress(*DATABASE_ERRORS):
                try:
                    async with self._db.workspace(run.source.workspace_id) as connection:
                        await tasks.extend(connection, run.source.workspace_id, run.task, self._until())
                except TaskLost:
                    return

    # -------------------------------------------------------------------------------------------- endings

    async def _wait(self, run: _Run, error: TryLater) -> Pulled:
        """Wait as long as the platform asks, else longer each time with full jitter."""
        longest = min(_FIRST_WAIT * 2.0 ** (run.task.attempt - 1), _LONGEST_WAIT)
        seconds = self._context.uniform() * longest if error.seconds is None else error.seconds
        until = self._context.now() + timedelta(seconds=min(max(seconds, 1.0), _LONGEST_WAIT))
        return await self._put_off(run, until, str(error))

    async def _put_off(self, run: _Run, until: datetime, error: str) -> Pulled:
        workspace_id = run.source.workspace_id
        async with self._db.workspace(workspace_id) as connection:
            await tasks.put_off(connection, workspace_id, run.task, until, _short(error))
        return self._pulled(run, TaskState.WAITING, error, until)

    async def _end(self, run: _Run, state: TaskState, error: str = "", *, needs_reauth: bool = False) -> Pulled:
        workspace_id, now = run.source.workspace_id, self._context.now()
        async with self._db.workspace(workspace_id) as connection:
            await tasks.end(connection, workspace_id, run.task, state, now, _short(error))
            if needs_reauth:
                state_now = SourceState.NEEDS_REAUTH
                await sources.set_state(
                    connection, workspace_id, run.source.source_id, state_now, self._context, _short(error)
                )
            await hints.looked(connection, workspace_id, run.task, answered=state is TaskState.DONE)
            if state is TaskState.DONE:
                await hints.answer(connection, workspace_id, run.task, run.connector.capabilities.fetch)
        return msgspec.structs.replace(self._pulled(run, state, error), is_locked_out=needs_reauth)

    async def _let_go(self, run: _Run) -> None:
        with suppress(TaskLost, *DATABASE_ERRORS):
            await self._put_off(run, self._context.now(), "interrupted")

    def _pulled(self, run: _Run, state: TaskState | None, error: str = "", until: datetime | None = None) -> Pulled:
        telemetry.FETCH_TASKS.labels(run.connector.name, "lost" if state is None else state.value).inc()
        if error:
            _log.warning(
                "fetch.ended", source=str(run.source.source_id), kind=run.task.kind, state=state, error=_short(error)
            )
        return Pulled(
            source_id=run.source.source_id,
            kind=run.task.kind,
            slot=run.task.slot,
            state=state,
            pages=run.pages,
            stored=run.stored,
            error=_short(error),
            until=until,
        )


def _short(error: str) -> str:
    """Return a message that is fit to keep: one bounded line that every text column takes."""
    line = "".join(letter if letter.isprintable() else " " for letter in error)
    return line[:_LONGEST_ERROR]


async def _without_circles(pages: AsyncIterator[Page], most: int) -> AsyncGenerator[Page, None]:
    """Yield pages until one comes again or there are more than ``most``: then the platform turns in circles."""
    seen: set[str] = set()
    async with _closing(pages):
        async for page in pages:
            mark = fingerprint(*(msgspec.json.encode(part, order="sorted") for part in (page.request, page.cursor)))
            if mark in seen:
                raise _Circle("the platform repeats a page")
            if len(seen) >= most:
                raise _Circle(f"more than {MOST_PAGES} pages")
            seen.add(mark)
            yield page


@asynccontextmanager
async def _closing(pages: AsyncIterator[Page]) -> AsyncIterator[None]:
    """Close an asynchronous generator at the end, whatever ends it."""
    try:
        yield
    finally:
        close: Callable[[], Awaitable[None]] | None = getattr(pages, "aclose", None)
        if close is not None:
            await close()


def unexpected(source: SourceRow, due: Due, error: BaseException) -> Pulled:
    """Return what to say of a task whose connector broke its contract; its lease runs out and it is tried again."""
    _log.error("fetch.broken", source=str(source.source_id), kind=due.kind.name, error=type(error).__name__)
    telemetry.FETCH_TASKS.labels(source.connector, "broken").inc()
    return Pulled(
        source_id=source.source_id,
        kind=due.kind.name,
        slot=due.slot,
        state=TaskState.FAILED,
        error=type(error).__name__,
    )
