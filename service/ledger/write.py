"""The posting: what deliveries say becomes entries, balances, tallies and memberships, in the caller's transaction.

Counted series move tallies, check series do not. What would take a cell of a tally back to *not reported* (a
withdrawal, an event that moved, a first value that became growth) or moves a known subject between campaigns rebuilds
the tallies it touches from the ledger, alone in the workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from uuid import UUID

import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import ADDITIVE, Kind, SubjectRef
from service.context import Context
from service.db.engine import driver
from service.ledger import crossings, days, lines, memberships, statements
from service.ledger import facts as subject_facts
from service.ledger.counters import book_counters
from service.ledger.events import book_events
from service.ledger.memberships import Joined
from service.ledger.posting import EVERY, Posting
from service.ledger.recount import recount_all
from service.ledger.rows import balance_columns
from service.ledger.sales import book_sales, hold_first
from service.ledger.series import Line, Mark
from service.ledger.sheet import Form, Roster, Saying
from service.ledger.tallies import Cell, spread
from service.ledger.tally_rows import TallyRows
from service.ledger.touches import Touches
from service.ledger.windows import book_windows
from service.ledger.work import Home, Said, Work
from service.records import SourceRow

_ADDITIVE = frozenset(ADDITIVE)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a posting wrote: entries per delivery, whether anything that shapes an answer changed, and of which
    campaigns.
    """

    entries: Mapping[UUID, int]
    changed: bool
    shaped: frozenset[UUID]


async def post(
    connection: AsyncConnection,
    posting: Posting,
    source: SourceRow,
    said: Sequence[Said],
    context: Context,
    *,
    exclusive: bool = False,
) -> Written:
    """Write what deliveries of one source say. The caller opened the posting and closes it.

    Raises :class:`RetryExclusive` when the posting must be run again with the workspace to itself.
    """
    work = Work(await driver(connection), posting, source, exclusive=exclusive)
    work.subjects = await subject_facts.resolve(work.connection, posting, source.platform, _refs(said), context)
    facts = [fact for part in said for fact in part.facts]
    subject_facts.hear(work.subjects, facts, source.source_id)
    await hold_first(work, said)
    await subject_facts.keep(
        work.connection, posting, source.platform, work.subjects, facts, source_id=source.source_id
    )
    joined = await memberships.reassign(work.connection, posting, source.platform, work.subjects, exclusive=exclusive)
    work.rebuild |= joined.moved.keys()
    await book_counters(work, said)
    await book_windows(work, said)
    await book_events(work, said)
    await book_sales(work, said, joined.moved.keys())
    for subject_id in crossings.bared(work.sheet, work.tallied, joined.zones_of):
        work.needs_rebuild(subject_id)
    await _insert_series(work)
    if work.rebuild:
        # What their days were is read after this: lines of this posting are no part of it.
        work.sheet.unmark(work.rebuild, Mark.TALLY)
    await lines.write(work.connection, posting, work.sheet, work.tallied)
    await _write_balances(work)
    await _write_tallies(work, {**joined.campaigns, **work.campaigns}, {**joined.zones, **work.zones})
    if work.rebuild:
        written = frozenset(work.sheet.roster.ids)
        await recount_all(work.connection, posting, work.rebuild, joined.moved, written)
    changed = (
        work.noted
        or bool(len(work.sheet))
        or joined.changed
        or any(subject.changed for subject in work.subjects.values())
    )
    return Written(entries=work.sheet.entries(), changed=changed, shaped=_shaped(work, joined))


def _shaped(work: Work, joined: Joined) -> frozenset[UUID]:
    """Return the campaigns whose answers a posting may change.

    A level of a profile shapes every campaign in which its creator posts: the tier of a post is told by followers.
    """
    levels = {number for number, home in work.series.items() if home.key.kind is Kind.LEVEL}
    if levels and any(form.series_id in levels for form in work.sheet.forms):
        return frozenset((EVERY,))
    ids = work.sheet.roster.ids
    named = {ids[place] for place in set(work.sheet.subjects)} | joined.moved.keys()
    named |= {subject.subject_id for subject in work.subjects.values() if subject.changed}
    campaigns = {**joined.campaigns, **work.campaigns}
    return frozenset().union(*joined.moved.values(), *(campaigns.get(one, ()) for one in named))


def _refs(said: Sequence[Said]) -> Iterator[SubjectRef]:
    for part in said:
        for fact in part.facts:
            yield fact.subject
        for block in part.readings:
            yield from block.subjects
        for event in part.events:
            yield event.subject


async def _insert_series(work: Work) -> None:
    numbers = sorted(number for number, home in work.series.items() if home.own)
    if not numbers:
        return
    keys = [work.series[number].key for number in numbers]
    await work.connection.execute(
        statements.INSERT_SERIES,
        work.workspace_id,
        work.source.source_id,
        numbers,
        [str(key.kind) for key in keys],
        [key.scope for key in keys],
        [key.zone for key in keys],
        [key.currency for key in keys],
        [key.paid for key in keys],
        [key.goal for key in keys],
        [work.series[number].counted for number in numbers],
    )


