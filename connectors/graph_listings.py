"""Fetches from a Graph platform what every one of them has: listings, what is due of them, and days of an account.

Every cursor names the work that is left, so that a task resumed from any page makes the calls that an unbroken one
would have made. Nothing is read here beyond what the next call needs. Which edges and metrics there are is the
platform's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import msgspec

from connectors import graph, graph_values, pages, values, walks
from connectors.contract import DropReason, Page, Response, Task
from connectors.graph_account import Account, Answer

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
    return walks.is_past(
        (published_at(item, edge, sheet.response) for item in values.items(sheet.body.get("data"))), start
    )


def published_at(item: Any, edge: Edge, response: Response) -> datetime | None:
    """Return when an entry of a listing was published, where it says so."""
    return values.known(graph_values.instant(values.mapping(item).get(edge.published), response.received_at))


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


class InsightsOf(Protocol):
    """Asks for the insights of an object, with the cursor after them and whether they are the last of the task."""

    def __call__(self, due: DueObject, cursor: Mapping[str, str], /, *, last: bool) -> Awaitable[Page]: ...


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
            yield await insights(due, after, last=ended and not queue)


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
    for index in range(walks.begin(ids, task.cursor.get("done")), len(ids)):
        here, before, ending = ids[index], ids[index - 1] if index else "", index == len(ids) - 1
        looked = Looked(due=_unpack(task.cursor)) if task.cursor.get("at") == here else await look(here)
        queue = list(looked.due)
        if looked.response is not None:
            after = _after(here, before, queue)
            yield account.page(looked.response, after, last=ending and not queue, **looked.request)
        while queue:
            one = queue.pop(0)
            yield await insights(one, _after(here, before, queue), last=ending and not queue)


async def looked(
    account: Account,
    found: str,
    fields: str,
    request: Mapping[str, str],
    due_of: Callable[[Mapping[str, Any]], Iterable[DueObject]],
) -> Looked:
    """Ask for the node of an object. What it is is told by ``due_of`` of its fields; one that is not there says so."""
    response = await account.get(found, fields=fields)
    body, fault = graph.examine(response, account.basic)
    if fault is not None:
        await account.require_visible(fault)
        return Looked(response=response, request={**request, "refusal": fault.refusal.value})
    return Looked(response=response, request=request, due=list(due_of(body)))


def _after(here: str, before: str, queue: Sequence[DueObject]) -> dict[str, str]:
    return {"done": before, "at": here, **_pack(queue, {}, ended=False)} if queue else {"done": here}


def _place(cursor: Mapping[str, str]) -> dict[str, str]:
    edge = {"edge": cursor["edge"]} if "edge" in cursor else {}
    return {**graph.only_cursor(cursor), **edge}


def _all_due(edge: Edge, sheet: graph.Sheet, start: datetime | None, due_of: DueOf) -> list[DueObject]:
    due: list[DueObject] = []
    for item in values.items(sheet.body.get("data")):
        fields = values.mapping(item)
        found, at = graph_values.identifier(fields.get("id")), published_at(item, edge, sheet.response)
        if not isinstance(found, DropReason) and (start is None or at is None or at >= start):
            due += due_of(edge, fields, found)
    return due


def _pack(queue: Iterable[DueObject], cursor: Mapping[str, str], *, ended: bool) -> dict[str, str]:
    due = ",".join(f"{one.id}:{one.product}:{one.media_type}" for one in queue)
    return {**cursor, "due": due, "ended": "1"} if ended else {**cursor, "due": due}


def _unpack(cursor: Mapping[str, str]) -> list[DueObject]:
    parts = [text.rsplit(":", _PARTS_OF_DUE - 1) for text in pages.listed(cursor, "due")]
    return [DueObject(*part) for part in parts if len(part) == _PARTS_OF_DUE]


def is_object_id(text: str) -> bool:
    """Whether a text is an id of Meta's: digits, in two halves for posts of a page."""
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
        start, end = graph_values.pacific(self.first).start, graph_values.pacific(self.last).end
        return {"since": str(int(start.timestamp())), "until": str(int(end.timestamp()))}

    @property
    def described(self) -> dict[str, str]:
        """What a page's request says of it."""
        return {"page": self.page, "day": self.first.isoformat(), "last_day": self.last.isoformat()}


def complete_days(task: Task, now: datetime, look_back: timedelta) -> list[date]:
    """Return the complete Pacific days of the window of interest."""
    found = walks.complete_days(task, now, graph_values.PACIFIC, look_back)
    if found is None:
        return []
    first, last = found
    return [first + timedelta(days=index) for index in range((last - first).days + 1)]


def spans(page: str, days: Sequence[date], longest: int) -> list[Step]:
    """Return the calls for days in a row, at most ``longest`` in each."""
    runs = [days[index : index + longest] for index in range(0, len(days), longest)]
    return [Step(page, run[0], run[-1]) for run in runs]


class StepCall(Protocol):
    """Makes the call of a step; says whether its page is the last of the task."""

    def __call__(self, step: Step, /, *, last: bool) -> Awaitable[Page]: ...


async def step_pages(steps: Sequence[Step], task: Task, call: StepCall) -> AsyncIterator[Page]:
    """Yield the page of each step that is not done; a page's cursor is the name of its step, as ``done``."""
    names = [step.name for step in steps]
    for index in range(walks.begin(names, task.cursor.get("done")), len(steps)):
        yield await call(steps[index], last=index == len(steps) - 1)


def step_page(account: Account, task: Task, step: Step, answer: Answer, *, last: bool) -> Page:
    """Return the page of a step about the account, which must be there."""
    answer.require_there(account.insights)
    request = {"kind": task.kind, **step.described, **answer.described()}
    return account.page(answer.response, {"done": step.name}, last=last, **request)


async def profile_page(account: Account, task: Task, fields: str, cursor: Mapping[str, str] | None = None) -> Page:
    """Return the page of the account itself, the last one unless a cursor says what follows."""
    response = await account.get(account.id, fields=fields)
    graph.require(response, account.basic)
    return account.page(response, cursor or {}, last=cursor is None, kind=task.kind, page="profile")
