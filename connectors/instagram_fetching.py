"""Fetches Instagram: which calls each kind of task makes, in which order, and what its cursor remembers.

Pages are handed on as they came, errors about one media included. Every cursor names the work that is left, so that a
task resumed from any page makes the calls that an unbroken one would have made. Nothing is read here beyond what the
next call needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from connectors import graph
from connectors import graph_values as values
from connectors import instagram_metrics as metrics
from connectors.contract import DropReason, FetchKind, NotSupported, Page, SubjectRef, SubjectType, Task, day_window
from connectors.graph import Refusal
from connectors.instagram_account import Account

LOOK_BACK = timedelta(days=7)
"""How long the numbers of an account's day may still be restated."""
_RECENT = timedelta(days=90)  # an older post still grows a little, and is read again when it is hinted at
KINDS = (
    FetchKind(name="media", every=timedelta(hours=1), look_back=_RECENT),
    FetchKind(name="media_insights", every=timedelta(hours=6), look_back=_RECENT, subjects=True),
    FetchKind(name="account_day", every=timedelta(hours=12), look_back=LOOK_BACK),
    FetchKind(name="profile", every=timedelta(hours=6)),
    FetchKind(name="stories", every=timedelta(hours=1)),
)

_STORY_FIELDS = "id,media_type,media_product_type,permalink,timestamp"
_MEDIA_FIELDS = f"{_STORY_FIELDS},caption,like_count,comments_count,shortcode"
_PROFILE_FIELDS = "id,username,followers_count,follows_count,media_count"
_LIMIT = "100"
_PRODUCTS = {
    SubjectType.POST: "FEED",
    SubjectType.VIDEO: "FEED",
    SubjectType.OTHER: "FEED",
    SubjectType.REEL: "REELS",
    SubjectType.STORY: "STORY",
    SubjectType.AD: "AD",
}
_NAME_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_PARTS_OF_DUE = 3


class _Due(msgspec.Struct, frozen=True):
    """A media whose insights are due, with what is known of it."""

    id: str
    product: str = ""
    media_type: str = ""


# ------------------------------------------------------------------------------------------------ media


async def _media(account: Account, task: Task) -> AsyncIterator[Page]:
    params = {"fields": _MEDIA_FIELDS, "limit": _LIMIT}
    path = account.path(account.id, "media")
    async for sheet in graph.listing(account.http, path, params, task.cursor, account.basic):
        last = not sheet.cursor or _is_past(sheet, task.start)
        yield account.page(sheet.response, sheet.cursor, last=last, kind=task.kind, page="media")
        if last:
            return


def _is_past(sheet: graph.Sheet, start: datetime | None) -> bool:
    """Whether a listing, newest first, has left the window of interest with a whole page."""
    published = [_published(item, sheet) for item in values.items(sheet.body.get("data"))]
    return start is not None and bool(published) and all(at is not None and at < start for at in published)


def _published(item: Any, sheet: graph.Sheet) -> datetime | None:
    at = values.instant(values.mapping(item).get("timestamp"), sheet.response.received_at)
    return None if isinstance(at, DropReason) else at


# ------------------------------------------------------------------------------------------------ insights


async def _media_insights(account: Account, task: Task) -> AsyncIterator[Page]:
    pages = _of_subjects(account, task) if task.subjects else _of_listing(account, task, "media")
    async for page in pages:
        yield page


async def _stories(account: Account, task: Task) -> AsyncIterator[Page]:
    async for page in _of_listing(account, task, "stories"):
        yield page


