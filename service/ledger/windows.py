"""Booking of stated windows: only the newest point of each metric counts.

Most readings of a page are the first of their windows, or say again what is known: one look at the whole batch tells so
(``service.ledger.look``). What is left of it, and what is pushed, which names few windows of many subjects and restates
most of them, is looked at window by window; of these too what moves the numbers of one line is told for all together
(``service.ledger.standing``). What is withdrawn, said twice in one batch or stands in pieces is booked one by one by
:func:`service.ledger.series.book`. A test holds the ways to the same books.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from service.ledger import statements
from service.ledger.grid import Grid, packed
from service.ledger.look import CLOSER, CONFIRMED, NEW, judge
from service.ledger.series import Cause, Mark, WindowReading, book, mask_of
from service.ledger.standing import RESTATED, Standing
from service.ledger.window_rows import Rows
from service.ledger.work import Said, Work

_SAID = frozenset({Cause.GROWTH, Cause.SOURCE_RESTATED})
"""Causes of lines that say what their delivery said: by hand, where people of the workspace say it."""


class _Confirmed:
    """What is confirmed, as rows of ``statements.CONFIRM``."""

    def __init__(self, work: Work, rows: Rows) -> None:
        self._work = work
        self._of = rows
        self._rows: list[tuple[UUID, datetime, datetime, int, int, datetime]] = []

    def add(self, row: int, mask: int, at: datetime) -> None:
        """Take what a reading confirms of its window."""
        kind = self._of.kinds[self._of.kind_of[row]]
        subject_id = self._work.sheet.roster.ids[self._of.subjects[row]]
        self._rows.append((subject_id, kind.window.start, kind.window.end, kind.series_id, mask, at))

    async def write(self) -> None:
        """Write it, in the order of its key."""
        if self._rows:
            self._rows.sort(key=lambda row: (row[0].int, *row[1:]))
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            await self._work.connection.execute(statements.CONFIRM, self._work.workspace_id, *columns)


async def book_windows(work: Work, said: Sequence[Said]) -> None:
    """Book the windows that deliveries report."""
    rows, fresh = _gathered(work, said)
    if not rows:
        return
    alone, made = rows.alone(), fresh[rows.subjects]
    verdicts = np.where(alone, NEW, CLOSER)
    asked = np.flatnonzero(alone & ~made)
    verdicts[asked] = CLOSER if rows.scattered(asked) else await _held(work, rows, asked)
    plain = np.flatnonzero((verdicts == CLOSER) & alone)
    others = np.flatnonzero(~alone)
    # Readings of one window that come together share its place, behind those that come alone.
    keys, places = np.unique(rows.keys[others], return_index=True, return_inverse=True)[1:]
    standing = await _standing(work, rows, np.concatenate((plain, others[keys])))
    verdicts[plain] = standing.judge(rows.instants(plain), rows.grid.taken(plain))
    confirmed = _Confirmed(work, rows)
    _write_new(work, rows, verdicts)
    _write_restated(work, rows, standing, np.flatnonzero(verdicts[plain] == RESTATED), plain, confirmed)
    again = np.flatnonzero(verdicts == CONFIRMED)
    for row, at in zip(again.tolist(), rows.instants(again), strict=True):
        confirmed.add(row, mask_of(rows.metrics[row]), at)
    for place in np.flatnonzero(verdicts[plain] == CLOSER).tolist():
        _book_closely(work, rows, standing, place, [int(plain[place])], confirmed)
    together = np.split(others[np.argsort(places, kind="stable")], np.cumsum(np.bincount(places))[:-1])
    for place, own in enumerate(together if len(others) else (), len(plain)):
        _book_closely(work, rows, standing, place, own.tolist(), confirmed)
    await confirmed.write()


def _gathered(work: Work, said: Sequence[Said]) -> tuple[Rows, Any]:
    """Return the readings of windows as columns, and for each subject's place whether the posting itself made it."""
    rows = Rows()
    places: dict[str, int] = {}
    fresh: set[int] = set()
    for part in said:
        for block in part.readings:
            if block.window is None:
                continue
            names = [ref.external_id for ref in block.subjects]
            for name in names:
                if name not in places:
                    subject = work.subjects[name]
                    place = places[name] = work.sheet.roster.place(subject.subject_id)
                    if subject.fresh:
                        fresh.add(place)
            rows.add(block, block.window, part.ref, work.series_of(block.key), [places[name] for name in names])
    rows.close()
    made = np.zeros(len(work.sheet.roster.ids), dtype=bool)
    made[list(fresh)] = True
    return rows, made


async def _held(work: Work, rows: Rows, asked: Any) -> Any:
    """Return the verdicts on rows."""
    if not len(asked):
        return np.full(0, NEW)
    ids = work.sheet.roster.ids
    readings = rows.asked(asked, ids)
    named = [ids[place] for place in np.unique(readings.subjects).tolist()]
    about = (work.workspace_id, named, sorted({begin for _, begin, _ in readings.windows}))
    lines = await work.connection.fetchrow(statements.lines_of_batch(readings.grid.metrics), *about)
    confirmations = await work.connection.fetchrow(statements.CONFIRMED_OF_BATCH, *about)
    return judge(readings, lines, confirmations)


