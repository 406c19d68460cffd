"""One command from the settings to its end: parts are opened and closed, known errors become a line and a code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from pydantic import ValidationError
from uvicorn.loops.auto import auto_loop_factory

from connectors.contract import ConnectorError, TryLater
from service import context as contexts
from service import ids, settings, telemetry
from service.access.keys import Principal, Scope
from service.api.auth import Caller
from service.api.models import MOST, Page, Paging
from service.api.state import Services
from service.app import open_services
from service.commands.endings import Code, Ended
from service.db.faults import DATABASE_ERRORS, is_away, sqlstate
from service.errors import Busy, Invalid, NotFound, TallybookError
from service.records import SourceRow, Workspace
from service.registry import sources, workspaces
from service.settings import Settings

WorkspaceOption = Annotated[
    str | None, typer.Option("--workspace", metavar="ID", help="wsp_...; may be left out while there is one")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for a program")]
Work = Callable[[Services], Awaitable[Code]]

NOBODY = UUID(int=0)
"""Stands for the command line where a key would be named."""
_STATES = {
    "28000": "the database refuses the role",
    "28P01": "the database refuses the password",
    "3D000": "there is no such database",
    "42501": "the role may not do this; `tallybook migrate` grants what it needs",
    "42703": "the database is not at the newest migration: run `tallybook migrate`",
    "42883": "the database is not migrated: run `tallybook migrate`",
    "42P01": "the database is not migrated: run `tallybook migrate`",
}
_PAGE = 500
Row = TypeVar("Row")
Result = TypeVar("Result")


def run(work: Work) -> None:
    """Run a command with the parts of a process and end with its code."""
    with explained():
        code = drive(_with_services(load(), work))
    raise typer.Exit(code)


def drive(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end; on SIGTERM it is cancelled, tidies up, and the command ends."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(_minding(work))


async def _minding(work: Coroutine[Any, Any, Result]) -> Result:
    task = asyncio.ensure_future(work)
    told = asyncio.Event()

    def stop() -> None:
        told.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if told.is_set():
            raise typer.Exit(128 + signal.SIGTERM) from None
        raise


async def _with_services(chosen: Settings, work: Work) -> Code:
    async with open_services(chosen, contexts.real()) as parts:
        return await work(parts)


def load(*, quiet: bool = True) -> Settings:
    """Return the settings and begin to log by them; a ``quiet`` command logs errors only, unless asked to debug."""
    chosen = settings.load()
    telemetry.configure_logging("error" if quiet and chosen.log_level != "debug" else chosen.log_level)
    return chosen


@contextmanager
def explained() -> Iterator[None]:
    """Turn every error that is known into the end of a command."""
    try:
        yield
    except ValidationError as error:
        raise Ended(Code.USAGE, _mistake(error)) from None
    except Invalid as error:
        raise Ended(Code.USAGE, _invalid(error)) from None
    except (Busy, TryLater) as error:
        raise Ended(Code.LATER, str(error)) from None
    except (TallybookError, ConnectorError) as error:
        raise Ended(Code.FAILED, str(error)) from None
    except DATABASE_ERRORS as error:
        raise database_ending(error) from None


def _mistake(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


def _invalid(error: Invalid) -> str:
    place = error.pointer.strip("/?").replace("/", ".").replace("~1", "/").replace("~0", "~")
    text = f"{place}: {error}" if place else str(error)
    if error.nearest is not None:
        return f"{text}; did you mean {error.nearest!r}?"
    return f"{text}; one of {', '.join(error.allowed)}" if error.allowed else text


def database_ending(error: BaseException) -> Ended:
    """Return how a command ends that the database would not serve."""
    state = sqlstate(error)
    if state in _STATES:
        return Ended(Code.FAILED, _STATES[state])
    if is_away(error):
        return Ended(Code.LATER, "the database does not answer; try again later")
    return Ended(Code.FAILED, f"the database refused a statement ({state or type(error).__name__})")


# ------------------------------------------------------------------------------------------------ what is meant


async def workspace_of(parts: Services, text: str | None) -> Workspace:
    """Return the workspace that is named, or the only one. Raises NotFound, Invalid where it must be named."""
    if text is None:
        async with parts.db.control() as connection:
            known = await workspaces.known(connection, 2)
        if not known:
            raise NotFound("there is no workspace yet: tallybook workspace create NAME")
        if len(known) > 1:
            raise Invalid("there are several workspaces: name one", pointer="--workspace")
        workspace_id = known[0]
    else:
        workspace_id = ids.read("workspace", text)
    async with parts.db.workspace(workspace_id) as connection:
        return await workspaces.get(connection, workspace_id)


async def all_workspaces(parts: Services) -> list[Workspace]:
    """Return every workspace in the order of its id."""
    found: list[Workspace] = []
    async for workspace_id in workspaces.everywhere(parts.db):
        async with parts.db.workspace(workspace_id) as connection:
            found.append(await workspaces.get(connection, workspace_id))
    return found


async def chosen_workspaces(parts: Services, text: str | None) -> list[Workspace]:
    """Return the workspace that is named, or all."""
    return [await workspace_of(parts, text)] if text is not None else await all_workspaces(parts)


async def sources_in(parts: Services, workspace_id: UUID) -> list[SourceRow]:
    """Return every source of a workspace in the order of its id."""
    found: list[SourceRow] = []
    while True:
        async with parts.db.workspace(workspace_id) as connection:
            page = await sources.listing(connection, workspace_id, _PAGE, found[-1].source_id if found else None)
        found += page
        if len(page) < _PAGE:
            return found


async def source_of(parts: Services, workspace: str | None, named: str) -> SourceRow:
    """Return the source of an id or of a name that only one has. Raises NotFound, Invalid."""
    homes = await chosen_workspaces(parts, workspace)
    rows = [row for home in homes for row in await sources_in(parts, home.workspace_id)]
    found = [row for row in rows if named in {ids.show("source", row.source_id), row.name}]
    if not found:
        raise NotFound(f"no such source: {named}")
    if len(found) > 1:
        several = ", ".join(ids.show("source", row.source_id) for row in found)
        raise Invalid(f"several sources have this name: {several}", pointer="source")
    return found[0]


async def every(listed: Callable[[Paging], Awaitable[Page[Row]]]) -> list[Row]:
    """Return the rows of all pages of a list of the API."""
    found: list[Row] = []
    after: str | None = None
    while True:
        page = await listed(Paging(limit=MOST, after=after))
        found += page.data
        after = page.page.next
        if after is None:
            return found


def caller(workspace_id: UUID) -> Caller:
    """Return who the command line is for the functions behind the API: somebody who may do everything."""
    principal = Principal(workspace_id=workspace_id, key_id=NOBODY, scopes=frozenset({Scope.ADMIN}))
    return Caller(workspace_id=workspace_id, principal=principal)
