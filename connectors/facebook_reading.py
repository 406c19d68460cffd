"""Reads the pages that a fetch of a Facebook page landed: pure, total, one bad entry never the loss of its neighbours.

Values come as numbers, as objects of kinds (reactions, clicks) and in buckets that say whether ads brought them; all
become named numbers here, and what each name is booked under stands in ``connectors.facebook_metrics``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors import facebook_metrics as metrics
from connectors import graph_pages, graph_values, origin, pages, values
from connectors.contract import Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.facebook_objects import address_of, attachment_of, content_of, is_of, subject_of
from connectors.graph import Fault, Refusal
from connectors.graph_rules import book
from connectors.pages import Reader
from connectors.rules import Readings, told

_LONGEST_MESSAGE = 4000
_ORGANIC = frozenset({"0", "false", "organic", "unpaid"})
_BY_ADS = frozenset({"1", "true", "paid", "ads"})
_TYPES = {kind.name: kind for kind in (SubjectType.POST, SubjectType.VIDEO, SubjectType.REEL)}


# ------------------------------------------------------------------------------------------------ values


def numbers_of(name: str, entry: Mapping[str, Any]) -> Readings:
    """Return the named numbers of one metric since publication."""
    if name in metrics.SPLIT:
        return [number for bucket in _buckets(entry) for number in split(name, bucket)]
    return within(name, graph_pages.lifetime_value(entry))


def _buckets(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the buckets of a value that is told apart, in any of its shapes."""
    total = graph_pages.total_of(entry)
    results = [
        {"value": values.mapping(result).get("value"), metrics.SPLIT_BY: label}
        for breakdown in values.items(total.get("breakdowns"))
        for result in values.items(values.mapping(breakdown).get("results"))
        for label in values.items(values.mapping(result).get("dimension_values"))[:1]
    ]
    if results or "value" in total:
        return results or [total]
    return [values.mapping(bucket) for bucket in values.items(entry.get("values"))]


def split(name: str, bucket: Mapping[str, Any]) -> Readings:
    """Return the parts of a bucket: without ads under the metric's own name, by ads beside it.

    A number that is not told apart stands under the metric's own name too: one series, whichever shape comes.
    """
    value, label = bucket.get("value"), _label(bucket.get(metrics.SPLIT_BY))
    if isinstance(value, dict):
        kinds = {_label(kind): part for kind, part in value.items()}
        if kinds and kinds.keys() <= _ORGANIC | _BY_ADS:
            return [(f"{name}{metrics.ADS}" if kind in _BY_ADS else name, part) for kind, part in kinds.items()]
        return [(name, graph_values.summed(value.values(), value))]
    return [(f"{name}{metrics.ADS}" if label in _BY_ADS else name, value)]


def _label(value: Any) -> str:
    return str(value).lower() if isinstance(value, str | int) else ""


def within(name: str, value: Any) -> Readings:
    """Return a plain number, the sum of an object of kinds, or those of its kinds that have a rule."""
    if not isinstance(value, dict):
        return [(name, value)]
    if name in metrics.KINDS_OF:
        known = metrics.KINDS_OF[name]
        found = [(f"{name}.{known[kind.lower()]}", part) for kind, part in value.items() if kind.lower() in known]
        return [*found, (name, None)] if len(found) < len(value) else found
    return [(name, graph_values.summed(value.values(), value))]


def _in_bucket(name: str, bucket: Mapping[str, Any]) -> Readings:
    return split(name, bucket) if name in metrics.SPLIT else within(name, bucket.get("value"))


# ------------------------------------------------------------------------------------------------ posts


def _read_posts(delivery: Delivery) -> Iterator[Item]:
    for row, item in enumerate(graph_pages.data_of(delivery), start=1):
        yield from _read_post(item, delivery, row)


def _read_one_post(delivery: Delivery) -> Iterator[Item]:
    yield from _read_post(values.document(delivery.body), delivery, None)


