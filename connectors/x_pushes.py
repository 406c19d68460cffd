"""Reads what X pushes, and proves that X has pushed it: activity events one by one, and the older batches.

No push has a number that counts: the totals in it are pushed without the time they stood at. A new post is told with
its facts and asked for; a like, a reply, a quote, a repost or a follower asks for what it moved. Direct messages and
chats are not opened. The older batches name one event in two arrays at times; hints come once per subject.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from connectors import x_values as values
from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    Item,
    RefreshHint,
    Secret,
    SignatureInvalid,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.signatures import active
from connectors.x_account import XOptions
from connectors.x_posts import facts_of, post_of, references_of, types_in

_PREFIX = "sha256="
_LONGEST_KEY = 64


# ------------------------------------------------------------------------------------------------ signature


def crc_answer(token: str, secret: str) -> str:
    """Return the answer to a challenge: the base64 HMAC-SHA256 of the token, keyed by the app's consumer secret."""
    return _PREFIX + _signed(secret, token.encode())


def verify(header: str | None, body: bytes, secrets: Sequence[Secret], now: datetime) -> None:
    """Verify ``sha256=<base64>`` over the raw body. Raises :class:`SignatureInvalid`; no time is signed."""
    offered = _decoded((header or "").removeprefix(_PREFIX)) if (header or "").startswith(_PREFIX) else b""
    expected = [hmac.digest(key.encode(), body, hashlib.sha256) for key in active(secrets, now)]
    # A list, so that every key is compared: the time taken does not tell which one was near.
    if not any([hmac.compare_digest(one, offered) for one in expected]):  # noqa: C419
        raise SignatureInvalid("no signature matches an active key")


