"""Webhooks of Meta's platforms: who sent them, and what bodies look like.

Requests are signed with the secret of the app over the raw bytes and carry no delivery id, so the key is a digest of
the body, which holds the send time: two deliveries merge only when every byte is equal, and then they say the same.
Bodies come as an object, or as an array of objects as in Meta's samples. Which fields mean what is the platform's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors import graph_values, values
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    Source,
    Verified,
    WebhookRequest,
    fingerprint,
)
from connectors.signatures import hub_sha256
from connectors.webhooks import ring

_TEST_ACCOUNT = "0"  # what the dashboard's test button sends
_OTHER_SHAPES = ("messaging", "standby", "changed_fields")


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The entry that a change stands in: its row, the account it is about and when it was sent."""

    row: int
    account: str
    sent_at: datetime | DropReason


ReadChange = Callable[[Mapping[str, Any], Sender], Iterable[Item]]


def verify(request: WebhookRequest, source: Source, now: datetime) -> Verified:
    """Check the signature over the raw bytes. Raises :class:`~connectors.contract.SignatureInvalid`."""
    hub_sha256(request.headers.get("x-hub-signature-256"), request.body, ring(source), now)
    return Verified(key=fingerprint(request.body))


def bodies_of(delivery: Delivery) -> list[dict[str, Any]]:
    """Return the objects of a body. Raises :class:`BadPayload` for one that is neither object nor array."""
    sent = values.decode(delivery.body)
    if not isinstance(sent, list | dict):
        raise BadPayload("the body is neither an object nor an array of objects")
    return [values.mapping(body) for body in (sent if isinstance(sent, list) else [sent])]


def read_changes(delivery: Delivery, about: str, read_change: ReadChange) -> Iterator[Item]:
    """Read the entries of bodies whose ``object`` is ``about``. Raises :class:`BadPayload`.

    Three shapes of entries are in use (``changes``, one flat change, ``messaging``) and all are read; messages are not
    opened, and names of fields without values (``changed_fields``) say nothing that could be fetched.
    """
    row = 0
    for body in bodies_of(delivery):
        if body.get("object") != about or not isinstance(body.get("entry"), list):
            yield Drop(reason=DropReason.UNKNOWN_TYPE, detail="object")
            continue
        for entry in body["entry"]:
            row += 1
            yield from _read_entry(entry, row, delivery.received_at, read_change)


def _read_entry(entry: Any, row: int, received_at: datetime, read_change: ReadChange) -> Iterator[Item]:
    fields = values.mapping(entry)
    account = graph_values.identifier(fields.get("id")) if isinstance(entry, dict) else DropReason.MALFORMED
    if isinstance(account, DropReason) or account == _TEST_ACCOUNT:
        reason = account if isinstance(account, DropReason) else DropReason.TEST_EVENT
        yield Drop(reason=reason, row=row, detail="id")
        return
    unread = [name for name in _OTHER_SHAPES if name in fields]
    yield from (Drop(reason=DropReason.NOT_MAPPED, row=row, detail=name) for name in unread)
    # Flat entries hold one change in themselves.
    changes = [*values.items(fields.get("changes")), *([fields] if "field" in fields else [])]
    if not changes and not unread:
        yield Drop(reason=DropReason.MALFORMED, row=row, detail="changes")
    sender = Sender(row=row, account=account, sent_at=graph_values.instant(fields.get("time"), received_at))
    for change in map(values.mapping, changes):
        yield from read_change(change, sender)


def unknown_field(field: str, sender: Sender, unread: frozenset[str]) -> Drop:
    """Return the drop of a field that is not read: on purpose where it is among ``unread``."""
    reason = DropReason.NOT_MAPPED if field in unread else DropReason.UNKNOWN_TYPE
    return Drop(reason=reason, row=sender.row, detail=values.shown(field))
