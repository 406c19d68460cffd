"""Fetches a Facebook page: which calls each kind of task makes, in which order, and what its cursor remembers.

Reels stand in a listing of their own and have insights of their own; where a post leads to a reel, the reel is asked.
Views are asked for by themselves, since only they are told apart by whether ads brought them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from connectors import facebook_metrics as metrics
from connectors import graph, walks
from connectors import graph_listings as listings
from connectors.contract import FetchKind, Page, SubjectRef, SubjectType, Task
from connectors.facebook_account import REEL_FIELDS, FacebookPage
from connectors.facebook_objects import is_of, kind_of, reel_of
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


async def _posts(page: FacebookPage, task: Task, _: datetime) -> AsyncIterator[Page]:
    await page.learn()
    async for sheet in listings.listed(page, task, _edges(page)):
        counted = sheet.request["page"] == _POSTS.page and page.refused_fields
        request = {**sheet.request, "refused": page.refused_fields} if counted else sheet.request
        yield msgspec.structs.replace(sheet, request=request)


# ------------------------------------------------------------------------------------------------ insights


async def _post_insights(page: FacebookPage, task: Task, _: datetime) -> AsyncIterator[Page]:
    await page.learn()
    insights = partial(_insights, page, task)
    if not task.subjects:
        pages = listings.due_pages(page, task, _edges(page), _due, insights)
    else:
        pages = listings.subject_pages(page, task, walks.named(task, _is_ours), partial(_look, page, task), insights)
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


async def _look(page: FacebookPage, task: Task, found: str) -> Looked:
    # A bare id is a video's, the two halves of a post's are parted by an underscore.
    is_post = "_" in found
    request = {"kind": task.kind, "page": "post" if is_post else "reel", "object_id": found}
    if not is_post:
        return await listings.looked(page, found, REEL_FIELDS, request, lambda _: [DueObject(found, _REEL)])
    request["refused"] = page.refused_fields
    fields = f"{page.post_fields},from"
    return await listings.looked(
        page, found, fields, request, lambda body: _due_of_post(body, found) if is_of(body, page.id) else []
    )


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
    await page.require_visible(fault)
    return page.page(response, cursor, last=last, **request)


# ------------------------------------------------------------------------------------------------ the page


async def _page_day(page: FacebookPage, task: Task, now: datetime) -> AsyncIterator[Page]:
    days = listings.complete_days(task, now, metrics.LOOK_BACK)
    spans = listings.spans("page_days", days, metrics.MOST_DAYS)
    steps = [step for span in spans for step in (span, Step("page_views", span.first, span.last))]
    async for one in listings.step_pages(steps, task, partial(_day_page, page, task)):
        yield one


async def _day_page(page: FacebookPage, task: Task, step: Step, *, last: bool) -> Page:
    path, params = page.path(page.id, "insights"), {"period": "day", **step.window}
    if step.page == "page_views":
        answer = await page.ask_views(path, metrics.PAGE_VIEWS_SET, params)
    else:
        answer = await page.ask(path, metrics.DAYS_SET, params)
    return listings.step_page(page, task, step, answer, last=last)


async def _profile(page: FacebookPage, task: Task, _: datetime) -> AsyncIterator[Page]:
    yield await listings.profile_page(page, task, _PROFILE_FIELDS)


_FETCHERS: Mapping[str, Callable[[FacebookPage, Task, datetime], AsyncIterator[Page]]] = {
    "posts": _posts,
    "post_insights": _post_insights,
    "profile": _profile,
    "page_day": _page_day,
}


def pages_of(page: FacebookPage, task: Task, now: datetime) -> AsyncIterator[Page]:
    """Return the pages of a task from its cursor on. Raises :class:`NotSupported` for an unknown kind."""
    page.resume(task.cursor)
    return walks.fetcher_of(task, "Facebook", _FETCHERS)(page, task, now)
