"""What the ledger is told: facts, readings of series and of events, in its own words. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors.contract import Kind, SubjectRef, Window
from service.ledger.grid import Grid


class SeriesKey(msgspec.Struct, frozen=True, kw_only=True):
    """What, with a subject and a window, makes a series of a source. ``paid`` is 1, 0 or -1 (not said)."""

    kind: Kind
    scope: str = ""
    zone: str = ""
    currency: str = ""
    paid: int = -1
    goal: str = ""
    check: bool = False


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One dated fact about a subject; ``value`` is JSON data."""

    subject: SubjectRef
    name: str
    value: Any
    observed_at: datetime


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """Observations of one series, window and instant, subject by subject: what a page of a report says.

    ``subjects`` and ``metrics`` go side by side and grow while a delivery is read. ``quality`` holds the bits of
    ``series.Flag`` that the platform says against its numbers. ``withdraws``: the metrics are None, and are taken back
    from the window. ``grid`` holds the metrics once more, where they have been turned into columns.
    """

    key: SeriesKey
    at: datetime
    window: Window | None
    quality: int = 0
    withdraws: bool = False
    subjects: list[SubjectRef]
    metrics: list[Mapping[str, int | None]]
    grid: Grid | None = None


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What names a person, as the sender wrote it: in memory only, until it is hashed (``Visit``)."""

    customer: str | None = None
    click_id: str | None = None

    def __repr__(self) -> str:
        """Leave persons out of every log and traceback."""
        return "Names(***)"


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says of who came and from where.

    ``customer`` and ``click`` are keyed hashes; ``click_name`` is the parameter of a click id (*gclid*), or nothing.
    """

    customer: bytes | None = None
    click: bytes | None = None
    click_name: str | None = None
    promo_code: str | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_content: str | None = None
    platform_campaign: str | None = None


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversion, an order or a refund says beside its visit.

    ``basis`` tells what its subject was made of (*subject*: the sender named it, *none*: nothing led anywhere).
    ``value`` is in millionths of the currency of the reading's key, of a refund above zero. ``id`` and ``refund_of``
    are the sender's.
    """

    kind: str
    id: str
    basis: str
    value: int | None = None
    refund_of: str | None = None
    first_order: bool | None = None
    cancelled: bool = False


class EventReading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one event; ``name`` is its identity within the source.

    A click or a view that may lead to a conversion has a ``touch`` (its kind), what may be credited a ``sale``; what is
    neither only moves its ``metrics``. ``names`` are hashed into ``visit`` before anything is booked.
    """

    name: str
    subject: SubjectRef
    key: SeriesKey
    at: datetime
    observed_at: datetime
    metrics: Mapping[str, int]
    touch: str = ""
    sale: Sale | None = None
    visit: Visit = Visit()
    names: Names | None = None


def series_id(source: bytes, key: SeriesKey) -> int:
    """Return the 64-bit id of a series of a source: a hash, so that no two writers need to agree on a counter."""
    text = "\x1f".join((key.kind, key.scope, key.zone, key.currency, str(key.paid), key.goal, str(int(key.check))))
    digest = hashlib.sha256(source + text.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def sale_key(source: bytes, sale: Sale) -> bytes | None:
    """Return what an order and its refunds have in common; None for a refund that names no order."""
    named = sale.refund_of if sale.kind == "refund" else sale.id
    return event_key(source, f"sale:{named}") if named else None


def event_key(source: bytes, name: str) -> bytes:
    """Return the 16-byte identity of an event of a source."""
    return hashlib.sha256(source + name.encode("utf-8", "replace")).digest()[:16]
