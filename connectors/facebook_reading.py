"""Reads the pages that a fetch of a Facebook page landed: pure, total, one bad entry never the loss of its neighbours.

Values come as numbers, as objects of kinds (reactions, clicks) and in buckets that say whether ads brought them; all
become named numbers here, and what each name is booked under stands in ``connectors.facebook_metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors import facebook_metrics as metrics
from connectors import graph_pages as pages
from connectors import graph_values as values
from connectors.contract import CreatorSeen, Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.facebook_objects import address_of, content_of, is_of, marks_of, subject_of
from connectors.graph import Fault, Refusal
from connectors.graph_rules import Rules, book, told

_LONGEST_MESSAGE = 4000
_ORGANIC = frozenset({"0", "false", "organic", "unpaid"})
_BY_ADS = frozenset({"1", "true", "paid", "ads"})
_TYPES = {kind.name: kind for kind in (SubjectType.POST, SubjectType.VIDEO, SubjectType.REEL)}

Numbers = Iterable[tuple[str, Any]]


# ------------------------------------------------------------------------------------------------ values


def numbers_of(name: str, entry: Mapping[str, Any]) -> Numbers:
    """Return the named numbers of one metric since publication."""
    if name in metrics.SPLIT:
        return [number for bucket in _buckets(entry) for number in split(name, bucket)]
    return within(name, pages.lifetime_value(entry))


def _buckets(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the buckets of a value that is told apart, in any of its shapes."""
    total = pages.total_of(entry)
    results = [
        {"value": values.mapping(result).get("value"), metrics.SPLIT_BY: label}
        for breakdown in values.items(total.get("breakdowns"))
        for result in values.items(values.mapping(breakdown).get("results"))
        for label in values.items(values.mapping(result).get("dimension_values"))[:1]
    ]
    if results or "value" in total:
        return results or [total]
    return [values.mapping(bucket) for bucket in values.items(entry.get("values"))]


def split(name: str, bucket: Mapping[str, Any]) -> Numbers:
    """Return the parts of a bucket: without ads under the metric's own name, by ads beside it.

    A number that is not told apart stands under the metric's own name too: one series, whichever shape comes.
    """
    value, label = bucket.get("value"), _label(bucket.get(metrics.SPLIT_BY))
    if isinstance(value, dict):
        kinds = {_label(kind): part for kind, part in value.items()}
        if kinds and kinds.keys() <= _ORGANIC | _BY_ADS:
            return [(f"{name}{metrics.ADS}" if kind in _BY_ADS else name, part) for kind, part in kinds.items()]
        return [(name, summed(value))]
    return [(f"{name}{metrics.ADS}" if label in _BY_ADS else name, value)]


def _label(value: Any) -> str:
    return str(value).lower() if isinstance(value, str | int) else ""


def within(name: str, value: Any) -> Numbers:
    """Return a plain number, the sum of an object of kinds, or those of its kinds that have a rule."""
    if not isinstance(value, dict):
        return [(name, value)]
    if name in metrics.KINDS_OF:
        known = metrics.KINDS_OF[name]
        found = [(f"{name}.{known[kind.lower()]}", part) for kind, part in value.items() if kind.lower() in known]
        return [*found, (name, None)] if len(found) < len(value) else found
    return [(name, summed(value))]


def summed(value: dict[str, Any]) -> Any:
    """Return the sum of an object's counts; None for an empty one, the object itself where one is no count."""
    numbers = [values.count(part) for part in value.values()]
    if any(isinstance(number, DropReason) for number in numbers):
        return value
    known = [number for number in numbers if isinstance(number, int)]
    return sum(known) if known else None


def _in_bucket(name: str, bucket: Mapping[str, Any]) -> Numbers:
    return split(name, bucket) if name in metrics.SPLIT else within(name, bucket.get("value"))


# ------------------------------------------------------------------------------------------------ posts