def _read_post(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    fields = values.mapping(item)
    subject = subject_of(fields) if isinstance(item, dict) else DropReason.MALFORMED
    if isinstance(subject, DropReason):
        yield Drop(reason=subject, row=row, detail="id")
    elif not is_of(fields, delivery.request.get("account", "")):
        yield Drop(reason=DropReason.NOT_MAPPED, row=row, detail="from")
    else:
        yield from _seen(fields, subject, "message", delivery, row)
        rules = metrics.REEL_NODE if subject.type is SubjectType.REEL else metrics.NODE
        yield from book(told(_counts(fields), rules), rules, subject, row)


def _counts(fields: Mapping[str, Any]) -> dict[str, Any]:
    summaries = {name: values.mapping(fields.get(name)).get("summary") for name in ("comments", "reactions")}
    found = {name: values.mapping(summary).get("total_count") for name, summary in summaries.items()}
    return {**found, "shares": values.mapping(fields.get("shares")).get("count")}


def _read_reels(delivery: Delivery) -> Iterator[Item]:
    for row, item in enumerate(graph_pages.data_of(delivery), start=1):
        yield from _read_reel(item, delivery, row)


def _read_one_reel(delivery: Delivery) -> Iterator[Item]:
    yield from _read_reel(values.document(delivery.body), delivery, None)


def _read_reel(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    reel = pages.entry_of(item, row, graph_values.identifier)
    if isinstance(reel, Drop):
        yield reel
    else:
        yield from _seen(reel.fields, SubjectRef(reel.id, SubjectType.REEL), "description", delivery, row)


def _seen(
    fields: Mapping[str, Any], subject: SubjectRef, written: str, delivery: Delivery, row: int | None
) -> Iterator[Item]:
    published = graph_values.instant(fields.get("created_time"), delivery.received_at)
    message = values.text(fields.get(written), _LONGEST_MESSAGE)
    marks: dict[str, Any] = origin.marks(origin.of_link(attachment_of(fields).get("unshimmed_url")))
    yield SubjectSeen(
        subject=subject,
        published_at=values.known(published),
        title=values.first_line(fields.get(written)),
        url=address_of(fields),
        content_type="reel" if subject.type is SubjectType.REEL else content_of(fields),
        hashtags=None if message is None else graph_values.TAGS.within(message),
        creator=delivery.request.get("account"),
        **marks,
    )
    yield from pages.unread(published, row, "created_time")


# ------------------------------------------------------------------------------------------------ insights


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_entries(delivery, metrics.POST, _subject_of(delivery), numbers_of)


def _read_video_insights(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_entries(delivery, metrics.REEL, _subject_of(delivery), numbers_of)


def _subject_of(delivery: Delivery) -> SubjectRef:
    kind = _TYPES.get(delivery.request.get("object_type", ""), SubjectType.POST)
    return SubjectRef(pages.asked(delivery, "object_id"), kind)


# ------------------------------------------------------------------------------------------------ the page


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_profile(delivery, "name", metrics.PAGE)


def _read_days(delivery: Delivery) -> Iterator[Item]:
    yield from graph_pages.read_series(delivery, metrics.DAYS, graph_pages.profile_of(delivery), _in_bucket)


def _read_refusal(delivery: Delivery, fault: Fault) -> Iterator[Item]:
    """Read a page that holds an error about one object; the fetch has made sure that the page itself is there."""
    request = delivery.request
    if fault.refusal is Refusal.GONE and "object_id" in request:
        found = request["object_id"]
        guessed = SubjectType.POST if "_" in found else SubjectType.REEL
        kind = _TYPES.get(request.get("object_type", ""), guessed)
        yield SubjectSeen(subject=SubjectRef(found, kind), removed_at=delivery.received_at)
    yield graph_pages.refusal_drop(fault)


READERS: Mapping[str, Reader] = {
    "posts": _read_posts,
    "post": _read_one_post,
    "reels": _read_reels,
    "reel": _read_one_reel,
    "insights": _read_insights,
    "video_insights": _read_video_insights,
    "profile": _read_profile,
    "page_days": _read_days,
    "page_views": _read_days,
}
"""What each page of a fetch is read by."""


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    yield from graph_pages.read_page(delivery, READERS, _read_refusal)
