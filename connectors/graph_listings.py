"""Fetches from a Graph platform what every one of them has: listings, what is due of them, and days of an account.

Every cursor names the work that is left, so that a task resumed from any page makes the calls that an unbroken one
would have made. Nothing is read here beyond what the next call needs. Which edges and metrics there are is the
platform's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from connectors import graph
from connectors import graph_values as values
from connectors.contract import DropReason, Page, Response, Task, day_window
from connectors.graph_account import Account
from connectors.graph_pages import known

LIMIT = "100"
_NAME_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_ID_LETTERS = frozenset("0123456789_")
_PARTS_OF_DUE = 3


Following = Callable[[Mapping[str, Any]], dict[str, str]]
"""Says where a listing goes on after a page; nothing on the last."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A listing of an account: its name in the address, the page that it becomes, the fields asked for.

    ``published`` is the field that says when an entry was published; an ``optional`` one may be missing.
    """

    name: str
    page: str
    fields: str
    published: str = "timestamp"
    optional: bool = False
    following: Following = graph.next_cursor


class DueObject(msgspec.Struct, frozen=True):
    """An object whose insights are due, with two words on what it is."""

    id: str
    product: str = ""
    media_type: str = ""


def name_in(fields: Mapping[str, Any], key: str) -> str:
    """Return an upper-case name of the platform, which may stand in a cursor; empty for anything else."""
    name = values.text(fields.get(key), 32) or ""
    return name if set(name) <= _NAME_LETTERS else ""


# ------------------------------------------------------------------------------------------------ listings


async def edge_pages(
    account: Account, task: Task, edges: Sequence[Edge], cursor: Mapping[str, str]
) -> AsyncIterator[tuple[Edge, graph.Sheet, dict[str, str], bool]]:
    """Yield the pages of one listing after the other, each with the cursor after it and whether it is the last.

    A listing, newest first, ends where a whole page lies before the window of interest.
    """
    names = [edge.name for edge in edges]
    first = names.index(cursor["edge"]) if cursor.get("edge") in names else 0
    at: Mapping[str, str] = cursor
    for index in range(first, len(edges)):
        edge = edges[index]
        params = {"fields": edge.fields, "limit": LIMIT}
        path = account.path(account.id, edge.name)
        more: dict[str, Any] = {"optional": edge.optional, "following": edge.following}
        async for sheet in graph.listing(account.http, path, params, at, account.basic, **more):
            ended = not sheet.cursor or is_past(sheet, edge, task.start)
            last = ended and index == len(edges) - 1
            here = edges[index + 1].name if ended and not last else edge.name
            # One edge needs no name: then a cursor is the paging's alone.
            after = {**({} if ended else sheet.cursor), **({"edge": here} if len(edges) > 1 else {})}
            yield edge, sheet, after, last
            if ended:
                break
        at = {}


def is_past(sheet: graph.Sheet, edge: Edge, start: datetime | None) -> bool:
    """Whether a listing, newest first, has left the window of interest with a whole page."""
    published = [published_at(item, edge, sheet.response) for item in values.items(sheet.body.get("data"))]
    return start is not None and bool(published) and all(at is not None and at < start for at in published)


def published_at(item: Any, edge: Edge, response: Response) -> datetime | None:
    """Return when an entry of a listing was published, where it says so."""
    return known(values.instant(values.mapping(item).get(edge.published), response.received_at))


async def listed(account: Account, task: Task, edges: Sequence[Edge]) -> AsyncIterator[Page]:
    """Yield the listings themselves."""
    async for edge, sheet, after, last in edge_pages(account, task, edges, task.cursor):
        yield _listing_page(account, task, edge, sheet, after, last=last)


def _listing_page(
    account: Account, task: Task, edge: Edge, sheet: graph.Sheet, after: Mapping[str, str], *, last: bool
) -> Page:
    refusal = "" if sheet.fault is None else sheet.fault.refusal.value
    return account.page(sheet.response, after, last=last, kind=task.kind, page=edge.page, refusal=refusal)


# ------------------------------------------------------------------------------------------------ what is due

DueOf = Callable[[Edge, Mapping[str, Any], str], Iterable[DueObject]]
"""Says of an entry, with its id, which objects are to be asked for their insights."""
InsightsOf = Callable[[DueObject, Mapping[str, str], bool], Awaitable[Page]]


async def due_pages(
    account: Account, task: Task, edges: Sequence[Edge], due_of: DueOf, insights: InsightsOf, *, show: bool = False
) -> AsyncIterator[Page]:
    """Yield the insights of everything that the listings hold, and with ``show`` the listings themselves.

    The cursor holds what is still due of the pages read and where the listing goes on (or that it has ended). The next
    page is asked for before the last object of this one: only then is it known whether that was the last.
    """
    sheets = edge_pages(account, task, edges, task.cursor)
    queue = _unpack(task.cursor)
    cursor, ended = _place(task.cursor), "ended" in task.cursor
    while queue or not ended:
        while len(queue) <= 1 and not ended:
            edge, sheet, cursor, ended = await anext(sheets)
            queue += _all_due(edge, sheet, task.start, due_of)
            if show:
                after = _pack(queue, cursor, ended=ended)
                yield _listing_page(account, task, edge, sheet, after, last=ended and not queue)
        if queue:
            due = queue.pop(0)
            after = _pack(queue, cursor, ended=ended)
            yield await insights(due, after, ended and not queue)


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What the node of an object said: its page, where it was asked for, and what is due of the object."""

    response: Response | None = None
    request: Mapping[str, str] = {}
    due: Sequence[DueObject] = ()


