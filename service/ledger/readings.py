"""What the ledger is told: facts, readings of series and of events, in its own words. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors.contract import Kind, SubjectRef, Window


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
    from the window.
    """

    key: SeriesKey
    at: datetime
    window: Window | None
    quality: int = 0
    withdraws: bool = False
    subjects: list[SubjectRef]
    metrics: list[Mapping[str, int | None]]


class EventReading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one event; ``name`` is its identity within the source."""

    name: str
    subject: SubjectRef
    key: SeriesKey
    at: datetime
    observed_at: datetime
    metrics: Mapping[str, int]


def series_id(source: bytes, key: SeriesKey) -> int:
    """Return the 64-bit id of a series of a source: a hash, so that no two writers need to agree on a counter."""
    text = "\x1f".join((key.kind, key.scope, key.zone, key.currency, str(key.paid), key.goal, str(int(key.check))))
    digest = hashlib.sha256(source + text.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def event_key(source: bytes, name: str) -> bytes:
    """Return the 16-byte identity of an event of a source."""
    return hashlib.sha256(source + name.encode("utf-8", "replace")).digest()[:16]