def _signed(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()


def _decoded(text: str) -> bytes:
    """Decode the one canonical text of some bytes; empty, which matches nothing, for any other."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


def event_key(body: bytes) -> str | None:
    """Return the id of the one event of a body; None for the older batches, which have none."""
    try:
        found = values.mapping(values.document(body).get("data")).get("event_uuid")
    except BadPayload:
        return None
    fits = isinstance(found, str) and 0 < len(found) <= _LONGEST_KEY and found.isascii() and found.isprintable()
    return f"event:{found}" if fits else None


# ------------------------------------------------------------------------------------------------ reading


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """One activity: its name, whose activity it was subscribed for, what it says and what is described beside it."""

    name: str
    user: str
    payload: Mapping[str, Any]
    includes: Mapping[str, Any]
    received_at: datetime
    options: XOptions


def read_push(delivery: Delivery, options: XOptions) -> Iterator[Item]:
    """Read a pushed body of either generation. Raises :class:`BadPayload` for one that is no object."""
    body = values.document(delivery.body)
    items = _read_event(body, delivery, options) if "data" in body else _read_batch(body, delivery, options)
    hints: dict[SubjectRef, RefreshHint] = {}
    for item in items:
        if isinstance(item, RefreshHint):
            hints.setdefault(item.subject, item)
        else:
            yield item
    yield from hints.values()


def _read_event(body: Mapping[str, Any], delivery: Delivery, options: XOptions) -> Iterator[Item]:
    data = values.mapping(body.get("data"))
    name = values.text(data.get("event_type"), 64) or ""
    user = values.identifier(values.mapping(data.get("filter")), "user_id")
    if isinstance(user, DropReason):
        yield Drop(reason=user, detail="filter.user_id")
        return
    reader = _READERS.get(name)
    if reader is None:
        known = name.partition(".")[0] in _UNREAD
        yield Drop(reason=DropReason.NOT_MAPPED if known else DropReason.UNKNOWN_TYPE, detail=values.shown(name))
        return
    yield from reader(
        _Event(
            name=name,
            user=user,
            payload=values.mapping(data.get("payload")),
            includes=values.mapping(data.get("includes", body.get("includes"))),
            received_at=delivery.received_at,
            options=options,
        )
    )


def _created(event: _Event) -> Iterator[Item]:
    """Read a new post of the account: its facts, and a hint, since the zeros in it are no reading."""
    post = post_of(event.payload)
    if isinstance(post, DropReason):
        yield Drop(reason=post, detail="payload.id")
        return
    author = values.known_id(event.payload, "author_id") or event.user
    if author != event.user or post.references("retweeted") or (_is_reply(event.payload) and not event.options.replies):
        yield Drop(reason=DropReason.NOT_MAPPED, detail=event.name)
        return
    yield facts_of(post, event.received_at, types_in(event.includes), author)
    yield RefreshHint(subject=post.subject, reason=event.name)


def _is_reply(fields: Mapping[str, Any]) -> bool:
    return any(reference.get("type") == "replied_to" for reference in references_of(fields))


def _deleted(event: _Event) -> Iterator[Item]:
    post = values.identifier(event.payload)
    if isinstance(post, DropReason):
        yield Drop(reason=post, detail="payload.id")
    else:
        yield _removal(post, event.payload, event.received_at)


def _removal(post: str, told: Mapping[str, Any], received_at: datetime) -> SubjectSeen:
    at = values.instant(told.get("timestamp_ms"), received_at)
    return SubjectSeen(subject=SubjectRef(post), removed_at=received_at if isinstance(at, DropReason) else at)


def _answered(event: _Event) -> Iterator[Item]:
    """Read a post of somebody else that replies to, quotes or repeats one of the account's: that one has moved."""
    authors = {
        values.known_id(post): values.known_id(post, "author_id")
        for post in map(values.mapping, values.items(event.includes.get("tweets", event.includes.get("posts"))))
    }
    own = values.known_id(event.payload, "author_id") == event.user
    moved: list[Item] = []
    for reference in references_of(event.payload) if not own else ():
        post = values.known_id(reference)
        replied_to = event.payload.get("in_reply_to_user_id") if reference.get("type") == "replied_to" else None
        if post is not None and authors.get(post, replied_to) in {None, event.user}:
            moved.append(RefreshHint(subject=SubjectRef(post), reason=event.name))
    yield from moved or [Drop(reason=DropReason.NOT_MAPPED, detail=event.name)]


def _liked(event: _Event) -> Iterator[Item]:
    post = values.known_id(event.payload, "liked_tweet_id", "liked_post_id")
    author = values.known_id(event.payload, "liked_tweet_author_id", "liked_post_author_id")
    if author != event.user:
        yield Drop(reason=DropReason.NOT_MAPPED, detail=event.name)
    elif post is None:
        yield Drop(reason=DropReason.MISSING_ID, detail="payload.liked_tweet_id")
    else:
        yield RefreshHint(subject=SubjectRef(post), reason=event.name)


def _followed(event: _Event) -> Iterator[Item]:
    target = values.mapping(event.payload.get("target"))
    if values.known_id(values.mapping(target.get("data", target))) == event.user:
        yield _profile_hint(event.user, event.name)
    else:
        yield Drop(reason=DropReason.NOT_MAPPED, detail=event.name)


def _renamed(event: _Event) -> Iterator[Item]:
    after = values.text(event.payload.get("after"), 200)
    if event.name.endswith("handle"):
        yield CreatorSeen(external_id=event.user, handle=after)
    else:
        yield CreatorSeen(external_id=event.user, name=after)


def _revoked(event: _Event) -> Iterator[Item]:
    """Ask for the account: the answer will say whether the token is dead."""
    yield _profile_hint(event.user, event.name)


def _profile_hint(user: str, reason: str) -> RefreshHint:
    return RefreshHint(subject=SubjectRef(user, SubjectType.PROFILE), reason=reason)


_READERS: Mapping[str, Callable[[_Event], Iterator[Item]]] = {
    "post.create": _created,
    "post.delete": _deleted,
    "post.mention.create": _answered,
    "post.reply.create": _answered,
    "post.quote.create": _answered,
    "post.repost.create": _answered,
    "like.create": _liked,
    "follow.follow": _followed,
    "follow.unfollow": _followed,
    "profile.update.screenname": _renamed,
    "profile.update.handle": _renamed,
    "oauth.revoke": _revoked,
}
_UNREAD = frozenset({"profile", "dm", "chat", "mute", "block", "spaces", "broadcast", "news"})


# ------------------------------------------------------------------------------------------------ the older batches


def _read_batch(body: Mapping[str, Any], delivery: Delivery, options: XOptions) -> Iterator[Item]:
    user = values.identifier(body, "for_user_id")
    if "user_event" in body:
        revoked = values.mapping(values.mapping(values.mapping(body["user_event"]).get("revoke")).get("source"))
        source = values.identifier(revoked, "user_id")
        gone = Drop(reason=source, detail="user_event") if isinstance(source, DropReason) else None
        yield gone or _profile_hint(str(source), "user_event.revoke")
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
            known = name.startswith("direct_message") or name.removesuffix("_events") in _UNREAD_ARRAYS
            yield Drop(reason=DropReason.NOT_MAPPED if known else DropReason.UNKNOWN_TYPE, detail=values.shown(name))
            continue
        for entry in values.items(entries):
            row += 1
            found = list(reader(values.mapping(entry), user, received_at, options))
            yield from found or [Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name)]


