"""TikTok's webhooks: their signature, their key, and events that say which video to look at.

No number is in them. The content of an event is JSON inside a text, and its ids are numbers of nineteen digits, so
they are read exactly. A publish id is no id of a post and leads nowhere here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors import tiktok_values, values
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    RefreshHint,
    Secret,
    SubjectRef,
    SubjectType,
    fingerprint,
)
from connectors.signatures import timed_hex

_KEYED = ("event", "user_openid", "create_time", "content")
_POST_NAMES = ("video_id", "post_id", "item_id")
_HINTS = frozenset({"comment.update", "video.publish.completed"})
_HINTING = ("post.publish.",)
_UNREAD = frozenset({"authorization.removed", "video.upload.failed"})
_UNREAD_FAMILIES = ("portability.",)
_TEST = "tiktok.ping"


# ------------------------------------------------------------------------------------------------ signatures


def verify(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify ``t=<seconds>,s=<hex>`` over ``<seconds>.<body>``, keyed by the text of the app's secret.

    Raises :class:`~connectors.contract.SignatureInvalid`, for a time more than five minutes from now too.
    """
    timed_hex(header, body, secrets, now, version="s")


def key_of(body: bytes) -> str:
    """Return what is the same in every repetition of an event, for events have no id; else a digest of the body."""
    try:
        event = values.document(body)
    except BadPayload:
        return fingerprint(body)
    parts = [event.get(name) for name in _KEYED]
    if not all(type(part) in {str, int} for part in parts):
        return fingerprint(body)
    return fingerprint(*(str(part).encode(errors="replace") for part in parts))


# ------------------------------------------------------------------------------------------------ events


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read one event. Raises :class:`BadPayload` for a body that is none."""
    event = values.document(delivery.body)
    name = values.text(event.get("event"), 64)
    if name is None:
        raise BadPayload("the body names no event")
    if name == _TEST:
        yield Drop(reason=DropReason.TEST_EVENT, detail=name)
    elif name in _UNREAD or name.startswith(_UNREAD_FAMILIES):
        yield Drop(reason=DropReason.NOT_MAPPED, detail=values.shown(name))
    elif name in _HINTS or name.startswith(_HINTING):
        yield _hint(name, event)
    else:
        yield Drop(reason=DropReason.UNKNOWN_TYPE, detail=values.shown(name))


def _hint(name: str, event: Mapping[str, Any]) -> Item:
    content = _content(event.get("content"))
    if content is None:
        return Drop(reason=DropReason.MALFORMED, detail="content")
    told = next((content[key] for key in _POST_NAMES if content.get(key) is not None), None)
    video = tiktok_values.post_id(told)
    if isinstance(video, DropReason):
        return Drop(reason=video, detail=values.shown(name))
    return RefreshHint(subject=SubjectRef(video, SubjectType.VIDEO), reason=values.shown(name))


def _content(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    try:
        return values.document(value) if isinstance(value, str) else None
    except BadPayload:
        return None
