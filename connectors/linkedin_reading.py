"""Reads the pages that a fetch of LinkedIn landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and what was asked for), never in its body. Pushed bodies are read in
``connectors.linkedin_pushes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from connectors import linkedin_metrics as metrics
from connectors import linkedin_values, pages, rules, values
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    Observation,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Window,
    Withdrawal,
    day_window,
)
from connectors.linkedin_answers import Lack
from connectors.pages import Reader
from connectors.rules import Rule, Rules

_LONGEST_TITLE = 200
_CONTENT_TYPES = {
    "multiImage": "carousel",
    "carousel": "carousel",
    "article": "link",
    "poll": "poll",
    "celebration": "celebration",
    "reference": "reference",
}
_MEDIA_TYPES = {"image": "image", "video": "video", "document": "document"}


def _book(
    readings: Mapping[str, Any], found: Rules, subject: SubjectRef, row: int | None = None, **common: Any
) -> Iterator[Item]:
    yield from rules.book(rules.meant(readings, found), found, subject, row, **common)


# ------------------------------------------------------------------------------------------------ posts


def _read_posts(delivery: Delivery) -> Iterator[Item]:
    for row, item in enumerate(_elements(delivery), start=1):
        yield from _read_post(item, delivery, row)


def _read_node(delivery: Delivery) -> Iterator[Item]:
    yield from _read_post(values.document(delivery.body), delivery, None)


def _read_post(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    post = pages.entry_of(item, row, linkedin_values.post_urn)
    if isinstance(post, Drop):
        yield post
        return
    fields = post.fields
    if fields.get("lifecycleState", "PUBLISHED") != "PUBLISHED":
        yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail="lifecycleState")
        return
    published = linkedin_values.instant(fields.get("publishedAt", fields.get("createdAt")), delivery.received_at)
    commentary = values.text(fields.get("commentary"), 5000)
    yield SubjectSeen(
        subject=SubjectRef(post.id),
        published_at=values.known(published),
        title=_title(fields.get("commentary")),
        url=f"https://www.linkedin.com/feed/update/{post.id}",
        content_type=_content_type(fields),
        hashtags=None if commentary is None else linkedin_values.hashtags(commentary),
        creator=delivery.request.get("account"),
    )
    yield from pages.unread(published, row, "publishedAt")


def _title(commentary: Any) -> str | None:
    return values.first_line(linkedin_values.plain(commentary), _LONGEST_TITLE) if isinstance(commentary, str) else None


def _content_type(fields: Mapping[str, Any]) -> str | None:
    """Return what a post shows: a post without content is a text; one of an unknown kind says nothing."""
    content = values.mapping(fields.get("content"))
    if "media" in content:
        urn = values.text(values.mapping(content["media"]).get("id"), 300) or ""
        return _MEDIA_TYPES.get(urn.removeprefix("urn:li:").partition(":")[0])
    if content:
        return next((kind for name, kind in _CONTENT_TYPES.items() if name in content), None)
    return "text"


def _read_statistics(delivery: Delivery) -> Iterator[Item]:
    """Read the lifetime numbers of posts. Those without any activity are absent, and so are deleted ones: no zeros."""
    told = set()
    for row, element in enumerate(_elements(delivery), start=1):
        fields = values.mapping(element)
        urn = linkedin_values.post_urn(fields.get("share", fields.get("ugcPost")))
        if isinstance(urn, DropReason):
            yield Drop(reason=urn, row=row, detail="share")
        elif "timeRange" in fields:
            yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail="timeRange")
        else:
            told.add(urn)
            numbers = values.mapping(fields.get("totalShareStatistics"))
            yield from _book(numbers, metrics.SHARE, SubjectRef(urn), row)
    silent = [urn for urn in pages.asked(delivery, "posts").split(",") if urn not in told]
    yield from (Drop(reason=DropReason.NO_NUMBERS, detail="a post without activity") for _ in silent)


def _read_video(delivery: Delivery) -> Iterator[Item]:
    """Read one number of a video: the answer names the metric less surely than the request."""
    urn, metric = linkedin_values.post_urn(pages.asked(delivery, "post")), pages.asked(delivery, "metric")
    if isinstance(urn, DropReason):
        raise BadPayload("the request of the page names no post")
    elements = _elements(delivery)
    told = {metric: values.first(elements).get("value")} if elements else {}
    yield from _book(told, metrics.VIDEO, SubjectRef(urn))


# ------------------------------------------------------------------------------------------------ days


def _read_share_days(delivery: Delivery) -> Iterator[Item]:
    for row, fields, window in _days(delivery):
        numbers = values.mapping(fields.get("totalShareStatistics"))
        yield from _on_day(numbers, metrics.SHARE_DAY, delivery, row, window)


def _read_page_days(delivery: Delivery) -> Iterator[Item]:
    for row, fields, window in _days(delivery):
        views = values.mapping(values.mapping(fields.get("totalPageStatistics")).get("views")).get("allPageViews")
        yield from _on_day(values.mapping(views), metrics.PAGE_DAY, delivery, row, window)


def _on_day(
    readings: Mapping[str, Any], found: Rules, delivery: Delivery, row: int, window: Window | DropReason
) -> Iterator[Item]:
    if isinstance(window, DropReason):
        yield Drop(reason=window, row=row, detail="timeRange")
    else:
        yield from _book(readings, found, _organisation(delivery), row, window=window)


def _read_follower_days(delivery: Delivery) -> Iterator[Item]:
    """Read the net gain of each day. Below nothing it is a loss; the other of the two then has no value that day."""
    for row, fields, window in _days(delivery):
        if isinstance(window, DropReason):
            yield Drop(reason=window, row=row, detail="timeRange")
            continue
        gains = values.mapping(fields.get("followerGains"))
        for name, rule in metrics.FOLLOWER_DAY.items():
            yield from _net(gains.get(name), name, rule, row, delivery, window)


def _net(value: Any, name: str, rule: Rule, row: int, delivery: Delivery, window: Window) -> Iterator[Item]:
    number = values.count(-value if type(value) is int and value < 0 else value)
    if number is None:
        return
    if isinstance(number, DropReason):
        yield Drop(reason=number, row=row, detail=name)
        return
    subject = _organisation(delivery)
    booked, other = rule.keys if value >= 0 else reversed(rule.keys)
    # A restated day may change its sign: what it said before must not stand beside what it says now.
    yield Withdrawal(subject=subject, kind=rule.kind, window=window, metrics=(other,), paid=rule.paid)
    yield Observation(subject=subject, kind=rule.kind, window=window, metrics={booked: number}, paid=rule.paid)


def _days(delivery: Delivery) -> Iterator[tuple[int, dict[str, Any], Window | DropReason]]:
    """Yield (row, fields, window) of a daily answer; the window is why there is none where the time is no UTC day."""
    for row, element in enumerate(_elements(delivery), start=1):
        fields = values.mapping(element)
        day = linkedin_values.utc_day(fields.get("timeRange"), delivery.received_at)
        yield row, fields, day_window(day, "UTC") if isinstance(day, date) else day


# ------------------------------------------------------------------------------------------------ the organisation


def _read_organization(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    subject = _organisation(delivery)
    name, handle = values.text(fields.get("localizedName"), 200), values.text(fields.get("vanityName"), 200)
    yield CreatorSeen(external_id=subject.external_id, handle=handle, name=name)
    yield SubjectSeen(subject=subject, title=name, creator=subject.external_id)


def _read_size(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    yield from rules.book(rules.told(fields, metrics.SIZE), metrics.SIZE, _organisation(delivery))


# ------------------------------------------------------------------------------------------------ pages


def _elements(delivery: Delivery) -> list[Any]:
    return pages.list_in(values.document(delivery.body), "elements")


def _organisation(delivery: Delivery) -> SubjectRef:
    return SubjectRef(pages.asked(delivery, "account"), SubjectType.PROFILE)


def _read_lack(delivery: Delivery, lack: str) -> Iterator[Item]:
    """Read a page that holds an error about single posts: only a post that was asked for itself can be gone."""
    values.document(delivery.body)
    if lack == Lack.GONE and delivery.request.get("page") == "node":
        yield SubjectSeen(subject=SubjectRef(pages.asked(delivery, "post")), removed_at=delivery.received_at)
    yield Drop(reason=DropReason.NOT_AVAILABLE, detail=values.shown(lack))


READERS: Mapping[str, Reader] = {
    "posts": _read_posts,
    "node": _read_node,
    "share_statistics": _read_statistics,
    "video": _read_video,
    "share_days": _read_share_days,
    "follower_days": _read_follower_days,
    "page_days": _read_page_days,
    "organization": _read_organization,
    "network_size": _read_size,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = pages.reader_of(delivery, READERS)
    lack = delivery.request.get("lack")
    yield from reader(delivery) if not lack else _read_lack(delivery, lack)
