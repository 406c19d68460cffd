"""Reads the pages that a fetch of X landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and what was asked for), never in its body. Posts themselves are read in
``connectors.x_posts``, pushed bodies in ``connectors.x_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from connectors import pages, values, x_values
from connectors import x_metrics as metrics
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    day_window,
)
from connectors.x_account import XOptions
from connectors.x_answers import slug_of
from connectors.x_posts import Post, attached, book, facts_of, is_played, post_of, types_in, video_facts

_GONE = "resource-not-found"


# ------------------------------------------------------------------------------------------------ posts


def _read_posts(delivery: Delivery, options: XOptions) -> Iterator[Item]:
    """Read a timeline or posts asked for by id: facts, numbers, and what could not be answered."""
    body = values.document(delivery.body)
    includes = values.mapping(body.get("includes"))
    types = types_in(includes)
    numbers = delivery.request.get("page") != "listing"
    holders: dict[str, SubjectSeen] = {}
    for row, value in enumerate(_data(body), start=1):
        post = post_of(value)
        if isinstance(post, DropReason):
            yield Drop(reason=post, row=row, detail="id")
        elif post.references("retweeted"):
            yield Drop(reason=DropReason.NOT_MAPPED, row=row, detail="a retweet has the numbers of another post")
        else:
            seen = facts_of(post, delivery.received_at, types, delivery.request.get("account"))
            for key in attached(post.fields):
                holders.setdefault(key, seen)
            yield from _read_post(post, seen, delivery.received_at, row)
            yield from _post_numbers(post, options, row) if numbers else ()
    yield from _read_videos(includes, holders, delivery.received_at, options) if numbers else ()
    yield from _read_users(includes)
    yield from _read_errors(body, delivery)


def _read_post(post: Post, seen: SubjectSeen, received_at: datetime, row: int) -> Iterator[Item]:
    if post.is_newest:
        yield seen
        yield from pages.unread(x_values.instant(post.fields.get("created_at"), received_at), row, "created_at")


def _post_numbers(post: Post, options: XOptions, row: int) -> Iterator[Item]:
    if not post.is_newest:
        yield Drop(reason=DropReason.CONFLICT, row=row, detail="a version that a newer one has replaced")
        return
    parts = metrics.OWNER_POST if options.access == "owner" else (metrics.PUBLIC,)
    yield from book(post.fields, parts, post.subject, row)
    if options.access == "owner" and "organic_metrics" not in post.fields:
        yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail="organic_metrics")


def _read_videos(
    includes: Mapping[str, Any], holders: Mapping[str, SubjectSeen], received_at: datetime, options: XOptions
) -> Iterator[Item]:
    """Read the videos of an answer, each once however many posts hold it."""
    parts = metrics.OWNER_MEDIA if options.access == "owner" else (metrics.MEDIA_PUBLIC,)
    media = map(values.mapping, values.items(includes.get("media")))
    described = {x_values.media_key(one.get("media_key")): one for one in media}
    for key, holder in holders.items():
        shown = described.get(key)
        if shown is not None and is_played(shown):
            video = video_facts(key, holder, received_at)
            yield video
            yield from book(shown, parts, video.subject)


def _read_errors(body: Mapping[str, Any], delivery: Delivery) -> Iterator[Item]:
    """Read what an answer says it lacks; a post that was asked for and is not found is gone."""
    asked = pages.listed(delivery.request, "ids")
    for error in map(values.mapping, values.items(body.get("errors"))):
        slug = slug_of(error) or "an error without a type"
        named = x_values.known_id(error, "resource_id", "value")
        if slug == _GONE and delivery.request.get("page") == "posts" and named is not None and named in asked:
            yield SubjectSeen(subject=SubjectRef(named), removed_at=delivery.received_at)
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=values.shown(slug))


def _data(body: Mapping[str, Any]) -> list[Any]:
    """Return the entries of an answer: an empty one has no ``data``, one about a single thing has no list."""
    data = body.get("data")
    if data is None and ("meta" in body or "errors" in body):
        return []
    if isinstance(data, list | dict):
        return data if isinstance(data, list) else [data]
    raise BadPayload("the page has neither data nor a reason")


# ------------------------------------------------------------------------------------------------ accounts


def _read_users(includes: Mapping[str, Any]) -> Iterator[Item]:
    for user in map(values.mapping, values.items(includes.get("users"))):
        found = x_values.identifier(user)
        if not isinstance(found, DropReason):
            yield _creator(found, user)


def _creator(found: str, user: Mapping[str, Any]) -> CreatorSeen:
    return CreatorSeen(
        external_id=found, handle=values.text(user.get("username"), 200), name=values.text(user.get("name"), 200)
    )


def _read_user(delivery: Delivery, _options: XOptions) -> Iterator[Item]:
    body = values.document(delivery.body)
    for user in map(values.mapping, _data(body)):
        found = x_values.identifier(user)
        if isinstance(found, DropReason):
            yield Drop(reason=found, detail="id")
            continue
        profile = SubjectRef(found, SubjectType.PROFILE)
        yield _creator(found, user)
        yield SubjectSeen(subject=profile, title=values.first_line(user.get("username")), creator=found)
        yield from book(user, (metrics.USER,), profile)
    yield from _read_errors(body, delivery)


# ------------------------------------------------------------------------------------------------ days


def _read_analytics(delivery: Delivery, _options: XOptions) -> Iterator[Item]:
    """Read numbers per post and day: each stands in a bucket that says when it begins."""
    body = values.document(delivery.body)
    subjects = _subjects(delivery.request)
    for row, item in enumerate(_data(body), start=1):
        found = x_values.identifier(values.mapping(item))
        if isinstance(found, DropReason):
            yield Drop(reason=found, row=row, detail="id")
            continue
        subject = SubjectRef(subjects.get(found, found))
        for bucket in map(values.mapping, values.items(values.mapping(item).get("timestamped_metrics"))):
            yield from _read_bucket(bucket, subject, row, delivery.received_at)
    yield from _read_errors(body, delivery)


def _read_bucket(bucket: Mapping[str, Any], subject: SubjectRef, row: int, received_at: datetime) -> Iterator[Item]:
    start = x_values.instant(bucket.get("timestamp"), received_at)
    day = start if isinstance(start, DropReason) else _utc_day(start)
    if isinstance(day, DropReason):
        yield Drop(reason=day, row=row, detail="timestamp")
        return
    told = {metrics.ANALYTICS.name: bucket.get("metrics")}
    yield from book(told, (metrics.ANALYTICS,), subject, row, window=day_window(day, "UTC"))


def _utc_day(start: datetime) -> date | DropReason:
    return start.date() if start == values.midnight(start) else DropReason.BAD_TIME


def _subjects(request: Mapping[str, str]) -> dict[str, str]:
    """Return the subject of each id asked for: the first version of a post that was edited."""
    ids, firsts = request.get("ids", "").split(","), request.get("subjects", "").split(",")
    return dict(zip(ids, firsts, strict=False)) if len(ids) == len(firsts) else {}


_READERS: Mapping[str, Callable[[Delivery, XOptions], Iterator[Item]]] = {
    "timeline": _read_posts,
    "listing": _read_posts,
    "posts": _read_posts,
    "versions": _read_posts,
    "user": _read_user,
    "analytics": _read_analytics,
}


def read_page(delivery: Delivery, options: XOptions) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    yield from pages.reader_of(delivery, _READERS)(delivery, options)
