"""Fetches Instagram: which calls each kind of task makes, in which order, and what its cursor remembers.

Pages are handed on as they came, errors about one media included. Listings, what is due of them and days are fetched
as on every Graph platform: see ``connectors.graph_listings``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from connectors import graph_listings as listings
from connectors import graph_values, values, walks
from connectors import instagram_metrics as metrics
from connectors.contract import FetchKind, Page, SubjectRef, SubjectType, Task
from connectors.graph_listings import DueObject, Edge, Looked, Step
from connectors.instagram_account import Account

LOOK_BACK = timedelta(days=7)
"""How long the numbers of an account's day may still be restated."""
_RECENT = timedelta(days=90)  # an older post still grows a little, and is read again when it is hinted at
KINDS = (
    FetchKind(name="media", every=timedelta(hours=1), look_back=_RECENT),
    FetchKind(
        name="media_insights",
        every=timedelta(hours=6),
        look_back=_RECENT,
        subjects=True,
        calls=2,
        sweep=timedelta(days=7),
    ),
    FetchKind(name="account_day", every=timedelta(hours=12), look_back=LOOK_BACK),
    FetchKind(name="profile", every=timedelta(hours=6)),
    FetchKind(name="stories", every=timedelta(hours=1)),
)

_STORY_FIELDS = "id,media_type,media_product_type,permalink,timestamp"
_MEDIA_FIELDS = f"{_STORY_FIELDS},caption,like_count,comments_count,shortcode"
_PROFILE_FIELDS = "id,username,followers_count,follows_count,media_count"
_MEDIA = Edge(name="media", page="media", fields=_MEDIA_FIELDS)
_SHORT = Edge(name="media", page="media", fields=_STORY_FIELDS)
_STORIES = Edge(name="stories", page="stories", fields=_STORY_FIELDS)
_PRODUCTS = {
    SubjectType.POST: "FEED",
    SubjectType.VIDEO: "FEED",
    SubjectType.OTHER: "FEED",
    SubjectType.REEL: "REELS",
    SubjectType.STORY: "STORY",
    SubjectType.AD: "AD",
}


async def _media(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    async for page in listings.listed(account, task, [_MEDIA]):
        yield page


# ------------------------------------------------------------------------------------------------ insights


async def _media_insights(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    pages = _of_subjects(account, task) if task.subjects else _of_listing(account, task, _SHORT)
    async for page in pages:
        yield page


async def _stories(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    async for page in _of_listing(account, task, _STORIES):
        yield page


def _of_listing(account: Account, task: Task, edge: Edge) -> AsyncIterator[Page]:
    """Return the insights of every media of a listing, and of stories the listing itself."""
    return listings.due_pages(account, task, [edge], _due, partial(_insights, account, task), show=edge is _STORIES)


def _due(edge: Edge, fields: Mapping[str, Any], media: str) -> Iterable[DueObject]:
    product = "STORY" if edge is _STORIES else listings.name_in(fields, "media_product_type")
    return [DueObject(media, product, listings.name_in(fields, "media_type"))]


def _of_subjects(account: Account, task: Task) -> AsyncIterator[Page]:
    """Return the node, which has the counting likes and comments, and the insights of each due media.

    Of a story there are insights alone.
    """
    named = {
        ref.external_id: DueObject(ref.external_id, _PRODUCTS[ref.type]) for ref in task.subjects if _is_media(ref)
    }

    async def look(media: str) -> Looked:
        due = named[media]
        return Looked(due=[due]) if due.product == "STORY" else await _node(account, task, due)

    return listings.subject_pages(account, task, list(named), look, partial(_insights, account, task))


def _is_media(ref: SubjectRef) -> bool:
    return ref.type in _PRODUCTS and ref.external_id.isascii() and ref.external_id.isdigit()


async def _node(account: Account, task: Task, media: DueObject) -> Looked:
    """Return the page of a media's node, and the media to be asked for its insights if there is one."""

    def due_of(body: Mapping[str, Any]) -> list[DueObject]:
        product = listings.name_in(body, "media_product_type") or media.product
        return [DueObject(media.id, product, listings.name_in(body, "media_type"))]

    request = {"kind": task.kind, "page": "media_node", "media_id": media.id, "media_product_type": media.product}
    return await listings.looked(account, media.id, _MEDIA_FIELDS, request, due_of)


async def _insights(account: Account, task: Task, media: DueObject, cursor: Mapping[str, str], *, last: bool) -> Page:
    wanted = metrics.metric_set(media.media_type, media.product)
    answer = await account.ask(account.path(media.id, "insights"), wanted, {})
    await account.require_visible(answer.fault)
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


# ------------------------------------------------------------------------------------------------ the account


async def _account_day(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    call = partial(_account_page, account, task, now)
    async for page in listings.step_pages(_plan(task, now), task, call):
        yield page


def _plan(task: Task, now: datetime) -> list[Step]:
    """Return the calls for the complete Pacific days of the window: series in months, totals one day per call."""
    days = listings.complete_days(task, now, LOOK_BACK)
    series = listings.spans("account_series", days, metrics.SERIES_DAYS)
    return series + [Step(page, day, day) for day in days for page in ("account_totals", "account_follows")]


async def _account_page(account: Account, task: Task, now: datetime, step: Step, *, last: bool) -> Page:
    wanted, more = _account_call(step, now)
    path, params = account.path(account.id, "insights"), {"period": "day", **step.window, **more}
    answer = await account.ask(path, wanted, params)
    return listings.step_page(account, task, step, answer, last=last)


def _account_call(step: Step, now: datetime) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the metrics of a step and the parameters that they need."""
    if step.page == "account_totals":
        return metrics.TOTALS_SET, {"metric_type": "total_value"}
    if step.page == "account_follows":
        return metrics.FOLLOWS_SET, {"metric_type": "total_value", "breakdown": "follow_type"}
    recent = step.first >= values.date_in(graph_values.PACIFIC, now) - metrics.FOLLOWER_DAYS
    return metrics.SERIES_SET if recent else metrics.SERIES_SET[:1], {}


async def _profile(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    yield await listings.profile_page(account, task, _PROFILE_FIELDS)


_FETCHERS: Mapping[str, Callable[[Account, Task, datetime], AsyncIterator[Page]]] = {
    "media": _media,
    "media_insights": _media_insights,
    "profile": _profile,
    "stories": _stories,
    "account_day": _account_day,
}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    account.resume(task.cursor)
    return walks.fetcher_of(task, "Instagram", _FETCHERS)(account, task, now)