def _batch_posts(fields: Mapping[str, Any], user: str, received_at: datetime, options: XOptions) -> Iterator[Item]:
    """Read a post of the first generation: the account's own, or one that refers to the account's."""
    post = values.identifier(fields)
    if isinstance(post, DropReason):
        yield Drop(reason=post, detail="tweet_create_events.id")
    elif _owner(fields) == user:
        is_reply = values.known_id(fields, "in_reply_to_status_id") is not None
        if "retweeted_status" not in fields and (options.replies or not is_reply):
            yield _older_facts(post, fields, user, received_at)
            yield RefreshHint(subject=SubjectRef(post), reason="tweet_create_events")
    else:
        referred = [(fields, "in_reply_to_status_id")] if values.known_id(fields, "in_reply_to_user_id") == user else []
        for name in ("quoted_status", "retweeted_status"):
            status = values.mapping(fields.get(name))
            referred += [(status, "id")] if _owner(status) == user else []
        found = (values.known_id(status, name) for status, name in referred)
        yield from (RefreshHint(subject=SubjectRef(one), reason="tweet_create_events") for one in found if one)


def _owner(status: Mapping[str, Any]) -> str | None:
    return values.known_id(values.mapping(status.get("user")))


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
    post = values.known_id(status)
    if post is not None and _owner(status) == user:
        yield RefreshHint(subject=SubjectRef(post), reason="favorite_events")


def _batch_follows(fields: Mapping[str, Any], user: str, _received: datetime, _options: XOptions) -> Iterator[Item]:
    # An unfollow comes in the same array.
    if values.known_id(values.mapping(fields.get("target"))) == user:
        yield _profile_hint(user, "follow_events")


def _batch_deletes(fields: Mapping[str, Any], user: str, received_at: datetime, _options: XOptions) -> Iterator[Item]:
    status = values.mapping(fields.get("status"))
    post = values.known_id(status)
    if post is not None and values.known_id(status, "user_id") in {None, user}:
        yield _removal(post, fields, received_at)


_ARRAYS: Mapping[str, Callable[[Mapping[str, Any], str, datetime, XOptions], Iterator[Item]]] = {
    "tweet_create_events": _batch_posts,
    "favorite_events": _batch_likes,
    "follow_events": _batch_follows,
    "unfollow_events": _batch_follows,
    "tweet_delete_events": _batch_deletes,
}
_UNREAD_ARRAYS = frozenset({"block", "mute"})
