"""Reads what LinkedIn pushes, proves that LinkedIn has pushed it, and answers its challenges.

A notification has no number: it names what has happened on a post, and that post is asked for. Comments and names of
people in it are not read. The post stands in it twice: ``sourcePost`` is the URN of an activity, which no other answer
knows; the decorated entity is the post's own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors import linkedin_values, pages, values
from connectors.contract import (
    Delivery,
    Drop,
    DropReason,
    Item,
    RefreshHint,
    Secret,
    SubjectRef,
    fingerprint,
)
from connectors.signatures import hub_sha256
from connectors.webhooks import hints_once

_SIGNED_PREFIX = b"hmacsha256="  # part of what is signed
_CHALLENGE = re.compile(r"[A-Za-z0-9-]{1,128}")
EVENT = "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"
_MOVES = frozenset({"LIKE", "COMMENT", "COMMENT_EDIT", "COMMENT_DELETE", "SHARE", "ADMIN_COMMENT"})
_ELSEWHERE = frozenset({"SHARE_MENTION"})  # the post of somebody else, whose numbers are not the organisation's


# ------------------------------------------------------------------------------------------------ signature


def is_challenge(text: str) -> bool:
    """Whether a text may be a challenge: what else somebody sends is not signed."""
    return _CHALLENGE.fullmatch(text) is not None


def challenge_response(challenge: str, secret: str) -> str:
    """Return the answer to a challenge: the hex HMAC-SHA256 of it, keyed by the client secret."""
    return hmac.digest(secret.encode(), challenge.encode(), hashlib.sha256).hex()


def verify(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify the hex HMAC-SHA256 over a prefix and the raw body. Raises :class:`~connectors.contract.SignatureInvalid`.

    The prefix is part of what is signed, and some senders repeat it before the header's value. No time is signed.
    """
    offered = (header or "").removeprefix("hmacsha256=")
    # One signature has one text: in lower case.
    hub_sha256(f"sha256={offered}" if offered == offered.lower() else None, _SIGNED_PREFIX + body, secrets, now)


def delivery_key(body: bytes) -> str:
    """Return the key of a delivery: the ids of its notifications, or a digest where not each has one.

    A notification comes again for hours until it is taken, in the same company or in another.
    """
    notifications = values.items(values.readable(body).get("notifications"))
    ids = [values.mapping(one).get("notificationId") for one in notifications]
    if not ids or not all(type(one) is int for one in ids):
        return fingerprint(body)
    return fingerprint("notifications", *sorted({str(one) for one in ids}))


# ------------------------------------------------------------------------------------------------ reading


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read a batch of notifications. Raises :class:`~connectors.contract.BadPayload` for what is no batch."""
    body = values.document(delivery.body)
    if body.get("type") != EVENT:
        yield Drop(reason=DropReason.UNKNOWN_TYPE, detail=values.shown(body.get("type")))
        return
    notifications = map(values.mapping, pages.list_in(body, "notifications", "body"))
    yield from hints_once(_read_one(one, row) for row, one in enumerate(notifications, start=1))


def _read_one(notification: Mapping[str, Any], row: int) -> Item:
    action = values.text(notification.get("action"), 64) or ""
    if action not in _MOVES:
        reason = DropReason.NOT_MAPPED if action in _ELSEWHERE else DropReason.UNKNOWN_TYPE
        return Drop(reason=reason, row=row, detail=values.shown(action))
    post = values.mapping(notification.get("decoratedSourcePost"))
    named = linkedin_values.post_urn(post.get("entity"))
    if isinstance(named, DropReason):
        # Without decoration the source is an activity as a rule, and sometimes the post itself.
        source = linkedin_values.post_urn(notification.get("sourcePost"))
        if isinstance(source, DropReason):
            return Drop(reason=DropReason.MISSING_ID, row=row, detail="decoratedSourcePost.entity")
        named = source
    owner = post.get("owner", notification.get("organizationalEntity"))
    if owner != notification.get("organizationalEntity"):
        return Drop(reason=DropReason.NOT_MAPPED, row=row, detail="decoratedSourcePost.owner")
    return RefreshHint(subject=SubjectRef(named), reason=action)
