"""The lines of one posting side by side, as the database takes them: columns of numbers beside short dictionaries.

Most lines of a posting are alike but for their subject and their amounts: a page of a report is one series, one window,
one delivery. So a line is a few places and its metrics; what a subject, a form and a saying are goes over the wire
once. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from service.ledger.grid import EMPTY, Grid, grid_of, packed, ranked, stacked
from service.ledger.series import Line, Ref


class Form(NamedTuple):
    """What a line says and of when: all but its subject, its amounts and who said it. A batch has few of them."""

    series_id: int
    valid_from: datetime
    valid_to: datetime
    sign: int
    cause: int
    flags: int
    day: date | None
    days: int
    event_key: bytes | None
    mark: int = 0


class Saying(NamedTuple):
    """When and by which delivery something was said."""

    observed_at: datetime
    ref: Ref


def form_of(series_id: int, line: Line) -> Form:
    """Return the form of a line of a series."""
    return Form(series_id, *line[:5], line.day, line.days, line.event_key)


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
        self.formed: list[int] = []
        self.said: list[int] = []
        self.forms: list[Form] = []
        self.sayings: list[Saying] = []
        self._forms: dict[Form, int] = {}
        self._sayings: dict[Saying, int] = {}
        self._pending: list[Mapping[str, int]] = []
        self._grids: list[Grid] = []

    def __len__(self) -> int:
        return len(self.subjects)

    def form(self, form: Form) -> int:
        """Return the number of a form, giving it one."""
        number = self._forms.get(form)
        if number is None:
            number = self._forms[form] = len(self.forms)
            self.forms.append(form)
        return number

    def saying(self, at: datetime, ref: Ref) -> int:
        """Return the number of what was said at an instant by a delivery, giving it one."""
        saying = Saying(at, ref)
        number = self._sayings.get(saying)
        if number is None:
            number = self._sayings[saying] = len(self.sayings)
            self.sayings.append(saying)
        return number

    def say(self, sayings: Iterable[Saying]) -> Any:
        """Return the numbers of many sayings, which are not told apart: most of a batch are different."""
        first = len(self.sayings)
        self.sayings += sayings
        return np.arange(first, len(self.sayings))

    def add(self, subject_id: UUID, series_id: int, line: Line) -> None:
        """Take a line."""
        saying = self.saying(line.observed_at, line.ref)
        self.put(self.roster.place(subject_id), self.form(form_of(series_id, line)), saying, line.metrics)

    def put(self, place: int, form: int, saying: int, metrics: Mapping[str, int]) -> None:
        """Take a line of a subject by its place, of a form and a saying by their numbers."""
        self.subjects.append(place)
        self.formed.append(form)
        self.said.append(saying)
        self._pending.append(metrics)

    def extend(self, subjects: Any, forms: Any, sayings: Any, grid: Grid) -> None:
        """Take many lines: arrays of subjects' places, of the numbers of forms and of sayings, and their metrics."""
        self._turn()
        self.subjects += subjects.tolist()
        self.formed += forms.tolist()
        self.said += sayings.tolist()
        self._grids.append(grid)

    def unmark(self, subjects: Container[UUID], mark: int) -> None:
        """Take a mark from the lines of some subjects."""
        places = {place for place, one in enumerate(self.roster.ids) if one in subjects}
        for line, (place, number) in enumerate(zip(self.subjects, self.formed, strict=True)):
            form = self.forms[number]
            if place in places and form.mark & mark:
                self.formed[line] = self.form(form._replace(mark=form.mark & ~mark))

    def _turn(self) -> None:
        if self._pending:
            self._grids.append(grid_of(self._pending))
            self._pending = []

    def grid(self) -> Grid:
        """Return the metrics of all lines."""
        self._turn()
        self._grids = [stacked(self._grids)] if self._grids else [EMPTY]
        return self._grids[0]

    def arrays(self) -> tuple[Any, Any]:
        """Return subjects' places and forms' numbers of all lines."""
        return np.array(self.subjects, dtype=np.int64), np.array(self.formed, dtype=np.int64)

    def entries(self) -> Counter[UUID]:
        """Return how many lines each delivery made."""
        found: Counter[UUID] = Counter()
        for number, count in Counter(self.said).items():
            found[self.sayings[number].ref.delivery_id] += count
        return found

    def columns(self) -> tuple[tuple[str, ...], list[Any]]:
        """Return the metrics that occur and the parameters of ``statements.insert_entries`` after the batch.

        Lines go in the order of subject and validity, which is that of their index: neighbours are written together.
        Those of one window keep theirs: what takes back comes before what takes its place.
        """
        subjects, formed = self.arrays()
        instants = {at: place for place, at in enumerate(sorted({form.valid_from for form in self.forms}))}
        begins = np.array([instants[form.valid_from] for form in self.forms], dtype=np.int64)
        order = np.argsort(self.roster.ranks()[subjects] * len(self.forms) + begins[formed], kind="stable")
        places = (subjects[order] + 1, formed[order] + 1, np.array(self.said, dtype=np.int64)[order] + 1)
        grid = self.grid()
        rows = packed(places, grid.taken(order))
        sayings = [(at, *ref) for at, ref in self.sayings]
        return grid.metrics, [self.roster.ids, len(order), rows, *_columns(self.forms), *_columns(sayings)]


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
