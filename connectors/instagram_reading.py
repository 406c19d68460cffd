"""Reads the pages that a fetch of Instagram landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and the media or the day that was asked for), never in its body. Pushed
bodies are read in ``connectors.instagram_pushes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors import graph_pages, graph_values, pages, values
from connectors import instagram_metrics as metrics
from connectors.contract import Delivery, Drop, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.graph import Fault, Refusal
from connectors.graph_rules import book
from connectors.pages import Reader
from connectors.rules import told

_SUBJECT_TYPES = {"REELS": SubjectType.REEL, "STORY": SubjectType.STORY, "AD": SubjectType.AD}
_CONTENT_TYPES = {"REELS": "reel", "STORY": "story", "CAROUSEL_ALBUM": "carousel", "IMAGE": "image", "VIDEO": "video"}
_LONGEST_CAPTION = 4000


def subject_type(product: str) -> SubjectType:
    """Return what a media of this ``media_product_type`` is: a post unless it is a reel, a story or an ad."""
    return _SUBJECT_TYPES.get(product, SubjectType.POST)


def _read_media(delivery: Delivery) -> Iterator[Item]:
    """Read a listing of media or of stories."""
    for row, item in enumerate(graph_pages.data_of(delivery), start=1):
        yield from _read_item(item, delivery, row, stories=delivery.request.get("page") == "stories")


def _read_node(delivery: Delivery) -> Iterator[Item]:
    """Read one media asked for by its id."""
    yield from _read_item(values.document(delivery.body), delivery, None, stories=False)


def _read_item(item: Any, delivery: Delivery, row: int | None, *, stories: bool) -> Iterator[Item]:
    media = pages.entry_of(item, row, graph_values.identifier)
    if isinstance(media, Drop):
        yield media
        return
    product = "STORY" if stories else values.text(media.fields.get("media_product_type"), 64) or ""
    subject = SubjectRef(media.id, subject_type(product))
    published = graph_values.instant(media.fields.get("timestamp"), delivery.received_at)
    yield _seen(media.fields, subject, product, delivery, values.known(published))
    yield from pages.unread(published, row, "timestamp")
    if not stories:
        yield from book(told(media.fields, metrics.NODE), metrics.NODE, subject, row)


def _seen(
    fields: Mapping[str, Any], subject: SubjectRef, product: str, delivery: Delivery, published_at: datetime | None
) -> SubjectSeen:
    caption = values.text(fields.get("caption"), _LONGEST_CAPTION)
    media_type = values.text(fields.get("media_type"), 64) or ""
    return SubjectSeen(
        subject=subject,
        published_at=published_at,
        title=values.first_line(fields.get("caption")),
        url=values.text(fields.get("permalink")),
        content_type=_CONTENT_TYPES.get(product) or _CONTENT_TYPES.get(media_type),
        hashtags=None if caption is None else graph_values.TAGS.within(caption),
        creator=delivery.request.get("account"),
        paid=True if subject.type is SubjectType.AD else None,
    )


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    """Read the insights of one media: organic numbers, ads are not counted in them."""
    product = delivery.request.get("media_product_type", "")
    subject = SubjectRef(pages.asked(delivery, "media_id"), subject_type(product))
    yield from graph_pages.read_entries(delivery, metrics.INSIGHTS, subject, graph_pages.one_lifetime, paid=False)


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_profile(delivery, "username", metrics.PROFILE)


def _read_series(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_series(delivery, metrics.SERIES, graph_pages.profile_of(delivery))


def _read_totals(delivery: Delivery) -> Iterator[Item]:
    """Read one day's totals: the answer names no window, it is the one that was asked for."""
    window, subject = graph_pages.asked_day(delivery), graph_pages.profile_of(delivery)
    yield from graph_pages.read_entries(delivery, metrics.TOTALS, subject, graph_pages.one_total, window=window)


def _read_follows(delivery: Delivery) -> Iterator[Item]:
    """Read who came and who left on one day: the two halves of one metric, told apart by a breakdown."""
    window, subject = graph_pages.asked_day(delivery), graph_pages.profile_of(delivery)
    yield from graph_pages.read_entries(delivery, metrics.FOLLOWS, subject, _halves, window=window)


def _halves(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for breakdown in values.items(graph_pages.total_of(entry).get("breakdowns")):
        for result in map(values.mapping, values.items(values.mapping(breakdown).get("results"))):
            labels = [label for label in values.items(result.get("dimension_values")) if isinstance(label, str)]
            yield ".".join((name, *labels)), result.get("value")


def _read_refusal(delivery: Delivery, fault: Fault) -> Iterator[Item]:
    """Read a page that holds an error about one object; the fetch has made sure that the account itself is there."""
    request = delivery.request
    product = request.get("media_product_type", "")
    # A story is not taken down, it runs out.
    if fault.refusal is Refusal.GONE and "media_id" in request and product != "STORY":
        subject = SubjectRef(request["media_id"], subject_type(product))
        yield SubjectSeen(subject=subject, removed_at=delivery.received_at)
    yield graph_pages.refusal_drop(fault)


READERS: Mapping[str, Reader] = {
    "media": _read_media,
    "media_node": _read_node,
    "media_insights": _read_insights,
    "stories": _read_media,
    "profile": _read_profile,
    "account_series": _read_series,
    "account_totals": _read_totals,
    "account_follows": _read_follows,
}
"""What each page of a fetch is read by."""


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    yield from graph_pages.read_page(delivery, READERS, _read_refusal)
