"""Fetches a Facebook page: which calls each kind of task makes, in which order, and what its cursor remembers.

Reels stand in a listing of their own and have insights of their own; where a post leads to a reel, the reel is asked.
Views are asked for by themselves, since only they are told apart by whether ads brought them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import facebook_metrics as metrics
from connectors import graph
from connectors import graph_listings as listings
from connectors.contract import FetchKind, NotSupported, Page, SubjectRef, SubjectType, Task
from connectors.facebook_account import REEL_FIELDS, FacebookPage
from connectors.facebook_objects import is_of, kind_of, reel_of
from connectors.graph import Refusal
from connectors.graph_listings import DueObject, Edge, Looked, Step

_RECENT = timedelta(days=90)  # an older post still grows a little, and is read again when it is hinted at
KINDS = (
    FetchKind(name="posts", every=timedelta(hours=1), look_back=_RECENT),
    FetchKind(
        name="post_insights",
        every=timedelta(hours=6),
        look_back=_RECENT,
        subjects=True,
        calls=3,
        sweep=timedelta(days=7),
    ),
    FetchKind(name="page_day", every=timedelta(hours=12), look_back=metrics.LOOK_BACK),
    FetchKind(name="profile", every=timedelta(hours=6)),
)

_PROFILE_FIELDS = "id,name,username,followers_count,fan_count"
_POSTS = Edge(name="published_posts", page="posts", fields="", published="created_time")
_REELS = Edge(name="video_reels", page="reels", fields=REEL_FIELDS, published="created_time", optional=True)
_SUBJECTS = frozenset({SubjectType.POST, SubjectType.VIDEO, SubjectType.REEL, SubjectType.OTHER})
_REEL = SubjectType.REEL.name


def _edges(page: FacebookPage) -> list[Edge]:
    return [msgspec.structs.replace(_POSTS, fields=page.post_fields), _REELS]


async def _posts(page: FacebookPage, task: Task) -> AsyncIterator[Page]:
    await page.learn()
    async for sheet in listings.listed(page, task, _edges(page)):
        counted = sheet.request["page"] == _POSTS.page and page.refused_fields
        request = {**sheet.request, "refused": page.refused_fields} if counted else sheet.request
        yield msgspec.structs.replace(sheet, request=request)


# ------------------------------------------------------------------------------------------------ insights


async def _post_insights(page: FacebookPage, task: Task) -> AsyncIterator[Page]:
    await page.learn()
    if not task.subjects:
        pages = listings.due_pages(page, task, _edges(page), _due, _asking(page, task))
    else:
        ids = list(dict.fromkeys(ref.external_id for ref in task.subjects if _is_ours(ref)))
        pages = listings.subject_pages(page, task, ids, _looking(page, task), _asking(page, task))
    async for one in pages:
        yield one


def _is_ours(ref: SubjectRef) -> bool:
    return ref.type in _SUBJECTS and listings.is_object_id(ref.external_id)


def _due(edge: Edge, fields: Mapping[str, Any], found: str) -> Iterable[DueObject]:
    return [DueObject(found, _REEL)] if edge is _REELS else _due_of_post(fields, found)


def _due_of_post(fields: Mapping[str, Any], post: str) -> list[DueObject]:
    reel = reel_of(fields)
    if reel is not None:
        return [DueObject(reel, _REEL)]
    kind = kind_of(fields).name
    return [DueObject(post, kind, "VIEWS"), DueObject(post, kind, "REST")]


def _looking(page: FacebookPage, task: Task) -> Callable[[str], Any]:
    async def look(found: str) -> Looked:
        # A bare id is a video's, the two halves of a post's are parted by an underscore.
        is_post = "_" in found
        fields = f"{page.post_fields},from" if is_post else REEL_FIELDS
        response = await page.get(found, fields=fields)
        body, fault = graph.examine(response, page.basic)
        request = {"kind": task.kind, "page": "post" if is_post else "reel", "object_id": found}
        if fault is not None:
            if fault.refusal is Refusal.GONE:
                await page.require_visible()
            return Looked(response=response, request={**request, "refusal": fault.refusal.value})
        if not is_post:
            return Looked(response=response, request=request, due=[DueObject(found, _REEL)])
        due = _due_of_post(body, found) if is_of(body, page.id) else []
        return Looked(response=response, request={**request, "refused": page.refused_fields}, due=due)

    return look


def _asking(page: FacebookPage, task: Task) -> listings.InsightsOf:
    async def insights(due: DueObject, cursor: Mapping[str, str], last: bool) -> Page:  # noqa: FBT001 - a value
        return await _insights(page, task, due, cursor, last=last)

    return insights


async def _insights(page: FacebookPage, task: Task, due: DueObject, cursor: Mapping[str, str], *, last: bool) -> Page:
    request = {"kind": task.kind, "object_id": due.id, "object_type": due.product}
    if due.product == _REEL:
        # Without names the edge answers with all it has, retired ones left out by itself.
        response = await page.get(due.id, "video_insights")
        _, fault = graph.examine(response, page.insights)
        request |= {"page": "video_insights", "refusal": "" if fault is None else fault.refusal.value}
    else:
        wanted = metrics.VIDEO_SET if due.product == SubjectType.VIDEO.name else metrics.POST_SET
        path = page.path(due.id, "insights")
        views = due.media_type == "VIEWS"
        answer = await (page.ask_views(path, metrics.VIEWS_SET, {}) if views else page.ask(path, wanted, {}))
        response, fault = answer.response, answer.fault
        request |= {"page": "insights", **answer.described()}
    if fault is not None and fault.refusal is Refusal.GONE:
        await page.require_visible()
    return page.page(response, cursor, last=last, **request)


# ------------------------------------------------------------------------------------------------ the page


async def _page_day(page: FacebookPage, task: Task, now: datetime) -> AsyncIterator[Page]:
    days = listings.complete_days(task, now, metrics.LOOK_BACK)
    spans = listings.spans("page_days", days, metrics.MOST_DAYS)
    steps = [step for span in spans for step in (span, Step("page_views", span.first, span.last))]

    async def call(step: Step, last: bool) -> Page:  # noqa: FBT001 - a value
        return await _day_page(page, task, step, last=last)

    async for one in listings.step_pages(steps, task, call):
        yield one


async def _day_page(page: FacebookPage, task: Task, step: Step, *, last: bool) -> Page:
    path, params = page.path(page.id, "insights"), {"period": "day", **step.window}
    if step.page == "page_views":
        answer = await page.ask_views(path, metrics.PAGE_VIEWS_SET, params)
    else:
        answer = await page.ask(path, metrics.DAYS_SET, params)
    if answer.fault is not None and answer.fault.refusal is Refusal.GONE:
        graph.raise_fault(answer.fault, answer.response.headers, page.insights)
    request = {"kind": task.kind, **step.described, **answer.described()}
    return page.page(answer.response, {"done": step.name}, last=last, **request)


async def _profile(page: FacebookPage, task: Task) -> AsyncIterator[Page]:
    response = await page.get(page.id, fields=_PROFILE_FIELDS)
    graph.require(response, page.basic)
    yield page.page(response, {}, last=True, kind=task.kind, page="profile")


_FETCHERS: Mapping[str, Callable[[FacebookPage, Task], AsyncIterator[Page]]] = {
    "posts": _posts,
    "post_insights": _post_insights,
    "profile": _profile,
}


def pages_of(page: FacebookPage, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    page.resume(task.cursor)
    if task.kind == "page_day":
        return _page_day(page, task, now)
    if task.kind not in _FETCHERS:
        raise NotSupported(f"Facebook has no task of the kind {task.kind!r}")
    return _FETCHERS[task.kind](page, task)
