"""Fetches X: which calls each kind of task makes, in which order, and what its cursor remembers.

Pages are handed on as they came, errors about single posts included. Every cursor names the work that is left, so that
a task resumed from any page makes the calls that an unbroken one would have made. Reading a post costs money, once per
post and UTC day: posts are asked for a hundred at a time, and no kind of task asks for what another one has read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from connectors import values, walks, x_values
from connectors import x_metrics as metrics
from connectors.contract import (
    DropReason,
    FetchKind,
    Page,
    Response,
    SubjectRef,
    SubjectType,
    Task,
)
from connectors.x_account import Account
from connectors.x_answers import examine, require
from connectors.x_posts import Post, post_of

PRIVATE = timedelta(days=30)
"""How long a post's private numbers can be read; after that they stand as they were."""
SETTLE = timedelta(days=7)
"""How far back the days of posts are read again."""
_BATCH = 100
KINDS = (
    FetchKind(name="posts", every=timedelta(hours=6), look_back=PRIVATE, subjects=True, batch=_BATCH),
    FetchKind(name="profile", every=timedelta(hours=6)),
    FetchKind(name="analytics", every=timedelta(hours=24), look_back=SETTLE),
)

_MOST_PAGES = 100
_LONGEST_TOKEN = 1024
_TIMELINE = "a timeline"


# ------------------------------------------------------------------------------------------------ posts


