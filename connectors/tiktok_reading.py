"""Reads the pages that a fetch of TikTok landed: pure, total, one bad entry never the loss of its neighbours.

Listings and profiles are alike in both of TikTok's interfaces, so the Display API is read by the same functions.
Pushed events are read in ``connectors.tiktok_pushes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from connectors import pages, rules, tiktok_values, values
from connectors import tiktok_metrics as metrics
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
)
from connectors.faults import Refusal
from connectors.pages import Entry
from connectors.rules import Rules
from connectors.tiktok_faults import fault_of

LONGEST_CAPTION = 4000
LONGEST_TITLE = 200
_TYPES = {"PHOTO": (SubjectType.POST, "image"), "VIDEO": (SubjectType.VIDEO, "video")}

# Where several numbers make one and a part of it is unreadable, the whole stays unknown.
book = partial(rules.book, number=tiktok_values.number, adds=True)


# ------------------------------------------------------------------------------------------------ videos

ReadVideo = Callable[[Entry, Delivery], Iterator[Item]]


def read_videos(
    delivery: Delivery, found: list[Any], field: str, read_video: ReadVideo, *, whole: bool
) -> Iterator[Item]:
    """Read a list of videos with the id in ``field``. One that was asked for and is not in a whole list is gone."""
    entries = [pages.entry_of(item, row, tiktok_values.post_id, field) for row, item in enumerate(found, start=1)]
    for entry in entries:
        if isinstance(entry, Drop):
            yield entry
        else:
            yield from read_video(entry, delivery)
    shown = {entry.id for entry in entries if isinstance(entry, Entry)}
    if whole and len(shown) == len(found):
        yield from _removed(delivery, shown)


def _read_videos(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    found = pages.list_in(data, "videos")
    yield from read_videos(delivery, found, "item_id", _read_video, whole=data.get("has_more") is False)


def _read_video(video: Entry, delivery: Delivery) -> Iterator[Item]:
    fields = video.fields
    kind, content = _TYPES.get(values.text(fields.get("media_type"), 32) or "VIDEO", (SubjectType.VIDEO, None))
    facts = {
        "title": values.first_line(fields.get("caption"), LONGEST_TITLE),
        "content_type": content if "media_type" in fields else None,
        "creator": _account_of(delivery),
    }
    yield from seen(video, delivery, kind, values.text(fields.get("caption"), LONGEST_CAPTION), **facts)
    yield from book(rules.told(fields, metrics.VIDEO), metrics.VIDEO, SubjectRef(video.id, kind), video.row)


def seen(video: Entry, delivery: Delivery, kind: SubjectType, caption: str | None, **facts: Any) -> Iterator[Item]:
    """Yield what a video says of itself."""
    published = tiktok_values.seconds(video.fields.get("create_time"), delivery.received_at)
    yield SubjectSeen(
        subject=SubjectRef(video.id, kind),
        published_at=values.known(published),
        url=tiktok_values.address(video.fields.get("share_url")),
        hashtags=None if caption is None else tiktok_values.TAGS.within(caption),
        **facts,
    )
    yield from pages.unread(published, video.row, "create_time")


def _removed(delivery: Delivery, shown: set[str]) -> Iterator[Item]:
    wanted = [video for video in pages.listed(delivery.request, "ids") if tiktok_values.post_id(video) == video]
    yield from pages.removed(delivery, wanted, shown)


# ------------------------------------------------------------------------------------------------ the account


def read_profile(account: str, data: Mapping[str, Any], found: Rules) -> Iterator[Item]:
    """Read what the account is now."""
    handle, name = (values.text(data.get(key), LONGEST_TITLE) for key in ("username", "display_name"))
    yield CreatorSeen(external_id=account, handle=handle, name=name)
    subject = SubjectRef(account, SubjectType.PROFILE)
    yield SubjectSeen(subject=subject, title=name or handle, creator=account)
    yield from book(rules.told(data, found), found, subject)


def _read_profile(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    # The days that come with it unasked are read where they are asked for.
    yield from read_profile(_account_of(delivery), data, metrics.PROFILE)


def _read_days(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    subject = SubjectRef(_account_of(delivery), SubjectType.PROFILE)
    found = values.items(data.get("metrics"))
    if not found:
        yield Drop(reason=DropReason.NO_NUMBERS)
    days = pages.Days("date")
    for row, entry in enumerate(found, start=1):
        fields = values.mapping(entry)
        window = days.place(tiktok_values.utc_day(fields.get("date"), delivery.received_at), row)
        if isinstance(window, Drop):
            yield window
        else:
            named = ((name, value) for name, value in fields.items() if name != "date")
            yield from book(named, metrics.DAYS, subject, row, window=window)


def _account_of(delivery: Delivery) -> str:
    account = tiktok_values.account_id(delivery.request.get("account"))
    if isinstance(account, DropReason):
        raise BadPayload("the request of the page does not say its account")
    return account


_READERS: Mapping[str, Callable[[Delivery, Mapping[str, Any]], Iterator[Item]]] = {
    "videos": _read_videos,
    "profile": _read_profile,
    "account_days": _read_days,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = pages.reader_of(delivery, _READERS)
    body = values.document(delivery.body)
    fault = fault_of(body)
    if fault is None:
        yield from reader(delivery, values.mapping(body.get("data")))
    elif fault.refusal is Refusal.GONE and delivery.request.get("refusal") == Refusal.GONE:
        # One video was asked for, by its id, and it is not there.
        yield from _removed(delivery, set())
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=f"{fault.refusal.value} ({fault.label})")
    else:
        raise BadPayload("the page is an error")
    yield from pages.refused(delivery)
