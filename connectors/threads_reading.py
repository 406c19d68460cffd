"""Reads the pages that a fetch of Threads landed: pure, total, one bad entry never the loss of its neighbours.

Insights come in three shapes side by side: a series (``values``), a total (``total_value``) and totals per link
(``link_total_values``). What each number is booked under stands in ``connectors.threads_metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors import graph_pages as pages
from connectors import graph_values as values
from connectors import threads_metrics as metrics
from connectors.contract import CreatorSeen, Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.graph import Fault, Refusal
from connectors.graph_rules import book
from connectors.threads_fetching import REPOST

_CONTENT_TYPES = {
    "TEXT_POST": "text",
    "IMAGE": "image",
    "VIDEO": "video",
    "CAROUSEL_ALBUM": "carousel",
    "AUDIO": "audio",
}
_LONGEST_TEXT = 4000


# ------------------------------------------------------------------------------------------------ posts


def _read_posts(delivery: Delivery) -> Iterator[Item]:
    for row, item in enumerate(pages.data_of(delivery), start=1):
        yield from _read_post(item, delivery, row)


def _read_one_post(delivery: Delivery) -> Iterator[Item]:
    yield from _read_post(values.document(delivery.body), delivery, None)


def _read_post(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    fields = values.mapping(item)
    post = values.identifier(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
    if isinstance(post, DropReason):
        yield Drop(reason=post, row=row, detail="id")
        return
    if fields.get("media_type") == REPOST:
        yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail=REPOST)  # somebody else's post
        return
    published = values.instant(fields.get("timestamp"), delivery.received_at)
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="timestamp")
    yield seen(fields, post, creator=delivery.request.get("account"), published_at=pages.known(published))


def seen(fields: Mapping[str, Any], post: str, **known: Any) -> SubjectSeen:
    """Return the facts about a post, fetched or pushed."""
    text = values.text(fields.get("text"), _LONGEST_TEXT)
    marks = values.link_marks(fields.get("link_attachment_url"))
    root = values.identifier(values.mapping(fields.get("root_post")).get("id"))
    return SubjectSeen(
        subject=SubjectRef(post),
        title=pages.title_of(fields.get("text")),
        url=values.text(fields.get("permalink")),
        content_type=_CONTENT_TYPES.get(values.text(fields.get("media_type"), 64) or ""),
        hashtags=None if text is None else values.hashtags(text),
        parent=None if isinstance(root, DropReason) else root,
        utm_campaign=marks.get("utm_campaign"),
        utm_source=marks.get("utm_source"),
        utm_medium=marks.get("utm_medium"),
        **known,
    )


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    entries = pages.entries_of(delivery)
    readings = [(name, pages.lifetime_value(entry.fields)) for name, entry in pages.named(entries)]
    subject = SubjectRef(pages.asked(delivery, "media_id"))
    yield from book([*readings, *_all_shares(readings)], metrics.POST, subject)
    yield from pages.malformed(entries)


def _all_shares(readings: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, int]]:
    """Yield the sum of what people passed on, of the parts that are reported; nothing where none is."""
    parts = {name: number for name, value in readings if isinstance(number := values.count(value), int)}
    known = [parts[name] for name in metrics.SHARED if name in parts]
    if known:
        yield metrics.ALL_SHARES, sum(known)


# ------------------------------------------------------------------------------------------------ the account


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    account = values.identifier(fields.get("id"))
    if isinstance(account, DropReason):
        yield Drop(reason=account, detail="id")
        return
    handle = values.text(fields.get("username"), 200)
    yield CreatorSeen(external_id=account, handle=handle, name=values.text(fields.get("name"), 200))
    yield SubjectSeen(subject=SubjectRef(account, SubjectType.PROFILE), title=handle, creator=account)


def _read_followers(delivery: Delivery) -> Iterator[Item]:
    entries = pages.entries_of(delivery)
    readings = [(name, _total(entry.fields)) for name, entry in pages.named(entries)]
    yield from book(readings, metrics.FOLLOWERS, pages.profile_of(delivery))
    yield from pages.malformed(entries)


def _read_views(delivery: Delivery) -> Iterator[Item]:
    yield from pages.read_series(delivery, metrics.VIEWS_DAYS, pages.profile_of(delivery))


def _read_totals(delivery: Delivery) -> Iterator[Item]:
    """Read one day's totals: the answer names no window, it is the one that was asked for."""
    entries = pages.entries_of(delivery)
    readings = [(name, _total(entry.fields)) for name, entry in pages.named(entries)]
    yield from book(readings, metrics.TOTALS, pages.profile_of(delivery), window=pages.asked_day(delivery))
    yield from pages.malformed(entries)


def _total(entry: Mapping[str, Any]) -> Any:
    """Return the total of a window, of either shape; None for one that names no number."""
    if "link_total_values" not in entry:
        return pages.total_of(entry).get("value")
    numbers = [values.count(values.mapping(link).get("value")) for link in values.items(entry["link_total_values"])]
    if any(isinstance(number, DropReason) for number in numbers):
        return entry["link_total_values"]  # no count: a drop
    known = [number for number in numbers if isinstance(number, int)]
    return sum(known) if known else None


def _read_refusal(delivery: Delivery, fault: Fault) -> Iterator[Item]:
    """Read a page that holds an error about one object; the fetch has made sure that the account itself is there."""
    if fault.refusal is Refusal.GONE and "media_id" in delivery.request:
        yield SubjectSeen(subject=SubjectRef(delivery.request["media_id"]), removed_at=delivery.received_at)
    yield pages.refusal_drop(fault)


READERS: Mapping[str, pages.Reader] = {
    "posts": _read_posts,
    "replies": _read_posts,
    "post": _read_one_post,
    "insights": _read_insights,
    "profile": _read_profile,
    "followers": _read_followers,
    "account_views": _read_views,
    "account_totals": _read_totals,
}
"""What each page of a fetch is read by."""


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    yield from pages.read_page(delivery, READERS, _read_refusal)
