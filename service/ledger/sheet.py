"""The lines of one posting side by side, as the database takes them: columns of numbers beside short dictionaries.

Most lines of a posting are alike but for their subject and their amounts: a page of a report is one series, one window,
one delivery. So a line is a few places and its metrics; what a subject, a form and a saying are goes over the wire
once. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from service.ledger.grid import EMPTY, Grid, grid_of, packed, ranked, stacked
from service.ledger.series import Line, Ref


class Shape(NamedTuple):
    """What lines of several subjects have in common."""

    series_id: int
    valid_from: datetime
    valid_to: datetime
    sign: int
    cause: int
    flags: int
    observed_at: datetime
    ref: Ref
    day: date | None
    days: int
    event_key: bytes | None
    mark: int = 0


def shape_of(series_id: int, line: Line) -> Shape:
    """Return all of a line of a series but its metrics."""
    return Shape(
        series_id,
        line.valid_from,
        line.valid_to,
        line.sign,
        line.cause,
        line.flags,
        line.observed_at,
        line.ref,
        line.day,
        line.days,
        line.event_key,
    )


class Roster:
    """The subjects of a posting by place, in the order in which they were met."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self._places: dict[UUID, int] = {}

    def place(self, subject_id: UUID) -> int:
        """Return the place of a subject, giving it one."""
        place = self._places.get(subject_id)
        if place is None:
            place = self._places[subject_id] = len(self.ids)
            self.ids.append(subject_id)
        return place

    def ranks(self) -> Any:
        """Return place to rank in the order of the ids, which is that of the keys of the database."""
        return ranked([one.int for one in self.ids])


class Sheet:
    """Lines side by side."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.subjects: list[int] = []
        self.numbers: list[int] = []
        self.metrics: list[Mapping[str, int]] = []
        self.shapes: list[Shape] = []
        self._numbers: dict[Shape, int] = {}
        self._grids: list[Grid] = []
        self._turned = 0

    def __len__(self) -> int:
        return len(self.subjects)

    def shape(self, shape: Shape) -> int:
        """Return the number of a shape, giving it one."""
        number = self._numbers.get(shape)
        if number is None:
            number = self._numbers[shape] = len(self.shapes)
            self.shapes.append(shape)
        return number

    def add(self, subject_id: UUID, series_id: int, line: Line) -> None:
        """Take a line."""
        self.put(self.roster.place(subject_id), shape_of(series_id, line), line.metrics)

    def put(self, place: int, shape: Shape, metrics: Mapping[str, int]) -> None:
        """Take a line of a subject by its place."""
        self.subjects.append(place)
        self.numbers.append(self.shape(shape))
        self.metrics.append(metrics)

    def extend(self, subjects: Any, numbers: Any, metrics: Sequence[Mapping[str, int]], grid: Grid) -> None:
        """Take many lines: arrays of subjects' places and shapes' numbers; ``grid`` holds their metrics."""
        self._turn()
        self.subjects += subjects.tolist()
        self.numbers += numbers.tolist()
        self.metrics += metrics
        self._grids.append(grid)
        self._turned = len(self.subjects)

    def unmark(self, subjects: Container[UUID], mark: int) -> None:
        """Take a mark from the lines of some subjects."""
        places = {place for place, one in enumerate(self.roster.ids) if one in subjects}
        for line, (place, number) in enumerate(zip(self.subjects, self.numbers, strict=True)):
            shape = self.shapes[number]
            if place in places and shape.mark & mark:
                self.numbers[line] = self.shape(shape._replace(mark=shape.mark & ~mark))

    def _turn(self) -> None:
        if self._turned < len(self.subjects):
            self._grids.append(grid_of(self.metrics[self._turned :]))
            self._turned = len(self.subjects)

    def arrays(self) -> tuple[Any, Any, Grid]:
        """Return subjects' places, shapes' numbers and metrics of all lines."""
        self._turn()
        self._grids = [stacked(self._grids)] if self._grids else [EMPTY]
        return np.array(self.subjects, dtype=np.int64), np.array(self.numbers, dtype=np.int64), self._grids[0]

    def entries(self) -> Counter[UUID]:
        """Return how many lines each delivery made."""
        found: Counter[UUID] = Counter()
        for number, count in Counter(self.numbers).items():
            found[self.shapes[number].ref.delivery_id] += count
        return found

    def columns(self) -> tuple[tuple[str, ...], list[Any]]:
        """Return the metrics that occur and the parameters of ``statements.insert_entries`` after the batch.

        Lines go in the order of subject and validity, which is that of their index: neighbours are written together.
        Those of one window keep theirs: what takes back comes before what takes its place.
        """
        subjects, numbers, grid = self.arrays()
        instants = {at: place for place, at in enumerate(sorted({shape.valid_from for shape in self.shapes}))}
        begins = np.array([instants[shape.valid_from] for shape in self.shapes], dtype=np.int64)
        order = np.argsort(self.roster.ranks()[subjects] * len(self.shapes) + begins[numbers], kind="stable")
        numbers = numbers[order]
        forms, form_of = _told_apart([_form(shape) for shape in self.shapes])
        sayings, saying_of = _told_apart([(shape.observed_at, *shape.ref) for shape in self.shapes])
        places = (subjects[order] + 1, form_of[numbers] + 1, saying_of[numbers] + 1)
        rows = packed(places, grid.taken(order))
        return grid.metrics, [self.roster.ids, len(order), rows, *_columns(forms), *_columns(sayings)]


def _form(shape: Shape) -> tuple[Any, ...]:
    """Return what a shape says beside who said it and when: a batch has few forms, whatever it restates."""
    return (*shape[:6], *shape[8:])


def _told_apart(rows: Sequence[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], Any]:
    """Return the distinct rows, and for each given one its place among them."""
    places: dict[tuple[Any, ...], int] = {}
    found = np.array([places.setdefault(row, len(places)) for row in rows], dtype=np.int64)
    return list(places), found


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def picked(column: Sequence[Any], order: Sequence[int]) -> Sequence[Any]:
    """Return the values of a column at places, in their order."""
    if len(order) < 2:  # noqa: PLR2004 - itemgetter of one place returns no sequence
        return [column[place] for place in order]
    found: tuple[Any, ...] = itemgetter(*order)(column)
    return found
