"""Reads what Instagram pushes: the totals of stories that ran out, and hints that a media has changed.

Three shapes of entries are in use (``changes``, one flat change, ``messaging``) and all are read; messages are not
opened. Verifying a request is not done here: see ``connectors.instagram``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors import graph_values as values
from connectors import instagram_metrics as metrics
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    RefreshHint,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.instagram_reading import book, subject_type

_HINTS = frozenset({"comments", "live_comments"})
# A mention stands on the media of someone else, which this account may not read and whose numbers are not its own.
_UNREAD = frozenset({"mentions", "messages", "messaging_postbacks", "messaging_seen", "message_reactions", "standby"})
_TEST_ACCOUNT = "0"  # what the dashboard's test button sends


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read a webhook: an object, or an array of objects as in Meta's samples. Hints come once per media.

    Raises :class:`BadPayload` for a body that is neither.
    """
    sent = values.decode(delivery.body)
    bodies = sent if isinstance(sent, list) else [sent]
    if not isinstance(sent, list | dict):
        raise BadPayload("the body is neither an object nor an array of objects")
    hints: dict[str, RefreshHint] = {}
    row = 0
    for body in map(values.mapping, bodies):
        if body.get("object") != "instagram" or not isinstance(body.get("entry"), list):
            yield Drop(reason=DropReason.UNKNOWN_TYPE, detail="object")
            continue
        for entry in body["entry"]:
            row += 1
            for item in _read_entry(entry, row, delivery.received_at):
                if isinstance(item, RefreshHint):
                    hints.setdefault(item.subject.external_id, item)
                else:
                    yield item
    yield from hints.values()


def _read_entry(entry: Any, row: int, received_at: datetime) -> Iterator[Item]:
    fields = values.mapping(entry)
    account = values.identifier(fields.get("id")) if isinstance(entry, dict) else DropReason.MALFORMED
    if isinstance(account, DropReason) or account == _TEST_ACCOUNT:
        reason = account if isinstance(account, DropReason) else DropReason.TEST_EVENT
        yield Drop(reason=reason, row=row, detail="id")
        return
    unread = [name for name in ("messaging", "standby", "changed_fields") if name in fields]
    yield from (Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name) for name in unread)
    # Flat entries of the Instagram login hold one change in themselves.
    changes = [*values.items(fields.get("changes")), *([fields] if "field" in fields else [])]
    if not changes and not unread:
        yield Drop(reason=DropReason.MALFORMED, row=row, detail="changes")
    sent_at = values.instant(fields.get("time"), received_at)
    for change in map(values.mapping, changes):
        yield from _read_change(change, account, sent_at, row)


def _read_change(change: Mapping[str, Any], account: str, sent_at: datetime | DropReason, row: int) -> Iterator[Item]:
    field = values.text(change.get("field"), 128) or ""
    value = values.mapping(change.get("value"))
    if field == "story_insights":
        yield from _read_story(value, account, sent_at, row)
    elif field in _HINTS:
        yield _hint(value, field, row)
    else:
        reason = DropReason.NOT_MAPPED if field in _UNREAD else DropReason.UNKNOWN_TYPE
        yield Drop(reason=reason, row=row, detail=values.shown(field))


def _hint(value: Mapping[str, Any], field: str, row: int) -> Item:
    within = values.mapping(value.get("media"))
    media = values.identifier(within.get("id", value.get("media_id")))
    if isinstance(media, DropReason):
        return Drop(reason=media, row=row, detail=field)
    product = values.text(within.get("media_product_type"), 64) or ""
    return RefreshHint(subject=SubjectRef(media, subject_type(product)), reason=field)


def _read_story(value: Mapping[str, Any], account: str, sent_at: datetime | DropReason, row: int) -> Iterator[Item]:
    """Read the last totals of a story, pushed about an hour after it ran out."""
    media = values.identifier(value.get("media_id"))
    if isinstance(media, DropReason):
        yield Drop(reason=media, row=row, detail="media_id")
        return
    subject = SubjectRef(media, SubjectType.STORY)
    if sent_at is DropReason.MISSING_TIME:
        yield RefreshHint(subject=subject, reason="story_insights")
    elif isinstance(sent_at, DropReason):
        yield Drop(reason=sent_at, row=row, detail="time")
    else:
        yield SubjectSeen(subject=subject, observed_at=sent_at, content_type="story", creator=account)
        # The newer name first: should both come, it is the one that fills both keys.
        names = sorted((name for name in value if name != "media_id"), key=lambda name: name != "views")
        readings = [(name, value[name]) for name in names]
        yield from book(readings, metrics.STORY_PUSH, subject, row, observed_at=sent_at, paid=False)
