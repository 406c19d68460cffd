"""Reads what Threads pushes: posts that are new, changed or gone. Never a number.

Its envelope is flat, one change for each body; ``values`` is an object in the documentation and an array in what has
been seen. Requests are verified as all of Meta's: see ``connectors.graph_pushes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors import graph_pushes as pushes
from connectors import graph_values, values
from connectors.contract import Delivery, Drop, DropReason, Item, RefreshHint, SubjectRef, SubjectSeen
from connectors.graph_pushes import Sender
from connectors.threads_reading import seen
from connectors.webhooks import hints_once

_TEST_TARGET = "0"
# A mention stands in a post of somebody else, whose numbers are not this account's.
_UNREAD = frozenset({"mentions"})


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read a webhook. Raises :class:`~connectors.contract.BadPayload` for a body that is none."""
    yield from hints_once(_read_bodies(delivery))


def _read_bodies(delivery: Delivery) -> Iterator[Item]:
    row = 0
    for body in pushes.bodies_of(delivery):
        sent_at = graph_values.instant(body.get("time"), delivery.received_at)
        told = body.get("values")
        changes = told if isinstance(told, list) else [told]
        if not changes or told is None:
            yield Drop(reason=DropReason.UNKNOWN_TYPE, detail="values")
        for change in changes if told is not None else ():
            row += 1
            target = graph_values.identifier(body.get("target_id"))
            sender = Sender(row=row, account="" if isinstance(target, DropReason) else target, sent_at=sent_at)
            yield from _read_change(values.mapping(change), sender, delivery)


def _read_change(change: Mapping[str, Any], sender: Sender, delivery: Delivery) -> Iterator[Item]:
    field, value = values.text(change.get("field"), 128) or "", values.mapping(change.get("value"))
    if sender.account == _TEST_TARGET:
        yield Drop(reason=DropReason.TEST_EVENT, row=sender.row, detail="target_id")
    elif field == "replies":
        yield from _read_reply(value, sender)
    elif field == "publish":
        yield from _read_published(value, sender, delivery)
    elif field == "delete":
        yield _read_deleted(value, sender, delivery)
    else:
        yield pushes.unknown_field(field, sender, _UNREAD)


def _read_reply(value: Mapping[str, Any], sender: Sender) -> Iterator[Item]:
    """Ask for the posts that a reply counts on: the first of the conversation, and the one it answers."""
    named = [graph_values.identifier(values.mapping(value.get(name)).get("id")) for name in ("root_post", "replied_to")]
    posts = [post for post in named if not isinstance(post, DropReason)] or [sender.account]
    for post in filter(None, posts):
        yield RefreshHint(subject=SubjectRef(post), reason="replies")
    if not any(posts):
        yield Drop(reason=DropReason.MISSING_ID, row=sender.row, detail="replies")


def _read_published(value: Mapping[str, Any], sender: Sender, delivery: Delivery) -> Iterator[Item]:
    post = graph_values.identifier(value.get("id"))
    if isinstance(post, DropReason):
        yield Drop(reason=post, row=sender.row, detail="publish")
        return
    published = values.known(graph_values.instant(value.get("timestamp"), delivery.received_at))
    if isinstance(sender.sent_at, datetime):
        yield seen(value, post, observed_at=sender.sent_at, published_at=published)
    yield RefreshHint(subject=SubjectRef(post), reason="publish")


def _read_deleted(value: Mapping[str, Any], sender: Sender, delivery: Delivery) -> Item:
    post = graph_values.identifier(value.get("id", sender.account))
    if isinstance(post, DropReason):
        return Drop(reason=post, row=sender.row, detail="delete")
    sent_at = values.known(sender.sent_at)
    gone_at = values.known(graph_values.instant(value.get("deleted_at"), delivery.received_at)) or sent_at
    if gone_at is None:
        return RefreshHint(subject=SubjectRef(post), reason="delete")
    return SubjectSeen(subject=SubjectRef(post), observed_at=sent_at or gone_at, removed_at=gone_at)
