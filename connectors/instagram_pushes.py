"""Reads what Instagram pushes: the totals of stories that ran out, and hints that a media has changed.

The shapes of entries are Meta's: see ``connectors.graph_pushes``, which verifies requests too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors import graph_pushes as pushes
from connectors import graph_values, values
from connectors import instagram_metrics as metrics
from connectors.contract import Delivery, Drop, DropReason, Item, RefreshHint, SubjectRef, SubjectSeen, SubjectType
from connectors.graph_pushes import Sender
from connectors.graph_rules import book
from connectors.instagram_reading import subject_type
from connectors.webhooks import hints_once

_HINTS = frozenset({"comments", "live_comments"})
# A mention stands on the media of someone else, which this account may not read and whose numbers are not its own.
_UNREAD = frozenset({"mentions", "messages", "messaging_postbacks", "messaging_seen", "message_reactions", "standby"})


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read a webhook. Raises :class:`~connectors.contract.BadPayload` for a body that is none."""
    yield from hints_once(pushes.read_changes(delivery, "instagram", _read_change))


def _read_change(change: Mapping[str, Any], sender: Sender) -> Iterator[Item]:
    field = values.text(change.get("field"), 128) or ""
    value = values.mapping(change.get("value"))
    if field == "story_insights":
        yield from _read_story(value, sender)
    elif field in _HINTS:
        yield _hint(value, field, sender.row)
    else:
        yield pushes.unknown_field(field, sender, _UNREAD)


def _hint(value: Mapping[str, Any], field: str, row: int) -> Item:
    within = values.mapping(value.get("media"))
    media = graph_values.identifier(within.get("id", value.get("media_id")))
    if isinstance(media, DropReason):
        return Drop(reason=media, row=row, detail=field)
    product = values.text(within.get("media_product_type"), 64) or ""
    return RefreshHint(subject=SubjectRef(media, subject_type(product)), reason=field)


def _read_story(value: Mapping[str, Any], sender: Sender) -> Iterator[Item]:
    """Read the last totals of a story, pushed about an hour after it ran out."""
    media = graph_values.identifier(value.get("media_id"))
    if isinstance(media, DropReason):
        yield Drop(reason=media, row=sender.row, detail="media_id")
        return
    subject, sent_at = SubjectRef(media, SubjectType.STORY), sender.sent_at
    if sent_at is DropReason.MISSING_TIME:
        yield RefreshHint(subject=subject, reason="story_insights")
    elif isinstance(sent_at, DropReason):
        yield Drop(reason=sent_at, row=sender.row, detail="time")
    else:
        yield SubjectSeen(subject=subject, observed_at=sent_at, content_type="story", creator=sender.account)
        # The newer name first: should both come, it is the one that fills both keys.
        names = sorted((name for name in value if name != "media_id"), key=lambda name: name != "views")
        readings = [(name, value[name]) for name in names]
        yield from book(readings, metrics.STORY_PUSH, subject, sender.row, observed_at=sent_at, paid=False)