async def _standing(work: Work, rows: Rows, asked: Any) -> Standing:
    """Return what stands of the windows of some rows, each in a place of its own."""
    metrics = rows.grid.metrics
    if not len(asked):
        return Standing({}, metrics, 0)
    windows = list(rows.cells)
    begins = sorted({windows[cell][1] for cell in np.unique(rows.cell_of[asked]).tolist()})
    found = await work.connection.fetchrow(
        statements.lines_of_windows(metrics),
        work.workspace_id,
        work.sheet.roster.ids,
        len(asked),
        packed((rows.subjects[asked] + 1, rows.cell_of[asked] + 1), Grid((), np.empty((len(asked), 0)))),
        *(list(column) for column in zip(*windows, strict=True)),
        begins[0],
        begins[-1],
    )
    return Standing(found, metrics, len(asked))


def _write_new(work: Work, rows: Rows, verdicts: Any) -> None:
    """Write the first line of windows that none is known of."""
    new = np.flatnonzero(verdicts == NEW)
    if not len(new):
        return
    blocks = rows.numbers[new]
    cause = Cause.MANUAL if work.source.is_own else Cause.GROWTH
    forms, sayings = np.zeros((2, len(rows.blocks)), dtype=np.int64)
    own = np.unique(blocks)
    for number in own.tolist():
        block = rows.blocks[number]
        readings, kind = block.readings, rows.kinds[block.kind]
        # A window of several days is asked for by its number of days, which tallies have an index for.
        tally = Mark.TALLY if kind.window.days == 1 and kind.whole and work.tallied(kind.series_id) else Mark.NONE
        forms[number] = work.sheet.form(kind.form(1, cause, readings.quality, tally | Mark.ALONE))
    sayings[own] = work.sheet.say(rows.blocks[number].saying for number in own.tolist())
    work.sheet.extend(rows.subjects[new], forms[blocks], sayings[blocks], rows.grid.taken(new))


def _write_restated(work: Work, rows: Rows, standing: Standing, places: Any, plain: Any, confirmed: _Confirmed) -> None:
    """Take back and say anew what readings move; ``places`` are theirs among the ``plain`` rows."""
    if not len(places):
        return
    own, sheet = plain[places], work.sheet
    found = standing.restated(places, rows.grid.taken(own))
    subjects, kinds = rows.subjects[own], rows.kind_of[own]
    blocks = [rows.blocks[number] for number in rows.numbers[own].tolist()]
    none = np.full(len(own), int(Mark.NONE))
    taken = _forms(work, rows, kinds, -1, Cause.REVERSAL, standing.quality(found.taken), none)
    sheet.extend(subjects, taken, sheet.say(map(standing.saying, found.taken.tolist())), found.back)
    cause = Cause.MANUAL if work.source.is_own else Cause.SOURCE_RESTATED
    quality = np.array([block.readings.quality for block in blocks], dtype=np.int64)
    said = _forms(work, rows, kinds, 1, cause, quality, found.marks)
    sheet.extend(subjects, said, sheet.say(block.saying for block in blocks), found.new)
    for number in np.flatnonzero(found.same).tolist():
        confirmed.add(int(own[number]), int(found.same[number]), blocks[number].readings.at)


def _forms(work: Work, rows: Rows, kinds: Any, sign: int, cause: int, quality: Any, mark: Any) -> Any:
    """Return the numbers of forms of lines, of which a batch has few."""
    told = np.stack((kinds, quality, mark), axis=1)
    distinct, places = np.unique(told, axis=0, return_inverse=True)
    numbers = [work.sheet.form(rows.kinds[kind].form(sign, cause, said, own)) for kind, said, own in distinct.tolist()]
    return np.array(numbers)[places.reshape(-1)]


def _book_closely(
    work: Work, rows: Rows, standing: Standing, place: int, own: Sequence[int], confirmed: _Confirmed
) -> None:
    """Book what some rows say of one window, with what is known of it at hand."""
    row = own[0]
    kind = rows.kinds[rows.kind_of[row]]
    readings = [_reading(rows, one) for one in own]
    lines, confirmations = standing.lines(place, kind.window), standing.confirmations(place)
    booked = book(lines, confirmations, readings, whole=standing.is_whole(place))
    if booked.bare and work.tallied(kind.series_id):
        work.needs_rebuild(work.sheet.roster.ids[rows.subjects[row]])
    for sign, cause, at, ref, metrics, quality, mark in booked.written:
        told = Cause.MANUAL if work.source.is_own and cause in _SAID else cause
        form, saying = work.sheet.form(kind.form(sign, told, quality, mark)), work.sheet.saying(at, ref)
        work.sheet.put(int(rows.subjects[row]), form, saying, metrics)
    for mask, at in booked.confirmed:
        confirmed.add(row, mask, at)


def _reading(rows: Rows, row: int) -> WindowReading:
    block = rows.blocks[rows.numbers[row]]
    return WindowReading(block.readings.at, rows.metrics[row], block.ref, block.readings.quality)
