"""Reads the pages that a fetch of Threads landed: pure, total, one bad entry never the loss of its neighbours.

Insights come in three shapes side by side: a series (``values``), a total (``total_value``) and totals per link
(``link_total_values``). What each number is booked under stands in ``connectors.threads_metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors import graph_pages, graph_values, origin, pages, values
from connectors import threads_metrics as metrics
from connectors.contract import Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen
from connectors.graph import Fault, Refusal
from connectors.graph_rules import book
from connectors.pages import Reader
from connectors.rules import Readings
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
    for row, item in enumerate(graph_pages.data_of(delivery), start=1):
        yield from _read_post(item, delivery, row)


def _read_one_post(delivery: Delivery) -> Iterator[Item]:
    yield from _read_post(values.document(delivery.body), delivery, None)


def _read_post(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    post = pages.entry_of(item, row, graph_values.identifier)
    if isinstance(post, Drop):
        yield post
    elif post.fields.get("media_type") == REPOST:
        yield Drop(reason=DropReason.NOT_AVAILABLE, row=row, detail=REPOST)  # somebody else's post
    else:
        published = graph_values.instant(post.fields.get("timestamp"), delivery.received_at)
        yield from pages.unread(published, row, "timestamp")
        account = delivery.request.get("account")
        yield seen(post.fields, post.id, creator=account, published_at=values.known(published))


def seen(fields: Mapping[str, Any], post: str, **known: Any) -> SubjectSeen:
    """Return the facts about a post, fetched or pushed."""
    text = values.text(fields.get("text"), _LONGEST_TEXT)
    marks: dict[str, Any] = origin.marks(origin.of_link(fields.get("link_attachment_url")))
    root = graph_values.identifier(values.mapping(fields.get("root_post")).get("id"))
    return SubjectSeen(
        subject=SubjectRef(post),
        title=values.first_line(fields.get("text")),
        url=values.text(fields.get("permalink")),
        content_type=_CONTENT_TYPES.get(values.text(fields.get("media_type"), 64) or ""),
        hashtags=None if text is None else graph_values.TAGS.within(text),
        parent=values.known(root),
        **marks,
        **known,
    )


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    entries = graph_pages.entries_of(delivery)
    readings = [(name, graph_pages.lifetime_value(entry.fields)) for name, entry in graph_pages.named(entries)]
    subject = SubjectRef(pages.asked(delivery, "media_id"))
    yield from book([*readings, *_all_shares(readings)], metrics.POST, subject)
    yield from graph_pages.malformed(entries)


def _all_shares(readings: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, int]]:
    """Yield the sum of what people passed on, of the parts that are reported; nothing where none is."""
    parts = {name: number for name, value in readings if isinstance(number := graph_values.count(value), int)}
    known = [parts[name] for name in metrics.SHARED if name in parts]
    if known:
        yield metrics.ALL_SHARES, sum(known)


# ------------------------------------------------------------------------------------------------ the account


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_profile(delivery, "username", {})


def _read_followers(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_entries(delivery, metrics.FOLLOWERS, graph_pages.profile_of(delivery), _total)


def _read_views(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_series(delivery, metrics.VIEWS_DAYS, graph_pages.profile_of(delivery))


def _read_totals(delivery: Delivery) -> Iterator[Item]:
    """Read one day's totals: the answer names no window, it is the one that was asked for."""
    window, subject = graph_pages.asked_day(delivery), graph_pages.profile_of(delivery)
    yield from graph_pages.read_entries(delivery, metrics.TOTALS, subject, _total, window=window)


def _total(name: str, entry: Mapping[str, Any]) -> Readings:
    """Return the total of a window, of either shape; None for one that names no number."""
    links = entry.get("link_total_values")
    if "link_total_values" not in entry:
        return [(name, graph_pages.total_of(entry).get("value"))]
    return [(name, graph_values.summed((values.mapping(link).get("value") for link in values.items(links)), links))]


def _read_refusal(delivery: Delivery, fault: Fault) -> Iterator[Item]:
    """Read a page that holds an error about one object; the fetch has made sure that the account itself is there."""
    if fault.refusal is Refusal.GONE and "media_id" in delivery.request:
        yield SubjectSeen(subject=SubjectRef(delivery.request["media_id"]), removed_at=delivery.received_at)
    yield graph_pages.refusal_drop(fault)


READERS: Mapping[str, Reader] = {
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
    yield from graph_pages.read_page(delivery, READERS, _read_refusal)
