"""Reads the pages that a fetch of LinkedIn landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and what was asked for), never in its body. Pushed bodies are read in
``connectors.linkedin_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from connectors import linkedin_metrics as metrics
from connectors import linkedin_values as values
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Window,
    Withdrawal,
    day_window,
)
from connectors.linkedin_answers import Lack

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


# ------------------------------------------------------------------------------------------------ numbers


class _Series(msgspec.Struct, frozen=True):
    """What metrics of one answer must share to travel in one observation."""

    kind: Kind
    scope: str
    check: bool
    paid: bool | None


def _book(
    readings: Iterable[tuple[str, Any]],
    rules: metrics.Rules,
    subject: SubjectRef,
    row: int | None = None,
    window: Window | None = None,
) -> Iterator[Item]:
    """Yield the observations of named numbers about one subject, then the drops; one that says nothing is a drop.

    What is left out on purpose makes no drop: the whole object comes, asked for or not.
    """
    series: dict[_Series, dict[str, int]] = {}
    drops: list[Drop] = []
    for name, value in readings:
        rule, number = rules.get(name), values.count(value)
        if rule is None:
            drops.append(Drop(reason=DropReason.UNKNOWN_METRIC, row=row, detail=values.shown(name)))
        elif rule.keys and isinstance(number, DropReason):
            drops.append(Drop(reason=number, row=row, detail=name))
        elif rule.keys and isinstance(number, int):
            at = _Series(rule.kind, rule.scope, rule.check, rule.paid)
            series.setdefault(at, {}).update(dict.fromkeys(rule.keys, number))
    for at, found in series.items():
        yield Observation(
            subject=subject, kind=at.kind, scope=at.scope, check=at.check, paid=at.paid, metrics=found, window=window
        )
    if not series:
        drops.append(Drop(reason=DropReason.NO_NUMBERS, row=row))
    yield from drops


# ------------------------------------------------------------------------------------------------ posts


def _read_posts(delivery: Delivery) -> Iterator[Item]:
    for row, item in enumerate(_elements(delivery), start=1):
        yield from _read_post(item, delivery, row)


def _read_node(delivery: Delivery) -> Iterator[Item]:
    yield from _read_post(values.document(delivery.body), delivery, None)


def _read_post(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    fields = values.mapping(item)
    urn = values.post_urn(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
    if isinstance(urn, DropReason):
        yield Drop(reason=urn, row=row, detail="id")
        return
    if fields.get("lifecycleState", "PUBLISHED") != "PUBLISHED":
        yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail="lifecycleState")
        return
    published = values.instant(fields.get("publishedAt", fields.get("createdAt")), delivery.received_at)
    commentary = values.text(fields.get("commentary"), 5000)
    yield SubjectSeen(
        subject=SubjectRef(urn),
        published_at=None if isinstance(published, DropReason) else published,
        title=_title(fields.get("commentary")),
        url=f"https://www.linkedin.com/feed/update/{urn}",
        content_type=_content_type(fields),
        hashtags=None if commentary is None else values.hashtags(commentary),
        creator=delivery.request.get("account"),
    )
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="publishedAt")


def _title(commentary: Any) -> str | None:
    lines = values.plain(commentary).strip().splitlines() if isinstance(commentary, str) else []
    return values.text(lines[0], _LONGEST_TITLE) if lines else None


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
        urn = values.post_urn(fields.get("share", fields.get("ugcPost")))
        if isinstance(urn, DropReason):
            yield Drop(reason=urn, row=row, detail="share")
        elif "timeRange" in fields:
            yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail="timeRange")
        else:
            told.add(urn)
            numbers = values.mapping(fields.get("totalShareStatistics"))
            yield from _book(numbers.items(), metrics.SHARE, SubjectRef(urn), row)
    silent = [urn for urn in _asked(delivery, "posts").split(",") if urn not in told]
    yield from (Drop(reason=DropReason.NO_NUMBERS, detail="a post without activity") for _ in silent)


def _read_video(delivery: Delivery) -> Iterator[Item]:
    """Read one number of a video: the answer names the metric less surely than the request."""
    urn, metric = values.post_urn(_asked(delivery, "post")), _asked(delivery, "metric")
    if isinstance(urn, DropReason):
        raise BadPayload("the request of the page names no post")
    readings = [(metric, values.mapping(element).get("value")) for element in _elements(delivery)[:1]]
    yield from _book(readings, metrics.VIDEO, SubjectRef(urn))


# ------------------------------------------------------------------------------------------------ days


def _read_share_days(delivery: Delivery) -> Iterator[Item]:
    for row, fields, window in _days(delivery):
        numbers = values.mapping(fields.get("totalShareStatistics"))
        yield from _on_day(numbers.items(), metrics.SHARE_DAY, delivery, row, window)


def _read_page_days(delivery: Delivery) -> Iterator[Item]:
    for row, fields, window in _days(delivery):
        views = values.mapping(values.mapping(fields.get("totalPageStatistics")).get("views")).get("allPageViews")
        yield from _on_day(values.mapping(views).items(), metrics.PAGE_DAY, delivery, row, window)


def _on_day(
    readings: Iterable[tuple[str, Any]], rules: metrics.Rules, delivery: Delivery, row: int, window: Window | DropReason
) -> Iterator[Item]:
    if isinstance(window, DropReason):
        yield Drop(reason=window, row=row, detail="timeRange")
    else:
        yield from _book(readings, rules, _organisation(delivery), row, window)


def _read_follower_days(delivery: Delivery) -> Iterator[Item]:
    """Read the net gain of each day. Below nothing it is a loss; the other of the two then has no value that day."""
    for row, fields, window in _days(delivery):
        if isinstance(window, DropReason):
            yield Drop(reason=window, row=row, detail="timeRange")
            continue
        gains = values.mapping(fields.get("followerGains"))
        for name, rule in metrics.FOLLOWER_DAY.items():
            yield from _net(gains.get(name), name, rule, row, delivery, window)


def _net(value: Any, name: str, rule: metrics.Rule, row: int, delivery: Delivery, window: Window) -> Iterator[Item]:
    number = values.count(-value if type(value) is int and value < 0 else value)
    if number is None:
        return
    if isinstance(number, DropReason):
        yield Drop(reason=number, row=row, detail=name)
        return
    subject = _organisation(delivery)
    gained = rule.keys[0]
    booked, other = (gained, metrics.LOST[gained]) if value >= 0 else (metrics.LOST[gained], gained)
    # A restated day may change its sign: what it said before must not stand beside what it says now.
    yield Withdrawal(subject=subject, kind=rule.kind, window=window, metrics=(other,), paid=rule.paid)
    yield Observation(subject=subject, kind=rule.kind, window=window, metrics={booked: number}, paid=rule.paid)


def _days(delivery: Delivery) -> Iterator[tuple[int, dict[str, Any], Window | DropReason]]:
    """Yield (row, fields, window) of a daily answer; the window is why there is none where the time is no UTC day."""
    for row, element in enumerate(_elements(delivery), start=1):
        fields = values.mapping(element)
        day = values.utc_day(fields.get("timeRange"), delivery.received_at)
        yield row, fields, _window(day) if isinstance(day, date) else day


def _window(day: date) -> Window:
    return day_window(day, "UTC")


# ------------------------------------------------------------------------------------------------ the organisation


def _read_organization(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    subject = _organisation(delivery)
    name, handle = values.text(fields.get("localizedName"), 200), values.text(fields.get("vanityName"), 200)
    yield CreatorSeen(external_id=subject.external_id, handle=handle, name=name)
    yield SubjectSeen(subject=subject, title=name, creator=subject.external_id)


def _read_size(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    told = [(name, fields.get(name)) for name in metrics.SIZE]
    yield from _book(told, metrics.SIZE, _organisation(delivery))


# ------------------------------------------------------------------------------------------------ pages


def _elements(delivery: Delivery) -> list[Any]:
    elements = values.document(delivery.body).get("elements")
    if not isinstance(elements, list):
        raise BadPayload("the page has no list named elements")
    return elements


def _asked(delivery: Delivery, name: str) -> str:
    value = delivery.request.get(name)
    if not value:
        raise BadPayload(f"the request of the page does not say its {name}")
    return value


def _organisation(delivery: Delivery) -> SubjectRef:
    return SubjectRef(_asked(delivery, "account"), SubjectType.PROFILE)


def _read_lack(delivery: Delivery, lack: str) -> Iterator[Item]:
    """Read a page that holds an error about single posts: only a post that was asked for itself can be gone."""
    values.document(delivery.body)
    if lack == Lack.GONE and delivery.request.get("page") == "node":
        yield SubjectSeen(subject=SubjectRef(_asked(delivery, "post")), removed_at=delivery.received_at)
    yield Drop(reason=DropReason.NOT_AVAILABLE, detail=values.shown(lack))


_READERS: Mapping[str, Callable[[Delivery], Iterator[Item]]] = {
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
PAGES: Sequence[str] = tuple(_READERS)


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = _READERS.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    lack = delivery.request.get("lack")
    yield from reader(delivery) if not lack else _read_lack(delivery, lack)
