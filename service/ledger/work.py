"""The state of one posting while it is made: what counters, windows and events share. No SQL of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import Kind
from service.ledger import days
from service.ledger.facts import Subject
from service.ledger.posting import Posting, RetryExclusive
from service.ledger.readings import EventReading, Fact, Readings, SeriesKey, series_id
from service.ledger.rows import SeriesOf
from service.ledger.series import Balance, Ref
from service.ledger.sheet import Roster, Sheet
from service.records import SourceRow


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivery says, with the reference that its lines carry."""

    ref: Ref
    facts: Sequence[Fact] = ()
    readings: Sequence[Readings] = ()
    events: Sequence[EventReading] = ()


class Home(msgspec.Struct, frozen=True):
    """A series that a posting writes to. ``own``: of the posting's source, which may have to make it."""

    key: SeriesKey
    counted: bool
    tracks_from: datetime
    own: bool


class Work:
    """One posting in the making: its subjects, the series it writes to, its lines and balances.

    Credits may go to subjects that the source does not know: their ``platforms``, ``campaigns`` and the ``zones`` of
    these stand here. ``said_again`` are events that were known before. ``noted``: something without a line was
    written.
    """

    def __init__(
        self, connection: asyncpg.Connection[Any], posting: Posting, source: SourceRow, *, exclusive: bool
    ) -> None:
        self.connection = connection
        self.posting = posting
        self.source = source
        self.exclusive = exclusive
        self.subjects: dict[str, Subject] = {}
        self.series: dict[int, Home] = {}
        self.sheet = Sheet(Roster())
        self.balances: dict[SeriesOf, Balance] = {}
        self.rebuild: set[UUID] = set()
        self.platforms: dict[UUID, str] = {}
        self.campaigns: dict[UUID, list[UUID]] = {}
        self.zones: dict[UUID, str] = {}
        self.said_again: set[bytes] = set()
        self.noted = False
        self.holds = False
        self._numbers: dict[SeriesKey, int] = {}

    @property
    def workspace_id(self) -> UUID:
        return self.posting.workspace_id

    def series_of(self, key: SeriesKey) -> int:
        """Return the id of a series of the posting's source."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = series_id(self.source.source_id.bytes, key)
            counted = self.source.counts and not key.check
            self.series[number] = Home(key, counted, self.source.tracks_from, own=True)
        return number

    def adopt(self, row: Mapping[str, Any]) -> None:
        """Take in a series from a row of the ledger, possibly another source's."""
        own = row["source_id"] == self.source.source_id
        home = Home(days.key_of(row), row["counted"], row["tracks_from"], own)
        self.series.setdefault(row["series_id"], home)

    def tallied(self, number: int) -> bool:
        """Tell whether the lines of a series move tallies."""
        home = self.series[number]
        return home.counted and home.key.kind in days.TALLIED

    def tracked(self, subject: Subject, number: int) -> datetime | None:
        """Return the publication that a first value may be growth since: only one that the source tracked."""
        published = subject.published_at()
        return published if published is not None and published >= self.series[number].tracks_from else None

    def level(self, number: int) -> bool:
        """Tell whether the steps of a series are dated at their later instant."""
        return self.series[number].key.kind is not Kind.LIFETIME

    def needs_rebuild(self, subject_id: UUID) -> None:
        """Let the tallies of a subject be made again. Raises :class:`RetryExclusive` where others may write too."""
        if not self.exclusive:
            raise RetryExclusive
        self.rebuild.add(subject_id)
