"""What a row of an uploaded file says besides its numbers: its instants and the facts of its subject.

Also the columns themselves: a column is a place in the row with the reader of its cells. Numbers, subjects and whole
files are the business of :mod:`connectors.files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import BadPayload, Drop, DropReason, Item, SubjectRef, SubjectSeen, Window, day_window
from connectors.files_cells import Dates, Refused, flag, hashtags, identifier, text, word
from connectors.files_presets import FACT_COLUMNS, FilesOptions, zone_of
from connectors.files_rows import Cells, named

_CACHED = 10_000


class Column(NamedTuple):
    """What one column becomes (a metric, a field of facts), where it stands in a row, and the reader of its cells."""

    target: str
    name: str
    place: int
    read: Callable[[object], Any]

    def of(self, cells: Cells) -> Any:
        """Return what the row says in this column. Raises :class:`Refused` with the column's name in the detail."""
        try:
            return self.read(cells[self.place])
        except Refused as refused:
            raise Refused(refused.reason, f"column {named(self.name)}: {refused.detail}") from None


class Columns:
    """The columns that are read, in the order in which a row gives their cells."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, target: str, name: str, read: Callable[[object], Any]) -> Column:
        """Return a column; several may read the same cells."""
        if name not in self.names:
            self.names.append(name)
        return Column(target, name, self.names.index(name), read)


def drop(refused: Refused, row: int) -> Drop:
    """Return the drop of a refusal in a row."""
    return Drop(reason=refused.reason, row=row, detail=refused.detail)


# ------------------------------------------------------------------------------------------------ instants


class When(NamedTuple):
    """The instants of a row: ``at`` is its own, ``read`` when it was read (another one if its own names a day)."""

    at: datetime | None
    read: datetime | None
    window: Window | None = None


class Clock:
    """Tells the instants of rows. ``latest`` is the last instant that is not in the future.

    Raises :class:`BadPayload` if the instant that the options give to all rows is later than that.
    """

    def __init__(self, options: FilesOptions, columns: Columns, latest: datetime) -> None:
        zone = zone_of(options.zone) or ZoneInfo("UTC")
        self._dates = Dates(form=options.date_format, year=options.year, zone=zone)
        self._latest = latest
        self._window_zone = zone if options.window == "day" else None
        self._fixed = Dates(form="iso", zone=zone).instant(options.instant)
        if self._fixed is not None and self._fixed > latest:
            raise BadPayload("the option instant is later than the upload")
        name = options.instant_column
        self._column = None if name is None else columns.add("instant", name, self._when)
        self._known: dict[str, When] = {}

    def when(self, cells: Cells) -> When:
        """Return the instants of a row. Raises :class:`Refused`."""
        if self._column is None:
            return When(self._fixed, self._fixed)
        when: When = self._column.of(cells)
        return when

    def past(self, cell: object) -> datetime | None:
        """Return an instant that is not in the future. Raises :class:`Refused`."""
        moment = self._dates.instant(cell)
        if moment is not None and moment > self._latest:
            raise Refused(DropReason.FUTURE_TIME, "later than the upload")
        return moment

    def _when(self, cell: object) -> When:
        known = self._known.get(cell) if isinstance(cell, str) else None
        if known is not None:  # the rows of an export share few instants
            return known
        moment = self.past(cell)
        if moment is None:
            raise Refused(DropReason.MISSING_TIME, "empty")
        zone = self._window_zone
        if zone is None:
            when = When(moment, moment)
        else:
            when = When(moment, self._fixed, day_window(moment.astimezone(zone).date(), zone.key))
        if isinstance(cell, str) and len(self._known) < _CACHED:
            self._known[cell] = when
        return when


# ------------------------------------------------------------------------------------------------ facts


class _Run(msgspec.Struct):
    """Neighbouring rows of one subject with equal facts, what was said of them and the earliest instant among them."""

    cells: Cells
    seen: SubjectSeen | None
    earliest: datetime | None


class Facts:
    """Says what is seen of subjects, once per change and not once per row."""

    def __init__(self, options: FilesOptions, columns: Columns, clock: Clock) -> None:
        readers: dict[str, Callable[[object], Any]] = {
            "published_at": clock.past,
            "content_type": word,
            "hashtags": partial(hashtags, separator=options.hashtags_separator),
            "creator": identifier,
            "paid": flag,
            "platform_campaign": identifier,
        }
        self._columns = [
            columns.add(field, name, readers.get(field, text))
            for option, field in FACT_COLUMNS.items()
            if (name := getattr(options, option)) is not None
        ]
        self._runs: dict[str, list[_Run]] = {}

    def changed(self, row: int, cells: Cells, subject: SubjectRef, at: datetime | None) -> list[Item]:
        """Return the facts of a row, and the drops of bad cells, if they differ from the subject's row before it."""
        if not self._columns:
            return []
        told = tuple(cells[column.place] for column in self._columns)
        runs = self._runs.setdefault(subject.external_id, [])
        if runs and runs[-1].cells == told:
            run = runs[-1]
            if at is not None and run.earliest is not None:
                run.earliest = min(run.earliest, at)
            return []
        items: list[Item] = []
        facts: dict[str, Any] = {}
        for column in self._columns:
            try:
                facts[column.target] = column.of(cells)
            except Refused as refused:
                items.append(drop(refused, row))
        said = any(value is not None for value in facts.values())
        seen = SubjectSeen(subject=subject, observed_at=at, **facts) if said else None
        runs.append(_Run(told, seen, at))
        return [*items, seen] if seen else items

    def earlier(self) -> Iterator[SubjectSeen]:
        """At the end of a file that does not run forward in time: since when the facts held that were said too late."""
        for runs in self._runs.values():
            for run in runs:
                if run.seen is not None and run.seen.observed_at != run.earliest:
                    yield msgspec.structs.replace(run.seen, observed_at=run.earliest)