async def subject_pages(
    account: Account,
    task: Task,
    ids: Sequence[str],
    look: Callable[[str], Awaitable[Looked]],
    insights: InsightsOf,
) -> AsyncIterator[Page]:
    """Yield of each object its node, which says what it is, and its insights.

    The cursor is the last object done (``done``) and, between its calls, the one at hand (``at``) with what is due.
    """
    done = task.cursor.get("done")
    for index in range(ids.index(done) + 1 if done in ids else 0, len(ids)):
        here, before, ending = ids[index], ids[index - 1] if index else "", index == len(ids) - 1
        looked = Looked(due=_unpack(task.cursor)) if task.cursor.get("at") == here else await look(here)
        queue = list(looked.due)
        if looked.response is not None:
            after = _after(here, before, queue)
            yield account.page(looked.response, after, last=ending and not queue, **looked.request)
        while queue:
            one = queue.pop(0)
            yield await insights(one, _after(here, before, queue), ending and not queue)


def _after(here: str, before: str, queue: Sequence[DueObject]) -> dict[str, str]:
    return {"done": before, "at": here, **_pack(queue, {}, ended=False)} if queue else {"done": here}


def _place(cursor: Mapping[str, str]) -> dict[str, str]:
    edge = {"edge": cursor["edge"]} if "edge" in cursor else {}
    return {**graph.only_cursor(cursor), **edge}


def _all_due(edge: Edge, sheet: graph.Sheet, start: datetime | None, due_of: DueOf) -> list[DueObject]:
    due: list[DueObject] = []
    for item in values.items(sheet.body.get("data")):
        fields = values.mapping(item)
        found, at = values.identifier(fields.get("id")), published_at(item, edge, sheet.response)
        if not isinstance(found, DropReason) and (start is None or at is None or at >= start):
            due += due_of(edge, fields, found)
    return due


def _pack(queue: Iterable[DueObject], cursor: Mapping[str, str], *, ended: bool) -> dict[str, str]:
    due = ",".join(f"{one.id}:{one.product}:{one.media_type}" for one in queue)
    return {**cursor, "due": due, "ended": "1"} if ended else {**cursor, "due": due}


def _unpack(cursor: Mapping[str, str]) -> list[DueObject]:
    parts = [text.rsplit(":", _PARTS_OF_DUE - 1) for text in cursor.get("due", "").split(",")]
    return [DueObject(*part) for part in parts if len(part) == _PARTS_OF_DUE]


def is_object_id(text: str) -> bool:
    """Whether a text is an id of Meta's: digits, in two halves for posts of a page.

    Ids of other makers (a row of an imported file) mean nothing here, and "not found" would remove them.
    """
    return text.isascii() and set(text) <= _ID_LETTERS and text[:1].isdigit() and text[-1:].isdigit()


# ------------------------------------------------------------------------------------------------ days


class Step(msgspec.Struct, frozen=True):
    """One call about the account: a page and its first and last Pacific day."""

    page: str
    first: date
    last: date

    @property
    def name(self) -> str:
        """What a cursor remembers of it."""
        return f"{self.page}:{self.first}:{self.last}"

    @property
    def window(self) -> dict[str, str]:
        """The parameters that ask for its days, as Unix seconds."""
        start, end = day_window(self.first, values.PACIFIC).start, day_window(self.last, values.PACIFIC).end
        return {"since": str(int(start.timestamp())), "until": str(int(end.timestamp()))}

    @property
    def described(self) -> dict[str, str]:
        """What a page's request says of it."""
        return {"page": self.page, "day": self.first.isoformat(), "last_day": self.last.isoformat()}


def complete_days(task: Task, now: datetime, look_back: timedelta) -> list[date]:
    """Return the complete Pacific days of the window of interest."""
    first = values.pacific_date(task.start or now - look_back)
    end = min(values.pacific_date(task.end or now), values.pacific_date(now))
    return [first + timedelta(days=index) for index in range((end - first).days)]


def spans(page: str, days: Sequence[date], longest: int) -> list[Step]:
    """Return the calls for days in a row, at most ``longest`` in each."""
    runs = [days[index : index + longest] for index in range(0, len(days), longest)]
    return [Step(page, run[0], run[-1]) for run in runs]


async def step_pages(
    steps: Sequence[Step], task: Task, call: Callable[[Step, bool], Awaitable[Page]]
) -> AsyncIterator[Page]:
    """Yield the page of each step that is not done; a page's cursor is the name of its step, as ``done``."""
    names = [step.name for step in steps]
    done = task.cursor.get("done")
    for index in range(names.index(done) + 1 if done in names else 0, len(steps)):
        yield await call(steps[index], index == len(steps) - 1)
