"""Reads the pages of the Display API: pure, total, one bad entry never the loss of its neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors import tiktok_values as values
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    MetricMapping,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.tiktok_display_calls import fault_of
from connectors.tiktok_metrics import Rule, Rules
from connectors.tiktok_reading import book

VIDEO: Rules = {
    "view_count": Rule(keys=("views",), note="absent or 0 of photo posts"),
    "like_count": Rule(keys=("likes",)),
    "comment_count": Rule(keys=("comments",)),
    "share_count": Rule(keys=("shares",)),
}
USER: Rules = {
    "follower_count": Rule(keys=("followers",), kind=Kind.LEVEL),
    "likes_count": Rule(keys=("likes",), scope="account", check=True, note="of all videos together"),
    "following_count": Rule(note="whom the account follows"),
    "video_count": Rule(note="no measure of a campaign"),
}
_ANSWERS = (("videos", VIDEO, SubjectType.VIDEO), ("profile", USER, SubjectType.PROFILE))
_LONGEST_CAPTION = 4000
_LONGEST_TITLE = 200


def declared() -> Iterator[MetricMapping]:
    """Yield what each number on the wire becomes, named ``answer/number``."""
    for answer, rules, subject in _ANSWERS:
        for name, rule in rules.items():
            key = rule.keys[0] if rule.keys else None
            yield MetricMapping(
                wire=f"{answer}/{name}",
                metric=key,
                kind=rule.kind if key else None,
                subject_types=(subject,),
                counting=key is not None and not rule.check,
                note=rule.note,
            )


def _told(fields: Mapping[str, Any], rules: Rules) -> Iterator[tuple[str, Any]]:
    return ((name, fields.get(name)) for name, rule in rules.items() if rule.keys)


def _read_videos(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    """Read videos with their counters. One that was asked for by its id and is not there is no longer public."""
    found = data.get("videos")
    if not isinstance(found, list):
        raise BadPayload("the page has no list named videos")
    shown = set()
    for row, item in enumerate(found, start=1):
        fields = values.mapping(item)
        video = values.post_id(fields.get("id")) if isinstance(item, dict) else DropReason.MALFORMED
        if isinstance(video, DropReason):
            yield Drop(reason=video, row=row, detail="id")
            continue
        shown.add(video)
        yield from _read_video(video, fields, delivery, row)
    if len(shown) == len(found):
        for video in filter(None, delivery.request.get("ids", "").split(",")):
            if video not in shown and values.post_id(video) == video:
                yield SubjectSeen(subject=SubjectRef(video, SubjectType.VIDEO), removed_at=delivery.received_at)


def _read_video(video: str, fields: Mapping[str, Any], delivery: Delivery, row: int) -> Iterator[Item]:
    subject = SubjectRef(video, SubjectType.VIDEO)
    published = values.seconds(fields.get("create_time"), delivery.received_at)
    caption = values.text(fields.get("video_description"), _LONGEST_CAPTION)
    title = values.text(fields.get("title"), _LONGEST_TITLE) or (caption or "")[:_LONGEST_TITLE]
    yield SubjectSeen(
        subject=subject,
        published_at=None if isinstance(published, DropReason) else published,
        title=title or None,
        url=values.address(fields.get("share_url")),
        hashtags=None if caption is None else values.hashtags(caption),
        creator=_account_of(delivery),
    )
    if isinstance(published, DropReason):
        yield Drop(reason=published, row=row, detail="create_time")
    yield from book(_told(fields, VIDEO), VIDEO, subject, row)


def _read_profile(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    user = values.mapping(data.get("user"))
    account = _account_of(delivery) or values.account_id(user.get("open_id"))
    if isinstance(account, DropReason):
        yield Drop(reason=account, detail="open_id")
        return
    handle, name = (values.text(user.get(key), _LONGEST_TITLE) for key in ("username", "display_name"))
    yield CreatorSeen(external_id=account, handle=handle, name=name)
    subject = SubjectRef(account, SubjectType.PROFILE)
    yield SubjectSeen(subject=subject, title=name or handle, creator=account)
    yield from book(_told(user, USER), USER, subject)


def _account_of(delivery: Delivery) -> str | None:
    account = values.account_id(delivery.request.get("account"))
    return None if isinstance(account, DropReason) else account


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    readers = {"videos": _read_videos, "profile": _read_profile}
    reader = readers.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    body = values.document(delivery.body)
    if fault_of(body) is not None:
        raise BadPayload("the page is an error")
    yield from reader(delivery, values.mapping(body.get("data")))
    for name in filter(None, delivery.request.get("refused", "").split(",")):
        yield Drop(reason=DropReason.NOT_AVAILABLE, detail=name)