async def _posts(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    pages = _of_subjects(account, task) if task.subjects else _of_timeline(account, task)
    async for page in pages:
        yield page


async def _of_timeline(account: Account, task: Task) -> AsyncIterator[Page]:
    params = {"max_results": "100", "start_time": _stamp(task.start), **account.fields()}
    token = task.cursor.get("after", "")
    turns, is_resumed = walks.Turns(_MOST_PAGES, token, what=_TIMELINE), True
    while True:
        response = await _sheet(account, token, params, is_resumed=is_resumed)
        token, is_resumed = turns.on_to(_next_token(require(response, account.needs))), False
        yield account.page(response, {"after": token}, last=not token, kind=task.kind, page="timeline")
        if not token:
            return


async def _sheet(account: Account, token: str, params: Mapping[str, str], *, is_resumed: bool) -> Response:
    """Return a page of the timeline. A token kept from an earlier run may have run out: then it begins anew."""
    response = await account.timeline(pagination_token=token, **params)
    if token and is_resumed and response.status == HTTPStatus.BAD_REQUEST:
        return await account.timeline(**params)
    return response


def _next_token(body: Mapping[str, object]) -> str:
    """Return the token of the next page; empty on the last. A page without posts may have more behind it."""
    token = values.mapping(body.get("meta")).get("next_token")
    return walks.place(token, _LONGEST_TOKEN, _TIMELINE) if token else ""


def _stamp(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else ""


async def _of_subjects(account: Account, task: Task) -> AsyncIterator[Page]:
    """Yield the posts that are due, a hundred at a time, and the account where it is due too.

    A post that was edited since answers under its first id with the version of then; its newest version is asked for
    next. The cursor is the last id of the batch done (``done``) and the newer versions still to ask for.
    """
    ids = walks.named(task, _is_post)
    steps = [ids[index : index + _BATCH] for index in range(0, len(ids), _BATCH)]
    steps += [[]] if SubjectRef(account.id, SubjectType.PROFILE) in task.subjects else []
    names = [step[-1] if step else "user" for step in steps]
    newer = task.cursor.get("newer", "")
    for index in range(walks.begin(names, task.cursor.get("done")), len(steps)):
        last = index == len(steps) - 1
        if not steps[index]:
            yield await _user(account, task, last=last)
            continue
        if not newer:
            page, newer = await _lookup(account, task, steps[index], names[:index], last=last)
            yield page
        if newer:
            response = await account.posts(newer)
            examine(response, account.needs)
            cursor = {"done": names[index]}
            yield account.page(response, cursor, last=last, kind=task.kind, page="versions", ids=newer)
            newer = ""


def _is_post(ref: SubjectRef) -> bool:
    return ref.type is SubjectType.POST and not isinstance(x_values.identifier({"id": ref.external_id}), DropReason)


async def _lookup(
    account: Account, task: Task, ids: Sequence[str], before: Sequence[str], *, last: bool
) -> tuple[Page, str]:
    """Return the page of a batch and the newer versions that it tells of."""
    asked = ",".join(ids)
    response = await account.posts(asked)
    body = examine(response, account.needs)
    posts = [post for post in map(post_of, values.items(body.get("data"))) if isinstance(post, Post)]
    newer = ",".join(dict.fromkeys(post.versions[-1] for post in posts if not post.is_newest))
    cursor = {"done": before[-1] if before else "", "newer": newer} if newer else {"done": ids[-1]}
    return account.page(response, cursor, last=last and not newer, kind=task.kind, page="posts", ids=asked), newer


# ------------------------------------------------------------------------------------------------ the account


async def _profile(account: Account, task: Task, _: datetime) -> AsyncIterator[Page]:
    yield await _user(account, task, last=True)


async def _user(account: Account, task: Task, *, last: bool) -> Page:
    response = await account.user()
    require(response, account.needs)
    return account.page(response, {"done": "user"}, last=last, kind=task.kind, page="user")


# ------------------------------------------------------------------------------------------------ days


async def _analytics(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Yield the list of the account's recent posts, page by page, and after each the days of the posts on it.

    The cursor is where the list goes on (``after``, or that it has ended) and, between the two calls, the posts at
    hand (``due``: id and first id).
    """
    window = _days(task, now)
    if account.options.access != "owner" or not window:
        return
    token, due, ended = task.cursor.get("after", ""), task.cursor.get("due", ""), "ended" in task.cursor
    turns, is_resumed = walks.Turns(_MOST_PAGES, token, what=_TIMELINE), True
    while due or not ended:
        if not due:
            fields = {"max_results": "100", "start_time": _stamp(now - PRIVATE), "tweet.fields": metrics.FACTS}
            response = await _sheet(account, token, fields, is_resumed=is_resumed)
            body = require(response, account.needs)
            token, is_resumed = turns.on_to(_next_token(body)), False
            due, ended = _due(body), not token
            cursor = {"after": token, "due": due, "ended": "1" if ended else ""}
            yield account.page(response, cursor, last=ended and not due, kind=task.kind, page="listing")
        if due:
            yield await _buckets(account, task, due, window, {"after": token, "ended": "1" if ended else ""})
            due = ""


def _days(task: Task, now: datetime) -> dict[str, str]:
    """Return the window of complete UTC days; empty where there is none."""
    end = values.midnight(min(task.end or now, now))
    start = values.midnight(task.start or end - SETTLE)
    return {"start_time": _stamp(start), "end_time": _stamp(end)} if start < end else {}


def _due(body: Mapping[str, object]) -> str:
    posts = [post for post in map(post_of, values.items(body.get("data"))) if isinstance(post, Post)]
    return ",".join(f"{post.id}:{post.versions[0]}" for post in posts if not post.references("retweeted"))


async def _buckets(
    account: Account, task: Task, due: str, window: Mapping[str, str], cursor: Mapping[str, str]
) -> Page:
    pairs = [pair.partition(":") for pair in due.split(",")]
    ids, subjects = (",".join(part) for part in zip(*((one, first) for one, _, first in pairs), strict=True))
    asked = {"granularity": "daily", "analytics.fields": metrics.ANALYTICS_FIELDS, **window}
    response = await account.get("tweets/analytics", ids=ids, **asked)
    examine(response, account.needs)
    last = "ended" in cursor and bool(cursor["ended"])
    request = {"kind": task.kind, "page": "analytics", "ids": ids, "subjects": subjects, **window}
    return account.page(response, cursor, last=last, **request)


_FETCHERS: Mapping[str, Callable[[Account, Task, datetime], AsyncIterator[Page]]] = {
    "posts": _posts,
    "profile": _profile,
    "analytics": _analytics,
}


def pages_of(account: Account, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    return walks.fetcher_of(task, "X", _FETCHERS)(account, task, now)
