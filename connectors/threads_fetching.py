"""Fetches Threads: which calls each kind of task makes, in which order, and what its cursor remembers.

Posts and the account's own replies are two listings of the same things. A repost of somebody else's post has no numbers
and is not asked for any. Only views come as a series of days; every other number of the account is one total for the
window, so days are asked for one by one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from connectors import graph, walks
from connectors import graph_listings as listings
from connectors import threads_metrics as metrics
from connectors.contract import FetchKind, Page, SubjectRef, SubjectType, Task
from connectors.graph_listings import DueObject, Edge, Looked, Step
from connectors.threads_account import Account

REPOST = "REPOST_FACADE"
"""The media type of a repost of somebody else's post."""
_RECENT = timedelta(days=90)  # an older post still grows a little, and is read again when it is hinted at
KINDS = (
    FetchKind(name="posts", every=timedelta(hours=1), look_back=_RECENT),
    FetchKind(
        name="post_insights",
        every=timedelta(hours=6),
        look_back=_RECENT,
        subjects=True,
        calls=2,
        sweep=timedelta(days=7),
    ),
    FetchKind(name="account_day", every=timedelta(hours=12), look_back=metrics.LOOK_BACK),
    FetchKind(name="profile", every=timedelta(hours=6)),
)

_FIELDS = (
    "id,media_product_type,media_type,permalink,username,text,timestamp,shortcode,is_quote_post,link_attachment_url"
)
_REPLY_FIELDS = f"{_FIELDS},root_post,replied_to"
_PROFILE_FIELDS = "id,username,name"
_THREADS = Edge(name="threads", page="posts", fields=_FIELDS, following=graph.next_after)
_REPLIES = Edge(name="replies", page="replies", fields=_REPLY_FIELDS, optional=True, following=graph.next_after)
_SUBJECTS = frozenset({SubjectType.POST, SubjectType.VIDEO, SubjectType.OTHER})


def _edges(account: Account) -> list[Edge]:
    return [_THREADS, _REPLIES] if account.with_replies else [_THREADS]


async def _posts(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    async for page in listings.listed(account, task, _edges(account)):
        yield page


# ------------------------------------------------------------------------------------------------ insights


async def _post_insights(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    insights = partial(_insights, account, task)
    if not task.subjects:
        pages = listings.due_pages(account, task, _edges(account), _due, insights)
    else:
        ids = walks.named(task, _is_ours)
        pages = listings.subject_pages(account, task, ids, partial(_look, account, task), insights)
    async for page in pages:
        yield page


def _is_ours(ref: SubjectRef) -> bool:
    return ref.type in _SUBJECTS and listings.is_object_id(ref.external_id)


def _due(_: Edge, fields: Mapping[str, Any], post: str) -> Iterable[DueObject]:
    return [] if listings.name_in(fields, "media_type") == REPOST else [DueObject(post)]


async def _look(account: Account, task: Task, post: str) -> Looked:
    request = {"kind": task.kind, "page": "post", "media_id": post}
    return await listings.looked(account, post, _REPLY_FIELDS, request, lambda body: _due(_THREADS, body, post))


async def _insights(account: Account, task: Task, post: DueObject, cursor: Mapping[str, str], *, last: bool) -> Page:
    answer = await account.ask(account.path(post.id, "insights"), metrics.POST_SET, {})
    await account.require_visible(answer.fault)
    request = {"kind": task.kind, "page": "insights", "media_id": post.id, **answer.described()}
    return account.page(answer.response, cursor, last=last, **request)


# ------------------------------------------------------------------------------------------------ the account


async def _account_day(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    days = [day for day in listings.complete_days(task, now, metrics.LOOK_BACK) if day >= metrics.FIRST_DAY]
    steps = [*listings.spans("account_views", days, metrics.MOST_DAYS), *listings.spans("account_totals", days, 1)]
    async for page in listings.step_pages(steps, task, partial(_account_page, account, task)):
        yield page


async def _account_page(account: Account, task: Task, step: Step, *, last: bool) -> Page:
    wanted = metrics.VIEWS_SET if step.page == "account_views" else metrics.TOTALS_SET
    answer = await account.ask(account.path(account.id, "threads_insights"), wanted, step.window)
    return listings.step_page(account, task, step, answer, last=last)


async def _profile(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    """Yield the account itself and how many follow it, which stands among the insights and knows no window."""
    if task.cursor.get("done") != "profile":
        yield await listings.profile_page(account, task, _PROFILE_FIELDS, {"done": "profile"})
    answer = await account.ask(account.path(account.id, "threads_insights"), metrics.FOLLOWERS_SET, {})
    yield account.page(answer.response, {}, last=True, kind=task.kind, page="followers", **answer.described())


_FETCHERS: Mapping[str, Callable[[Account, Task, datetime], AsyncIterator[Page]]] = {
    "posts": _posts,
    "post_insights": _post_insights,
    "profile": _profile,
    "account_day": _account_day,
}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    account.resume(task.cursor)
    return walks.fetcher_of(task, "Threads", _FETCHERS)(account, task, now)
