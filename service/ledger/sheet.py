"""The lines of one posting side by side, as the database takes them: columns of numbers beside two short dictionaries.

Most lines of a posting are alike but for their subject and their amounts: a page of a report is one series, one window,
one delivery. So a line is a subject's place, a shape's place and its metrics; what a shape or a subject is goes over
the wire once. Columns of numbers go as the text of an array, which costs a driver less than one number after another.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from connectors.contract import STORED
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

    def ranks(self) -> list[int]:
        """Return place to rank in the order of the ids, which is that of the keys of the database."""
        ranks = [0] * len(self.ids)
        for rank, place in enumerate(sorted(range(len(self.ids)), key=lambda place: self.ids[place].int)):
            ranks[place] = rank
        return ranks


class Sheet:
    """Lines as columns. ``blank`` tells of each whether the tally cell it falls in is known to be empty."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.subjects: list[int] = []
        self.numbers: list[int] = []
        self.metrics: list[Mapping[str, int]] = []
        self.blank: list[bool] = []
        self.shapes: list[Shape] = []
        self._numbers: dict[Shape, int] = {}

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
        self.subjects.append(self.roster.place(subject_id))
        self.numbers.append(self.shape(shape_of(series_id, line)))
        self.metrics.append(line.metrics)
        self.blank.append(False)

    def extend(
        self, shape: Shape, subjects: Sequence[int], metrics: Sequence[Mapping[str, int]], *, blank: Iterable[bool]
    ) -> None:
        """Take lines of one shape."""
        self.numbers += [self.shape(shape)] * len(subjects)
        self.subjects += subjects
        self.metrics += metrics
        self.blank += blank

    def entries(self) -> Counter[UUID]:
        """Return how many lines each delivery made."""
        found: Counter[UUID] = Counter()
        for number, count in Counter(self.numbers).items():
            found[self.shapes[number].ref.delivery_id] += count
        return found

    def columns(self) -> tuple[tuple[str, ...], list[Any]]:
        """Return the metrics that occur and the parameters of ``statements.insert_entries`` after the batch.

        Lines go in the order of subject and validity, which is that of their index: neighbours are written together.
        """
        ranks, begins = self.roster.ranks(), self._begins()
        width = len(self.shapes)
        keys = [
            ranks[subject] * width + begins[number] for subject, number in zip(self.subjects, self.numbers, strict=True)
        ]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        columns: list[Any] = [self.roster.ids]
        places = (picked(self.subjects, order), picked(self.numbers, order))
        columns += [array_text([place + 1 for place in column]) for column in places]
        columns += _dictionary(self.shapes)
        metrics = columns_of(picked(self.metrics, order))
        return tuple(metrics), columns + [array_text(column) for column in metrics.values()]

    def _begins(self) -> list[int]:
        """Return the rank of each shape by the beginning of its validity."""
        ranks = [0] * len(self.shapes)
        ordered = sorted(range(len(self.shapes)), key=lambda number: self.shapes[number].valid_from)
        for rank, number in enumerate(ordered):
            ranks[number] = rank
        return ranks


def _dictionary(shapes: Sequence[Shape]) -> list[Any]:
    return [
        [shape.series_id for shape in shapes],
        [shape.valid_from for shape in shapes],
        [shape.valid_to for shape in shapes],
        [shape.sign for shape in shapes],
        [shape.cause for shape in shapes],
        [shape.flags for shape in shapes],
        [shape.observed_at for shape in shapes],
        [shape.ref.delivery_id for shape in shapes],
        [shape.ref.received_at for shape in shapes],
        [shape.day for shape in shapes],
        [shape.days for shape in shapes],
        [shape.event_key for shape in shapes],
    ]


def picked(column: Sequence[Any], order: Sequence[int]) -> Sequence[Any]:
    """Return the values of a column at places, in their order."""
    if len(order) < 2:  # noqa: PLR2004 - itemgetter of one place returns no sequence
        return [column[place] for place in order]
    found: tuple[Any, ...] = itemgetter(*order)(column)
    return found


def array_text(values: Sequence[int | None]) -> str:
    """Return the text of a PostgreSQL array of numbers."""
    return "{" + str(list(values))[1:-1].replace("None", "NULL") + "}"


def present(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the stored metrics that any row holds, in column order."""
    seen = {key for keys in set(map(tuple, rows)) for key in keys}
    return tuple(key for key in STORED if key in seen)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return metric to the values of all rows (None: not in a row), in column order."""
    forms = set(map(tuple, rows))
    if len(forms) == 1:
        # Rows of one form, as a report has them, are turned by their values alone.
        given = dict(zip(forms.pop(), zip(*[row.values() for row in rows], strict=True), strict=True))
        return {key: given[key] for key in STORED if key in given}
    seen = {key for keys in forms for key in keys}
    return {key: [row.get(key) for row in rows] for key in STORED if key in seen}
