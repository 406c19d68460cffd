"""Reads what X pushes: activity events, one in a body, and by ``connectors.x_batches`` the older batches.

No push has a number that counts: the totals in it are pushed without the time they stood at. A new post is told with
its facts and asked for; a like, a reply, a quote, a repost or a follower asks for what it moved. Direct messages and
chats are not opened. Hints come once per subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors import values, x_values
from connectors.contract import CreatorSeen, Delivery, Drop, DropReason, Item, RefreshHint, SubjectRef
from connectors.webhooks import hints_once
from connectors.x_account import XOptions
from connectors.x_batches import profile_hint, read_batch, removal
from connectors.x_posts import facts_of, post_of, references_of, types_in


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """One activity: its name, whose activity it was subscribed for, what it says and what is described beside it."""

    name: str
    user: str
    payload: Mapping[str, Any]
    includes: Mapping[str, Any]
    received_at: datetime
    options: XOptions


def read_push(delivery: Delivery, options: XOptions) -> Iterator[Item]:
    """Read a pushed body of either generation. Raises :class:`~connectors.contract.BadPayload`."""
    body = values.document(delivery.body)
    items = _read_event(body, delivery, options) if "data" in body else read_batch(body, delivery, options)
    yield from hints_once(items)


def _read_event(body: Mapping[str, Any], delivery: Delivery, options: XOptions) -> Iterator[Item]:
    data = values.mapping(body.get("data"))
    name = values.text(data.get("event_type"), 64) or ""
    user = x_values.identifier(values.mapping(data.get("filter")), "user_id")
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
    author = x_values.known_id(event.payload, "author_id") or event.user
    if author != event.user or post.references("retweeted") or (_is_reply(event.payload) and not event.options.replies):
        yield Drop(reason=DropReason.NOT_MAPPED, detail=event.name)
        return
    yield facts_of(post, event.received_at, types_in(event.includes), author)
    yield RefreshHint(subject=post.subject, reason=event.name)


def _is_reply(fields: Mapping[str, Any]) -> bool:
    return any(reference.get("type") == "replied_to" for reference in references_of(fields))


def _deleted(event: _Event) -> Iterator[Item]:
    post = x_values.identifier(event.payload)
    if isinstance(post, DropReason):
        yield Drop(reason=post, detail="payload.id")
    else:
        yield removal(post, event.payload, event.received_at)


def _answered(event: _Event) -> Iterator[Item]:
    """Read a post of somebody else that replies to, quotes or repeats one of the account's: that one has moved."""
    authors = {
        x_values.known_id(post): x_values.known_id(post, "author_id")
        for post in map(values.mapping, values.items(event.includes.get("tweets", event.includes.get("posts"))))
    }
    own = x_values.known_id(event.payload, "author_id") == event.user
    moved: list[Item] = []
    for reference in references_of(event.payload) if not own else ():
        post = x_values.known_id(reference)
        replied_to = event.payload.get("in_reply_to_user_id") if reference.get("type") == "replied_to" else None
        if post is not None and authors.get(post, replied_to) in {None, event.user}:
            moved.append(RefreshHint(subject=SubjectRef(post), reason=event.name))
    yield from moved or [Drop(reason=DropReason.NOT_MAPPED, detail=event.name)]


def _liked(event: _Event) -> Iterator[Item]:
    post = x_values.known_id(event.payload, "liked_tweet_id", "liked_post_id")
    author = x_values.known_id(event.payload, "liked_tweet_author_id", "liked_post_author_id")
    if author != event.user:
        yield Drop(reason=DropReason.NOT_MAPPED, detail=event.name)
    elif post is None:
        yield Drop(reason=DropReason.MISSING_ID, detail="payload.liked_tweet_id")
    else:
        yield RefreshHint(subject=SubjectRef(post), reason=event.name)


def _followed(event: _Event) -> Iterator[Item]:
    target = values.mapping(event.payload.get("target"))
    if x_values.known_id(values.mapping(target.get("data", target))) == event.user:
        yield profile_hint(event.user, event.name)
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
    yield profile_hint(event.user, event.name)


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
