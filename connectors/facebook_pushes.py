"""Reads what Facebook pushes about a page: which posts have changed, and which are gone. Never a number.

A like may come as ``like`` and as ``reaction`` and a burst of comments as many changes: each post is one hint. The
shapes of entries are Meta's: see ``connectors.graph_pushes``, which verifies requests too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors import graph_pushes as pushes
from connectors import graph_values, values
from connectors.contract import Delivery, Drop, DropReason, Item, RefreshHint, SubjectRef, SubjectSeen
from connectors.graph_pushes import Sender
from connectors.webhooks import hints_once

_POSTS = frozenset({"album", "event", "link", "note", "photo", "post", "reel", "share", "status", "video"})
_ABOUT_POSTS = frozenset({"comment", "like", "reaction"})
_UNREAD = frozenset(
    {
        "conversations",
        "live_videos",
        "mention",
        "message_reactions",
        "messages",
        "messaging_postbacks",
        "name",
        "picture",
        "ratings",
        "standby",
        "videos",
    }
)


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read a webhook. Raises :class:`~connectors.contract.BadPayload` for a body that is none."""
    yield from hints_once(pushes.read_changes(delivery, "page", _read_change))


def _read_change(change: Mapping[str, Any], sender: Sender) -> Iterator[Item]:
    field = values.text(change.get("field"), 128) or ""
    if field == "feed":
        yield _read_feed(values.mapping(change.get("value")), sender)
    else:
        yield pushes.unknown_field(field, sender, _UNREAD)


def _read_feed(value: Mapping[str, Any], sender: Sender) -> Item:
    item, verb = values.text(value.get("item"), 64) or "", values.text(value.get("verb"), 64) or ""
    post = graph_values.identifier(value.get("post_id"))
    reason = _unread(value, item, sender) or (post if isinstance(post, DropReason) else None)
    if reason is not None or isinstance(post, DropReason):
        return Drop(reason=reason or DropReason.MALFORMED, row=sender.row, detail=values.shown(item))
    subject, sent_at = SubjectRef(post), sender.sent_at
    if verb == "remove" and item in _POSTS and isinstance(sent_at, datetime):
        return SubjectSeen(subject=subject, observed_at=sent_at, removed_at=sent_at)
    return RefreshHint(subject=subject, reason=f"{item} {values.shown(verb)}" if verb else item)


def _unread(value: Mapping[str, Any], item: str, sender: Sender) -> DropReason | None:
    """Return why a change is not about the numbers of a post of the page, or None where it is."""
    if item not in _POSTS | _ABOUT_POSTS:
        return DropReason.UNKNOWN_TYPE
    if item == "like" and "post_id" not in value:
        return DropReason.NOT_MAPPED  # of the page itself: its days count who follows
    author = values.mapping(value.get("from")).get("id", value.get("sender_id"))
    written_by_visitor = item in _POSTS and author is not None and author != sender.account
    is_draft = value.get("published") == 0  # an ad that stands in no timeline, or what is still to come
    return DropReason.NOT_MAPPED if written_by_visitor or is_draft else None