async def _of_subjects(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the node, which has the counting likes and comments, and the insights of each due media.

    Of a story there are insights alone. The cursor is the last media done (``media``) and, between its two calls,
    the one at hand with what its node said.
    """
    named = {ref.external_id: _Due(ref.external_id, _PRODUCTS[ref.type]) for ref in task.subjects if _is_media(ref)}
    ids = list(named)
    done = task.cursor.get("media")
    for index in range(ids.index(done) + 1 if done in named else 0, len(ids)):
        media, last = named[ids[index]], index == len(ids) - 1
        if task.cursor.get("at") == media.id:
            media = _Due(media.id, task.cursor.get("product", ""), task.cursor.get("media_type", ""))
        elif media.product != "STORY":
            before = ids[index - 1] if index else ""
            page, found = await _node(account, task, media, before, last=last)
            yield page
            if found is None:
                continue
            media = found
        yield await _insights(account, task, media, {"media": media.id}, last=last)


def _is_media(ref: SubjectRef) -> bool:
    # Ids of other makers (a row of an imported file) mean nothing to Instagram, and "not found" would remove them.
    return ref.type in _PRODUCTS and ref.external_id.isascii() and ref.external_id.isdigit()


async def _node(account: Account, task: Task, media: _Due, before: str, *, last: bool) -> tuple[Page, _Due | None]:
    """Return the page of a media's node and what it says of the media; None when there is no node."""
    response = await account.get(media.id, fields=_MEDIA_FIELDS)
    body, fault = graph.examine(response, account.basic)
    request = {"kind": task.kind, "page": "media_node", "media_id": media.id, "media_product_type": media.product}
    if fault is not None:
        if fault.refusal is Refusal.GONE:
            await account.require_visible()
        request["refusal"] = fault.refusal.value
        return account.page(response, {"media": media.id}, last=last, **request), None
    found = _Due(media.id, _name(body, "media_product_type") or media.product, _name(body, "media_type"))
    cursor = {"media": before, "at": media.id, "product": found.product, "media_type": found.media_type}
    return account.page(response, cursor, last=False, **request), found


def _name(fields: Mapping[str, Any], key: str) -> str:
    """Return an upper-case name of the platform, which may stand in a cursor; empty for anything else."""
    name = values.text(fields.get(key), 32) or ""
    return name if set(name) <= _NAME_LETTERS else ""


async def _insights(account: Account, task: Task, media: _Due, cursor: Mapping[str, str], *, last: bool) -> Page:
    wanted = metrics.metric_set(media.media_type, media.product)
    answer = await account.ask(account.path(media.id, "insights"), wanted, {})
    if answer.fault is not None and answer.fault.refusal is Refusal.GONE:
        await account.require_visible()
    return account.page(
        answer.response,
        cursor,
        last=last,
        kind=task.kind,
        page="media_insights",
        media_id=media.id,
        media_type=media.media_type,
        media_product_type=media.product,
        **answer.described(),
    )


# ------------------------------------------------------------------------------------------------ listings


async def _of_listing(account: Account, task: Task, edge: str) -> AsyncIterator[Page]:
    """Yield the insights of every media of a listing, and of stories the listing itself.

    The cursor holds what is still due of the pages read and where the listing goes on (or that it has ended). The next
    page is asked for before the last media of this one: only then is it known whether that was the last.
    """
    params = {"fields": _STORY_FIELDS, "limit": _LIMIT}
    sheets = graph.listing(account.http, account.path(account.id, edge), params, task.cursor, account.basic)
    queue = _unpack(task.cursor)
    cursor, ended = graph.only_cursor(task.cursor), "ended" in task.cursor
    while queue or not ended:
        while len(queue) <= 1 and not ended:
            sheet = await anext(sheets)
            queue += _all_due(sheet, task.start, edge)
            cursor, ended = sheet.cursor, not sheet.cursor or _is_past(sheet, task.start)
            if edge == "stories":
                after = _pack(queue, cursor, ended=ended)
                last = ended and not queue
                yield account.page(sheet.response, after, last=last, kind=task.kind, page="stories")
        if queue:
            media = queue.pop(0)
            after = _pack(queue, cursor, ended=ended)
            yield await _insights(account, task, media, after, last=ended and not queue)


def _all_due(sheet: graph.Sheet, start: datetime | None, edge: str) -> list[_Due]:
    due = []
    for item in values.items(sheet.body.get("data")):
        fields = values.mapping(item)
        media, at = values.identifier(fields.get("id")), _published(item, sheet)
        if not isinstance(media, DropReason) and (start is None or at is None or at >= start):
            product = "STORY" if edge == "stories" else _name(fields, "media_product_type")
            due.append(_Due(media, product, _name(fields, "media_type")))
    return due


def _pack(queue: Iterable[_Due], cursor: Mapping[str, str], *, ended: bool) -> dict[str, str]:
    due = ",".join(f"{media.id}:{media.product}:{media.media_type}" for media in queue)
    return {**cursor, "due": due, "ended": "1"} if ended else {**cursor, "due": due}


def _unpack(cursor: Mapping[str, str]) -> list[_Due]:
    parts = [text.rsplit(":", _PARTS_OF_DUE - 1) for text in cursor.get("due", "").split(",")]
    return [_Due(*part) for part in parts if len(part) == _PARTS_OF_DUE]


# ------------------------------------------------------------------------------------------------ the account


class _Step(msgspec.Struct, frozen=True):
    """One call about the account: a page and its first and last Pacific day."""

    page: str
    first: date
    last: date

    @property
    def name(self) -> str:
        """What a cursor remembers of it."""
        return f"{self.page}:{self.first}:{self.last}"


async def _account_day(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    steps = _plan(task, now)
    names = [step.name for step in steps]
    done = task.cursor.get("done")
    for index in range(names.index(done) + 1 if done in names else 0, len(steps)):
        yield await _account_page(account, task, steps[index], now, last=index == len(steps) - 1)


def _plan(task: Task, now: datetime) -> list[_Step]:
    """Return the calls for the complete Pacific days of the window: series in months, totals one day per call."""
    first = values.pacific_date(task.start or now - LOOK_BACK)
    end = min(values.pacific_date(task.end or now), values.pacific_date(now))
    days = [first + timedelta(days=index) for index in range((end - first).days)]
    months = [days[index : index + metrics.SERIES_DAYS] for index in range(0, len(days), metrics.SERIES_DAYS)]
    series = [_Step("account_series", month[0], month[-1]) for month in months]
    return series + [_Step(page, day, day) for day in days for page in ("account_totals", "account_follows")]


async def _account_page(account: Account, task: Task, step: _Step, now: datetime, *, last: bool) -> Page:
    wanted, more = _account_call(step, now)
    start, end = day_window(step.first, values.PACIFIC).start, day_window(step.last, values.PACIFIC).end
    window = {"period": "day", "since": str(int(start.timestamp())), "until": str(int(end.timestamp()))}
    answer = await account.ask(account.path(account.id, "insights"), wanted, {**window, **more})
    if answer.fault is not None and answer.fault.refusal is Refusal.GONE:
        graph.raise_fault(answer.fault, answer.response.headers, account.insights)
    return account.page(
        answer.response,
        {"done": step.name},
        last=last,
        kind=task.kind,
        page=step.page,
        day=step.first.isoformat(),
        last_day=step.last.isoformat(),
        **answer.described(),
    )


def _account_call(step: _Step, now: datetime) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the metrics of a step and the parameters that they need."""
    if step.page == "account_totals":
        return metrics.TOTALS_SET, {"metric_type": "total_value"}
    if step.page == "account_follows":
        return metrics.FOLLOWS_SET, {"metric_type": "total_value", "breakdown": "follow_type"}
    recent = step.first >= values.pacific_date(now) - metrics.FOLLOWER_DAYS
    return metrics.SERIES_SET if recent else metrics.SERIES_SET[:1], {}


async def _profile(account: Account, task: Task) -> AsyncIterator[Page]:
    response = await account.get(account.id, fields=_PROFILE_FIELDS)
    graph.require(response, account.basic)
    yield account.page(response, {}, last=True, kind=task.kind, page="profile")


_FETCHERS: Mapping[str, Callable[[Account, Task], AsyncIterator[Page]]] = {
    "media": _media,
    "media_insights": _media_insights,
    "profile": _profile,
    "stories": _stories,
}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    if task.kind == "account_day":
        return _account_day(account, task, now)
    if task.kind not in _FETCHERS:
        raise NotSupported(f"Instagram has no task of the kind {task.kind!r}")
    return _FETCHERS[task.kind](account, task)