def _read_posts(delivery: Delivery) -> Iterator[Item]:
    for row, item in enumerate(pages.data_of(delivery), start=1):
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
    for row, item in enumerate(pages.data_of(delivery), start=1):
        yield from _read_reel(item, delivery, row)


def _read_one_reel(delivery: Delivery) -> Iterator[Item]:
    yield from _read_reel(values.document(delivery.body), delivery, None)


def _read_reel(item: Any, delivery: Delivery, row: int | None) -> Iterator[Item]:
    fields = values.mapping(item)
    found = values.identifier(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
    if isinstance(found, DropReason):
        yield Drop(reason=found, row=row, detail="id")
    else:
        yield from _seen(fields, SubjectRef(found, SubjectType.REEL), "description", delivery, row)


def _seen(
    fields: Mapping[str, Any], subject: SubjectRef, written: str, delivery: Delivery, row: int | None
) -> Iterator[Item]:
    published = values.instant(fields.get("created_time"), delivery.received_at)
    message, marks = values.text(fields.get(written), _LONGEST_MESSAGE), marks_of(fields)
    yield SubjectSeen(
        subject=subject,
        published_at=pages.known(published),
        title=pages.title_of(fields.get(written)),
        url=address_of(fields),
        content_type="reel" if subject.type is SubjectType.REEL else content_of(fields),
        hashtags=None if message is None else values.hashtags(message),
        creator=delivery.request.get("account"),
        utm_campaign=marks.get("utm_campaign"),
        utm_source=marks.get("utm_source"),
        utm_medium=marks.get("utm_medium"),
    )
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="created_time")


# ------------------------------------------------------------------------------------------------ insights


def _read_insights(delivery: Delivery) -> Iterator[Item]:
    yield from _book_insights(delivery, metrics.POST)


def _read_video_insights(delivery: Delivery) -> Iterator[Item]:
    yield from _book_insights(delivery, metrics.REEL)


def _book_insights(delivery: Delivery, rules: Rules) -> Iterator[Item]:
    entries = pages.entries_of(delivery)
    readings = [number for name, entry in pages.named(entries) for number in numbers_of(name, entry.fields)]
    yield from book(readings, rules, _subject_of(delivery))
    yield from pages.malformed(entries)


def _subject_of(delivery: Delivery) -> SubjectRef:
    kind = _TYPES.get(delivery.request.get("object_type", ""), SubjectType.POST)
    return SubjectRef(pages.asked(delivery, "object_id"), kind)


# ------------------------------------------------------------------------------------------------ the page


def _read_profile(delivery: Delivery) -> Iterator[Item]:
    fields = values.document(delivery.body)
    page = values.identifier(fields.get("id"))
    if isinstance(page, DropReason):
        yield Drop(reason=page, detail="id")
        return
    subject, name = SubjectRef(page, SubjectType.PROFILE), values.text(fields.get("name"), 200)
    yield CreatorSeen(external_id=page, handle=values.text(fields.get("username"), 200), name=name)
    yield SubjectSeen(subject=subject, title=name, creator=page)
    yield from book(told(fields, metrics.PAGE), metrics.PAGE, subject)


def _read_days(delivery: Delivery) -> Iterator[Item]:
    yield from pages.read_series(delivery, metrics.DAYS, pages.profile_of(delivery), _in_bucket)


def _read_refusal(delivery: Delivery, fault: Fault) -> Iterator[Item]:
    """Read a page that holds an error about one object; the fetch has made sure that the page itself is there."""
    request = delivery.request
    if fault.refusal is Refusal.GONE and "object_id" in request:
        found = request["object_id"]
        guessed = SubjectType.POST if "_" in found else SubjectType.REEL
        kind = _TYPES.get(request.get("object_type", ""), guessed)
        yield SubjectSeen(subject=SubjectRef(found, kind), removed_at=delivery.received_at)
    yield pages.refusal_drop(fault)


READERS: Mapping[str, pages.Reader] = {
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
    yield from pages.read_page(delivery, READERS, _read_refusal)
