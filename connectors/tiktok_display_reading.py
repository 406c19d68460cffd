"""Reads the pages of the Display API: pure, total, one bad entry never the loss of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors import pages, rules, tiktok_values, values
from connectors.contract import BadPayload, Delivery, Drop, DropReason, Item, Kind, SubjectRef, SubjectType
from connectors.pages import Entry
from connectors.rules import Answers, Rule, Rules, checked, left_out
from connectors.tiktok_display_calls import fault_of
from connectors.tiktok_reading import LONGEST_CAPTION, LONGEST_TITLE, book, read_profile, read_videos, seen

VIDEO: Rules = {
    "view_count": Rule(keys=("views",), note="absent or 0 of photo posts"),
    "like_count": Rule(keys=("likes",)),
    "comment_count": Rule(keys=("comments",)),
    "share_count": Rule(keys=("shares",)),
}
USER: Rules = {
    "follower_count": Rule(keys=("followers",), kind=Kind.LEVEL),
    "likes_count": checked("likes", scope="account", note="of all videos together"),
    "following_count": left_out("whom the account follows"),
    "video_count": left_out("no measure of a campaign"),
}
ANSWERS: Answers = (("videos", VIDEO, (SubjectType.VIDEO,)), ("profile", USER, (SubjectType.PROFILE,)))


def _read_videos(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    yield from read_videos(delivery, pages.list_in(data, "videos"), "id", _read_video, whole=True)


def _read_video(video: Entry, delivery: Delivery) -> Iterator[Item]:
    caption = values.text(video.fields.get("video_description"), LONGEST_CAPTION)
    title = values.text(video.fields.get("title"), LONGEST_TITLE) or (caption or "")[:LONGEST_TITLE]
    account = values.known(tiktok_values.account_id(delivery.request.get("account")))
    yield from seen(video, delivery, SubjectType.VIDEO, caption, title=title or None, creator=account)
    yield from book(rules.told(video.fields, VIDEO), VIDEO, SubjectRef(video.id, SubjectType.VIDEO), video.row)


def _read_profile(delivery: Delivery, data: Mapping[str, Any]) -> Iterator[Item]:
    user = values.mapping(data.get("user"))
    known = values.known(tiktok_values.account_id(delivery.request.get("account")))
    account = known or tiktok_values.account_id(user.get("open_id"))
    if isinstance(account, DropReason):
        yield Drop(reason=account, detail="open_id")
    else:
        yield from read_profile(account, user, USER)


_READERS: Mapping[str, Callable[[Delivery, Mapping[str, Any]], Iterator[Item]]] = {
    "videos": _read_videos,
    "profile": _read_profile,
}


def read_page(delivery: Delivery) -> Iterator[Item]:
    """Read a fetched page into items. Raises :class:`BadPayload` for a body or a request that cannot be read."""
    reader = pages.reader_of(delivery, _READERS)
    body = values.document(delivery.body)
    if fault_of(body) is not None:
        raise BadPayload("the page is an error")
    yield from reader(delivery, values.mapping(body.get("data")))
    yield from pages.refused(delivery)
