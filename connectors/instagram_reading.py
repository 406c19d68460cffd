"""Reads the pages that a fetch of Instagram landed: pure, total, one bad entry never the loss of its neighbours.

What a page is stands in its request (``page``, and the media or the day that was asked for), never in its body. Pushed
bodies are read in ``connectors.instagram_pushes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors import graph_pages as pages
from connectors import graph_values as values
from connectors import instagram_metrics as metrics
from connectors.contract import CreatorSeen, Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.graph import Fault, Refusal
from connectors.graph_rules import book, told

_SUBJECT_TYPES = {"REELS": SubjectType.REEL, "STORY": SubjectType.STORY, "AD": SubjectType.AD}
_CONTENT_TYPES = {"REELS": "reel", "STORY": "story", "CAROUSEL_ALBUM": "carousel", "IMAGE": "image", "VIDEO": "video"}
_LONGEST_CAPTION = 4000


def subject_type(product: str) -> SubjectType:
    """Return what a media of this ``media_product_type`` is: a post unless it is a reel, a story or an ad."""
    return _SUBJECT_TYPES.get(product, SubjectType.POST)


def _read_media(delivery: Delivery) -> Iterator[Item]:
    """Read a listing of media or of stories."""
    for row, item in enumerate(pages.data_of(delivery), start=1):
        yield from _read_item(item, delivery, row, stories=delivery.request.get("page") == "stories")


def _read_node(delivery: Delivery) -> Iterator[Item]:
    """Read one media asked for by its id."""
    yield from _read_item(values.document(delivery.body), delivery, None, stories=False)


def _read_item(item: Any, delivery: Delivery, row: int | None, *, stories: bool) -> Iterator[Item]:
    fields = values.mapping(item)
    media = values.identifier(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
    if isinstance(media, DropReason):
        yield Drop(reason=media, row=row, detail="id")
        return
    product = "STORY" if stories else values.text(fields.get("media_product_type"), 64) or ""
    subject = SubjectRef(media, subject_type(product))
    published = values.instant(fields.get("timestamp"), delivery.received_at)
    yield _seen(fields, subject, product, delivery)
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="timestamp")
    if not stories:
        yield from book(told(fields, metrics.NODE), metrics.NODE, subject, row)


def _seen(fields: Mapping[str, Any], subject: SubjectRef, product: str, delivery: Delivery) -> SubjectSeen:
    caption = values.text(fields.get("caption"), _LONGEST_CAPTION)
    media_type = values.text(fields.get("media_type"), 64) or ""
    return SubjectSeen(
        subject=subject,
        published_at=pages.known(values.instant(fields.get("timestamp"), delivery.received_at)),
        title=pages.title_of(fields.get("caption")),
        url=values.text(fields.get("permalink")),
        content_type=_CONTENT_TYPES.get(product) or _CONTENT_TYPES.get(media_type),
        hashtags=None if caption is None else values.hashtags(caption),
        creator=delivery.request.get("account"),
        paid=True if subject.type is SubjectType.AD else None,
    )


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    """Read the insights of one media: organic numbers, ads are not counted in them."""
    product = delivery.request.get("media_product_type", "")
    subject = SubjectRef(pages.asked(delivery, "media_id"), subject_type(product))
    entries = pages.entries_of(delivery)
    readings = [(name, pages.lifetime_value(entry.fields)) for name, entry in pages.named(entries)]
    yield from book(readings, metrics.INSIGHTS, subject, paid=False)
    yield from pages.malformed(entries)


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    account = values.identifier(fields.get("id"))
    if isinstance(account, DropReason):
        yield Drop(reason=account, detail="id")
        return
    subject = SubjectRef(account, SubjectType.PROFILE)
    handle = values.text(fields.get("username"), 200)
    yield CreatorSeen(external_id=account, handle=handle, name=values.text(fields.get("name"), 200))
    yield SubjectSeen(subject=subject, title=handle, creator=account)
    yield from book(told(fields, metrics.PROFILE), metrics.PROFILE, subject)


def _read_series(delivery: Delivery) -> Iterator[Item]:
    yield from pages.read_series(delivery, metrics.SERIES, pages.profile_of(delivery))


def _read_totals(delivery: Delivery) -> Iterator[Item]:
    """Read one day's totals: the answer names no window, it is the one that was asked for."""
    entries = pages.entries_of(delivery)
    readings = [(name, pages.total_of(entry.fields).get("value")) for name, entry in pages.named(entries)]
    yield from book(readings, metrics.TOTALS, pages.profile_of(delivery), window=pages.asked_day(delivery))
    yield from pages.malformed(entries)


def _read_follows(delivery: Delivery) -> Iterator[Item]:
    """Read who came and who left on one day: the two halves of one metric, told apart by a breakdown."""
    entries = pages.entries_of(delivery)
    readings = [half for name, entry in pages.named(entries) for half in _halves(name, entry.fields)]
    yield from book(readings, metrics.FOLLOWS, pages.profile_of(delivery), window=pages.asked_day(delivery))
    yield from pages.malformed(entries)


def _halves(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for breakdown in values.items(pages.total_of(entry).get("breakdowns")):
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
    yield pages.refusal_drop(fault)


READERS: Mapping[str, pages.Reader] = {
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
    yield from pages.read_page(delivery, READERS, _read_refusal)
