"""Reads the older batches that X pushes (account activity): arrays of posts of the first generation and of deletions,
likes and followers.

They say no number with the time it stood at: what they name is asked for. One event may stand in two arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors import values, x_values
from connectors.contract import Delivery, Drop, DropReason, Item, RefreshHint, SubjectRef, SubjectSeen, SubjectType
from connectors.x_account import XOptions
from connectors.x_posts import facts_of, post_of

_UNREAD = frozenset({"block", "mute"})
Reader = Callable[[Mapping[str, Any], str, datetime, XOptions], Iterator[Item]]


def profile_hint(user: str, reason: str) -> RefreshHint:
    """Return the hint that the followers of an account, or its token, have changed."""
    return RefreshHint(subject=SubjectRef(user, SubjectType.PROFILE), reason=reason)


def removal(post: str, told: Mapping[str, Any], received_at: datetime) -> SubjectSeen:
    """Return the fact that a post is gone, since when it is said or since now."""
    at = x_values.instant(told.get("timestamp_ms"), received_at)
    return SubjectSeen(subject=SubjectRef(post), removed_at=received_at if isinstance(at, DropReason) else at)


def read_batch(body: Mapping[str, Any], delivery: Delivery, options: XOptions) -> Iterator[Item]:
    """Read a batch of one account."""
    user = x_values.identifier(body, "for_user_id")
    if "user_event" in body:
        revoked = values.mapping(values.mapping(values.mapping(body["user_event"]).get("revoke")).get("source"))
        source = x_values.identifier(revoked, "user_id")
        gone = Drop(reason=source, detail="user_event") if isinstance(source, DropReason) else None
        yield gone or profile_hint(str(source), "user_event.revoke")
    elif isinstance(user, DropReason):
        yield Drop(reason=user, detail="for_user_id")
    else:
        yield from _read_arrays(body, user, delivery.received_at, options)


def _read_arrays(body: Mapping[str, Any], user: str, received_at: datetime, options: XOptions) -> Iterator[Item]:
    row = 0
    for name, entries in body.items():
        reader = _ARRAYS.get(name)
        if not name.endswith("_events"):
            continue
        if reader is None:
            known = name.startswith("direct_message") or name.removesuffix("_events") in _UNREAD
            yield Drop(reason=DropReason.NOT_MAPPED if known else DropReason.UNKNOWN_TYPE, detail=values.shown(name))
            continue
        for entry in values.items(entries):
            row += 1
            found = list(reader(values.mapping(entry), user, received_at, options))
            yield from found or [Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name)]


def _batch_posts(fields: Mapping[str, Any], user: str, received_at: datetime, options: XOptions) -> Iterator[Item]:
    """Read a post of the first generation: the account's own, or one that refers to the account's."""
    post = x_values.identifier(fields)
    if isinstance(post, DropReason):
        yield Drop(reason=post, detail="tweet_create_events.id")
    elif _owner(fields) == user:
        is_reply = x_values.known_id(fields, "in_reply_to_status_id") is not None
        if "retweeted_status" not in fields and (options.replies or not is_reply):
            yield _older_facts(post, fields, user, received_at)
            yield RefreshHint(subject=SubjectRef(post), reason="tweet_create_events")
    else:
        answers = x_values.known_id(fields, "in_reply_to_user_id") == user
        referred = [(fields, "in_reply_to_status_id")] if answers else []
        for name in ("quoted_status", "retweeted_status"):
            status = values.mapping(fields.get(name))
            referred += [(status, "id")] if _owner(status) == user else []
        found = (x_values.known_id(status, name) for status, name in referred)
        yield from (RefreshHint(subject=SubjectRef(one), reason="tweet_create_events") for one in found if one)


def _owner(status: Mapping[str, Any]) -> str | None:
    return x_values.known_id(values.mapping(status.get("user")))


def _older_facts(post: str, fields: Mapping[str, Any], user: str, received_at: datetime) -> SubjectSeen:
    """Return the facts of a post of the first generation in the words of the second."""
    longer = values.mapping(fields.get("extended_tweet"))
    said = longer.get("full_text", fields.get("full_text", fields.get("text")))
    newer = {
        "id": post,
        "text": said,
        "created_at": fields.get("created_at"),
        "entities": longer.get("entities", fields.get("entities")),
    }
    found = post_of(newer)
    if isinstance(found, DropReason):
        return SubjectSeen(subject=SubjectRef(post), creator=user)
    # Media are described in another way here, and the fetch that follows says what they are.
    return msgspec.structs.replace(facts_of(found, received_at, {}, user), content_type=None)


def _batch_likes(fields: Mapping[str, Any], user: str, _received: datetime, _options: XOptions) -> Iterator[Item]:
    status = values.mapping(fields.get("favorited_status"))
    post = x_values.known_id(status)
    if post is not None and _owner(status) == user:
        yield RefreshHint(subject=SubjectRef(post), reason="favorite_events")


def _batch_follows(fields: Mapping[str, Any], user: str, _received: datetime, _options: XOptions) -> Iterator[Item]:
    # An unfollow comes in the same array.
    if x_values.known_id(values.mapping(fields.get("target"))) == user:
        yield profile_hint(user, "follow_events")


def _batch_deletes(fields: Mapping[str, Any], user: str, received_at: datetime, _options: XOptions) -> Iterator[Item]:
    status = values.mapping(fields.get("status"))
    post = x_values.known_id(status)
    if post is not None and x_values.known_id(status, "user_id") in {None, user}:
        yield removal(post, fields, received_at)


_ARRAYS: Mapping[str, Reader] = {
    "tweet_create_events": _batch_posts,
    "favorite_events": _batch_likes,
    "follow_events": _batch_follows,
    "unfollow_events": _batch_follows,
    "tweet_delete_events": _batch_deletes,
}