async def _write_balances(work: Work) -> None:
    if work.balances:
        metrics, columns = balance_columns(work.balances.items())
        await work.connection.execute(statements.write_balances(metrics), work.workspace_id, *columns)


# ------------------------------------------------------------------------------------------------ tallies


async def _write_tallies(work: Work, campaigns: Mapping[UUID, Sequence[UUID]], zones: Mapping[UUID, str]) -> None:
    """Add the lines of counted series to the days of their subjects and campaigns."""
    crowds = _Crowds(work, campaigns, zones)
    added, told = _subject_rows(work, crowds)
    await days.add_subjects(work.connection, work.workspace_id, added)
    for platform in crowds.platforms:
        rows = crowds.rows((added, told), platform, work.posting.touches)
        await days.add_campaigns(work.connection, work.workspace_id, platform, rows)


class _Crowds:
    """The sets of campaigns that subjects of a platform count in: few of them, and each is summed once."""

    def __init__(self, work: Work, campaigns: Mapping[UUID, Sequence[UUID]], zones: Mapping[UUID, str]) -> None:
        self._zones = zones
        self._crowds: list[tuple[str, tuple[UUID, ...]]] = []
        numbers: dict[tuple[str, tuple[UUID, ...]], int] = {}
        self._of: list[int | None] = []
        home, abroad = work.source.platform, work.platforms
        for subject_id in work.sheet.roster.ids:
            crowd = (abroad.get(subject_id, home), tuple(campaigns.get(subject_id, ())))
            if crowd[1] and crowd not in numbers:
                numbers[crowd] = len(self._crowds)
                self._crowds.append(crowd)
            self._of.append(numbers.get(crowd))
        self.platforms = sorted({platform for platform, _ in self._crowds})
        self._asked = [sorted({zones[campaign] for campaign in crowd}) for _, crowd in self._crowds]

    def zones_of(self, place: int) -> Sequence[str]:
        """Return the zones that the subject at a place is asked in."""
        crowd = self._of[place]
        return () if crowd is None else self._asked[crowd]

    def rows(self, members: Iterable[TallyRows], platform: str, touches: Touches) -> TallyRows:
        """Return the days of campaigns from those of subjects of a platform, and note them in ``touches``."""
        found = TallyRows(Roster())
        for number, cell, sums in chain.from_iterable(one.summed(self._of) for one in members):
            of, crowd = self._crowds[number]
            for campaign in crowd if of == platform else ():
                if cell.basis == 1 or cell.zone == self._zones[campaign]:
                    found.add(found.owners.place(campaign), found.cell(cell), sums)
                    touches.cell(campaign, cell)
        return found


def _subject_rows(work: Work, crowds: _Crowds) -> tuple[TallyRows, TallyRows]:
    """Return what the lines of counted series add to the days of their subjects, and what they are by themselves."""
    sheet = work.sheet
    rows, told = TallyRows(sheet.roster), TallyRows(sheet.roster)
    if not len(sheet):
        return rows, told
    homes = [work.series[form.series_id] if work.tallied(form.series_id) else None for form in sheet.forms]
    # A window of whole days falls in one cell whoever the subject is.
    cells = [
        (told if form.mark & Mark.TALLY else rows).cell(_whole(form, home))
        if home is not None and form.day is not None
        else -1
        for form, home in zip(sheet.forms, homes, strict=True)
    ]
    subjects, formed = sheet.arrays()
    grid = sheet.grid()
    rebuilt = np.array([subject_id in work.rebuild for subject_id in sheet.roster.ids])
    counts = np.array([home is not None for home in homes])[formed] & ~rebuilt[subjects]
    cell_of = np.array(cells)[formed]
    marked = np.array([bool(form.mark & Mark.TALLY) for form in sheet.forms])[formed]
    for found, whole in ((rows, counts & (cell_of >= 0) & ~marked), (told, counts & marked)):
        found.extend(subjects[whole], cell_of[whole], grid.of(_ADDITIVE).taken(whole))
    for place in np.flatnonzero(counts & (cell_of < 0)).tolist():
        form, saying = sheet.forms[sheet.formed[place]], sheet.sayings[sheet.said[place]]
        home = homes[sheet.formed[place]]
        assert home is not None  # noqa: S101 - it counts
        owner = sheet.subjects[place]
        _spread(rows, owner, _line(form, saying, grid.row(place)), home, crowds.zones_of(owner))
    return rows, told


def _whole(form: Form, home: Home) -> Cell:
    key = home.key
    assert form.day is not None  # noqa: S101 - the caller has looked
    return Cell(form.day, key.zone, 1, form.days, key.currency, key.paid)


def _line(form: Form, saying: Saying, metrics: Mapping[str, int]) -> Line:
    return Line(*form[1:6], *saying, metrics, form.day, form.days, form.event_key)


def _spread(rows: TallyRows, place: int, line: Line, home: Home, zones: Sequence[str]) -> None:
    if line.sign > 0:
        crossings.carry(rows, place, line, home.key, zones)
    for cell, sums in spread(line, zones, home.key.zone, home.key.currency, home.key.paid):
        rows.add(place, rows.cell(cell), sums)


__all__ = ["Said", "Written", "post"]
