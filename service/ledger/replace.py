"""A source's deliveries, read anew: what its books must become, and the writing of the difference.

Two kinds of plans, both read without a lock and written as one posting: subjects (their facts, counters and windows)
and events. What is said today comes as :class:`Told`; what only the ledger knows is *fixed*
(``service.ledger.wanted``). A plan that is empty needs no posting: reading twice is reading once. The caller has the
lease of the source, so that nobody else posts to its series, and the workspace to itself when it writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import STORED, Kind, Window
from service.context import Context
from service.ledger import days, statements
from service.ledger.facts import TIMELESS, Stored, Subject, learn, rank, sources_of
from service.ledger.horizon import is_kept
from service.ledger.readings import Fact, SeriesKey, series_id
from service.ledger.rows import SeriesOf, balance_of, line_of
from service.ledger.series import (
    Balance,
    Flag,
    Line,
    Reading,
    Ref,
    WindowReading,
    correct,
    pack,
    window_state,
)
from service.ledger.verdicts import resets_in, verdicts
from service.ledger.wanted import Heard, Place, counters, difference, place_of, stood, unsaid, window
from service.records import SourceRow, Verdict

REPLAY = "replay"
"""The cause of postings that replace readings."""

_COUNTERS = frozenset({Kind.LIFETIME, Kind.LEVEL, Kind.UNIQUE})

WindowOf = tuple[UUID, int, datetime, datetime]


class Placed(NamedTuple):
    """A line with its subject and series."""

    subject_id: UUID
    series_id: int
    line: Line


class SubjectReading(msgspec.Struct, frozen=True, kw_only=True):
    """One observation of one series of one subject; a metric of None withdraws it from a window."""

    key: SeriesKey
    at: datetime
    window: Window | None
    quality: int
    metrics: Mapping[str, int | None]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivery says of one subject today. ``readings`` only of the source that is read anew."""

    external_id: str
    ref: Ref
    source_id: UUID
    types: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    readings: tuple[SubjectReading, ...] = ()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was read today: which deliveries, and which postings wrote for deliveries that were not.

    ``incomplete`` are sources with such deliveries: kept ones that another version read, or gone ones.
    """

    was_read: Callable[[UUID], bool]
    has_unread: Callable[[int], bool]
    incomplete: AbstractSet[UUID]

    def fixed(self, ref: Ref) -> bool:
        """Tell whether what a delivery said is known from the ledger alone."""
        return not self.was_read(ref.delivery_id)


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """When the metrics of a window were last spoken of."""

    at: Mapping[str, datetime]


class Plan(msgspec.Struct, kw_only=True):
    """What is to be written: subjects with new facts, lines, balances, and when windows were last spoken of."""

    platform: str
    subjects: dict[str, Subject] = {}
    old_facts: dict[str, Stored] = {}
    series: dict[int, SeriesKey] = {}
    placed: list[Placed] = []
    balances: dict[SeriesOf, Balance] = {}
    lost: dict[SeriesOf, set[str]] = {}
    spoken: dict[WindowOf, Spoken] = {}

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        facts_stay = not any(subject.touched for subject in self.subjects.values())
        return facts_stay and not (self.placed or self.balances or self.spoken)


# ------------------------------------------------------------------------------------------------ what is known


EDGE = "select kept_from from workspaces where workspace_id = $1"
_SUBJECTS = """
select subject_id, external_id, type, facts from subjects
where workspace_id = $1 and platform = $2 and external_id = any($3::text[])
"""
_FACT_LINES = f"""
select f.subject_id, f.name, f.observed_at, f.value, p.posting, p.source_id, p.cause
from {statements.FACTS} f join postings p using (workspace_id, batch)
where f.workspace_id = $1 and f.subject_id = any($2::uuid[])
order by p.posting
"""
_LINES = """
select e.*, s.kind, s.scope, s.zone, s.currency, s.paid, s.goal, s.counted
from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
where e.workspace_id = $1 and e.subject_id = any($2::uuid[]) and s.source_id = $3 and s.kind <> 'event'
"""
_BALANCES = f"""
select b.subject_id, b.series_id, b.at, b.earlier, {", ".join(f"b.{key}" for key in STORED)}
from balances b join series s on s.workspace_id = $1 and s.series_id = b.series_id
where b.workspace_id = $1 and b.subject_id = any($2::uuid[]) and s.source_id = $3
"""
_CONFIRMATIONS = """
select c.*, s.kind, s.scope, s.zone, s.currency, s.paid, s.goal, s.counted
from confirmations c join series s on s.workspace_id = $1 and s.series_id = c.series_id
where c.workspace_id = $1 and c.subject_id = any($2::uuid[]) and s.source_id = $3
"""


class _Books(msgspec.Struct, kw_only=True):
    """The books of some subjects at one source, as they stand."""

    fact_lines: dict[UUID, list[Any]]
    series: dict[int, SeriesKey]
    lines: dict[SeriesOf, list[Line]]
    balances: dict[SeriesOf, Balance]
    confirmations: dict[WindowOf, list[tuple[int, datetime]]]
    verdicts: Mapping[SeriesOf, Mapping[tuple[str, datetime], Verdict]]


async def _load(
    connection: asyncpg.Connection[Any], workspace_id: UUID, source_id: UUID, subject_ids: Sequence[UUID]
) -> _Books:
    books = _Books(
        fact_lines=defaultdict(list),
        series={},
        lines=defaultdict(list),
        balances={},
        confirmations=defaultdict(list),
        verdicts=await verdicts(connection, workspace_id, subject_ids),
    )
    for row in await connection.fetch(_FACT_LINES, workspace_id, subject_ids):
        books.fact_lines[row["subject_id"]].append(row)
    for row in await connection.fetch(_LINES, workspace_id, subject_ids, source_id):
        books.series.setdefault(row["series_id"], days.key_of(row))
        books.lines[row["subject_id"], row["series_id"]].append(line_of(row))
    for row in await connection.fetch(_BALANCES, workspace_id, subject_ids, source_id):
        books.balances[row["subject_id"], row["series_id"]] = balance_of(row)
    for row in await connection.fetch(_CONFIRMATIONS, workspace_id, subject_ids, source_id):
        books.series.setdefault(row["series_id"], days.key_of(row))
        key = (row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"])
        books.confirmations[key].append((row["mask"], row["confirmed_at"]))
    return books


# ------------------------------------------------------------------------------------------------ plans


async def plan_subjects(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    source: SourceRow,
    told: Mapping[str, Sequence[Told]],
    known: Known,
    context: Context,
) -> Plan:
    """Return what the books of subjects must become; ``told`` names each of them, with nothing said or much."""
    plan = Plan(platform=source.platform)
    edge = await connection.fetchval(EDGE, workspace_id)
    rows = await connection.fetch(_SUBJECTS, workspace_id, source.platform, sorted(told))
    found = {row["external_id"]: row for row in rows}
    books = await _load(connection, workspace_id, source.source_id, [row["subject_id"] for row in rows])
    planner = _Planner(plan, source, books, known, edge)
    for name in sorted(told):
        row = found.get(name)
        if row is not None:
            planner.plan(name, row["subject_id"], row["facts"], told[name])
        elif told[name]:
            planner.plan(name, context.new_id(), None, told[name])
    await _republish(connection, workspace_id, source, plan)
    return plan


class _Planner:
    """Plans the books of one subject after the other."""

    def __init__(self, plan: Plan, source: SourceRow, books: _Books, known: Known, edge: datetime | None) -> None:
        self.result = plan
        self.source = source
        self.books = books
        self.known = known
        self.edge = edge
        self.tracks_from = max(source.tracks_from, edge) if edge is not None else source.tracks_from
        self.own = f"source:{source.source_id.hex}"
        self.numbers: dict[SeriesKey, int] = {}
        self.series_of: dict[UUID, set[int]] = defaultdict(set)
        self.confirmed: dict[SeriesOf, set[tuple[datetime, datetime]]] = defaultdict(set)
        for subject_id, number, start, end in books.confirmations:
            self.confirmed[subject_id, number].add((start, end))
        for subject_id, number in (*books.lines, *self.confirmed):
            self.series_of[subject_id].add(number)

    def plan(self, name: str, subject_id: UUID, facts: Stored | None, told: Sequence[Told]) -> None:
        """Plan the facts, counters and windows of a subject; ``facts`` is None where it is new."""
        subject = self._subject(name, subject_id, facts or {}, told)
        subject.fresh = facts is None
        if subject.touched or subject.fresh:
            self.result.subjects[name] = subject
            self.result.old_facts[name] = facts or {}
        published = subject.published_at()
        if published is not None and published < self.tracks_from:
            published = None
        counted: dict[int, list[Reading]] = defaultdict(list)
        windows: dict[int, dict[Place, list[WindowReading]]] = defaultdict(lambda: defaultdict(list))
        for part in told:
            for reading in part.readings:
                if not is_kept(reading, self.edge):
                    continue
                number = self._number(reading.key)
                if reading.window is None:
                    metrics = {metric: value for metric, value in reading.metrics.items() if value is not None}
                    counted[number].append(Reading(reading.at, metrics, part.ref))
                else:
                    windows[number][_place(reading.window)].append(_window_reading(reading, part.ref))
        for number in sorted(self.series_of[subject_id] | counted.keys() | windows.keys()):
            key = (subject_id, number)
            lines = [
                line for line in self.books.lines.get(key, ()) if self.edge is None or line.valid_from >= self.edge
            ]
            if self.books.series[number].kind in _COUNTERS:
                self._counter(key, [line for line in lines if not _is_window(line)], counted[number], published)
            self._windows(key, [line for line in lines if _is_window(line)], windows[number])

    def _number(self, key: SeriesKey) -> int:
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = series_id(self.source.source_id.bytes, key)
            if number not in self.books.series:
                self.books.series[number] = key
                self.result.series[number] = key
        return number

    def _subject(self, name: str, subject_id: UUID, facts: Stored, told: Sequence[Told]) -> Subject:
        """Return the subject with the facts that hold now; ``changed`` are those with another value or none."""
        subject = Subject(subject_id=subject_id, external_id=name, said=_said(told), facts={})
        for part in told:
            for fact in part.facts:
                learn(subject, fact.name, fact.observed_at, fact.value)
            for kind in part.types:
                learn(subject, "type", *rank(kind))
            learn(subject, f"source:{part.source_id.hex}", TIMELESS, value=True)
        self._remember(subject, facts, told)
        subject.changed = {
            one for one in facts.keys() | subject.facts.keys() if _value(facts, one) != _value(subject.facts, one)
        }
        subject.touched = subject.facts != facts
        return subject

    def _remember(self, subject: Subject, facts: Stored, told: Sequence[Told]) -> None:
        """Let a subject keep what was said of it by deliveries that were not read anew."""
        said = {(fact.name, fact.observed_at) for part in told for fact in part.facts}
        named = {*sources_of(facts), *sources_of(subject.facts)}
        for line in self._unread_facts(subject.subject_id, complete=not named & self.known.incomplete):
            if (line["name"], line["observed_at"]) not in said:
                learn(subject, line["name"], line["observed_at"], line["value"])
                if line["source_id"] == self.source.source_id:
                    learn(subject, self.own, TIMELESS, value=True)
        if any(self._has_fixed(subject.subject_id, number) for number in self.series_of[subject.subject_id]):
            learn(subject, self.own, TIMELESS, value=True)
        for name in facts:
            if name.startswith("source:") and name != self.own:
                subject.facts[name] = facts[name]
        if not any(name.startswith("source:") for name in subject.facts):
            subject.facts = {}
        elif "type" not in subject.facts and "type" in facts:
            subject.facts["type"] = facts["type"]

    def _unread_facts(self, subject_id: UUID, *, complete: bool) -> list[Any]:
        """Return lines of facts that deliveries wrote which were not read anew.

        A replay before this one took everything into account that it knew: what it wrote stands for all before it.
        """
        by_name: dict[str, list[Any]] = defaultdict(list)
        for line in self.books.fact_lines[subject_id]:
            lines = by_name[line["name"]]
            if line["cause"] == REPLAY:
                lines.clear()
                kept = not complete and line["value"] is not None
            else:
                kept = self.known.has_unread(line["posting"])
            if kept:
                lines.append(line)
        return [line for lines in by_name.values() for line in lines]

    def _has_fixed(self, subject_id: UUID, number: int) -> bool:
        return any(self.known.fixed(ref) for ref in {line.ref for line in self.books.lines[subject_id, number]})

    def _counter(
        self, key: SeriesOf, lines: Sequence[Line], readings: Sequence[Reading], published: datetime | None
    ) -> None:
        heard = Heard(self.known.fixed, set())
        level = self.books.series[key[1]].kind is not Kind.LIFETIME
        resets = resets_in(self.books.verdicts.get(key, {}))
        wanted, balance = counters(lines, readings, published, resets, heard, level=level)
        self.result.placed += [Placed(*key, line) for line in difference(stood(lines), wanted, heard)]
        old = self.books.balances.get(key, Balance({}, {}))
        if balance != old:
            self.result.balances[key] = balance
            self.result.lost[key] = old.values.keys() - balance.values.keys()

    def _windows(self, key: SeriesOf, lines: Sequence[Line], readings: Mapping[Place, list[WindowReading]]) -> None:
        by_place: dict[Place, list[Line]] = {place: [] for place in readings}
        for line in lines:
            by_place.setdefault(place_of(line), []).append(line)
        for place, own in by_place.items():
            heard = Heard(self.known.fixed, set())
            wanted, said = window(place, own, readings.get(place, ()), heard)
            written = [*difference(stood(own), wanted, heard), *unsaid(place, own, heard)]
            self.result.placed += [Placed(*key, line) for line in written]
            self._speak((*key, place.valid_from, place.valid_to), [*own, *written], said)
        spans = {(place.valid_from, place.valid_to) for place in by_place}
        for start, end in self.confirmed[key] - spans:
            if self.edge is None or start >= self.edge:
                self._speak((*key, start, end), (), {})

    def _speak(self, key: WindowOf, lines: Sequence[Line], said: Mapping[str, datetime]) -> None:
        """Plan when a window was last spoken of, where the confirmations say otherwise."""
        stored = window_state(lines, self.books.confirmations.get(key, ())).said
        if self.source.source_id not in self.known.incomplete:
            if stored != said:
                self.result.spoken[key] = Spoken(at=said)
        else:
            later = {metric: at for metric, at in said.items() if metric not in stored or at > stored[metric]}
            if later:
                self.result.spoken[key] = Spoken(at=stored | later)


def _said(told: Iterable[Told]) -> str:
    return max((kind for part in told for kind in part.types), key=rank, default="post")


def _value(facts: Stored, name: str) -> Any:
    return facts[name][1] if name in facts else None


def _window_reading(reading: SubjectReading, ref: Ref) -> WindowReading:
    return WindowReading(reading.at, reading.metrics, ref, reading.quality)


def _place(stated: Window) -> Place:
    whole = stated.day is not None
    flags = Flag.NONE if whole else Flag.SHORT
    return Place(stated.start, stated.end, flags, stated.day, stated.days if whole else 0)


def _is_window(line: Line) -> bool:
    return line.day is not None or line.days > 0 or bool(line.flags & Flag.SHORT)


async def _republish(connection: asyncpg.Connection[Any], workspace_id: UUID, source: SourceRow, plan: Plan) -> None:
    """Plan what other publications of subjects make of their first values at other sources."""
    moved = {
        subject.subject_id: subject
        for subject in plan.subjects.values()
        if "published_at" in subject.changed and not subject.fresh
    }
    rows = await connection.fetch(statements.SERIES_OF_SUBJECTS, workspace_id, list(moved)) if moved else []
    others = {(row["subject_id"], row["series_id"]): row for row in rows if row["source_id"] != source.source_id}
    if not others:
        return
    subject_ids, numbers = [key[0] for key in others], [key[1] for key in others]
    lines: dict[SeriesOf, list[Line]] = defaultdict(list)
    for row in await connection.fetch(statements.ENTRIES_OF_SERIES, workspace_id, subject_ids, numbers):
        lines[row["subject_id"], row["series_id"]].append(line_of(row))
    said = await verdicts(connection, workspace_id, subject_ids)
    for row in await connection.fetch(statements.BALANCES, workspace_id, subject_ids, numbers):
        key, balance = (row["subject_id"], row["series_id"]), balance_of(row)
        home = others[key]
        published = moved[key[0]].published_at()
        origin = published if published is not None and published >= home["tracks_from"] else None
        resets = resets_in(said.get(key, {}))
        changes = correct(balance, lines[key], [], origin, level=home["kind"] != Kind.LIFETIME, resets=resets)
        plan.placed += [Placed(*key, line) for line in pack(changes)]
