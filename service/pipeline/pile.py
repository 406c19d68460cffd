"""Everything that a source says today, read once and put aside by subject and by event.

Also what the books know and nobody may say any more, and which deliveries could not be read: what those said is known
from the ledger alone.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import Connector, SubjectRef
from service.context import Context
from service.db.engine import Database, driver
from service.ledger.readings import event_key
from service.ledger.replace import Known, SubjectReading, Told
from service.ledger.replace_events import CLICK_KEYS, ToldEvent, known_keys
from service.ledger.replace_sales import SALE_KEYS
from service.ledger.series import Ref
from service.pipeline import run
from service.pipeline.normalise import Normal
from service.pipeline.run import Read, Veil
from service.pipeline.spool import Spool
from service.records import ClaimedDelivery, Fate, Outcome, SourceRow, delivery_of

PAGE = 50

Reader = Callable[[ClaimedDelivery, Connector], Read | Outcome]


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery that was asked for, and the profiles that it names."""

    outcome: Outcome
    profiles: dict[str, str] = {}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is read anew: a source, and which of its deliveries (None: those queued for it).

    ``veil`` hashes persons; it is needed where events name them.
    """

    source: SourceRow
    connector_of: Callable[[str], Connector]
    context: Context
    read: Reader
    chosen: Collection[UUID] | None = None
    veil: Veil | None = None


class Pile:
    """Everything that the source says today, put aside."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.subjects: Spool[Told] = Spool(Told)
        self.events: Spool[ToldEvent] = Spool(ToldEvent)
        self.sales: Spool[ToldEvent] = Spool(ToldEvent)
        self.finished: Spool[Finished] = Spool(Finished)
        self.asked = 0
        self.unreadable = 0
        self._stack = ExitStack()
        self._read: list[int] = []
        self._postings: Counter[int] = Counter()
        self._unread: set[int] = set()
        self._incomplete: set[UUID] = set()
        self.others: list[UUID] = []
        self.since = task.context.now() - _A_WHILE
        self.late: dict[bytes, list[Told]] = {}
        self._heard: set[int] = set()

    def __enter__(self) -> Self:
        for spool in (self.subjects, self.events, self.sales, self.finished):
            self._stack.enter_context(spool)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def take(self, row: Mapping[str, Any]) -> None:
        """Put aside what a kept delivery says, in a row of ``_DELIVERIES``."""
        own = row["source_id"] == self.task.source.source_id
        chosen = self.task.chosen
        asked = own and (row["again"] if chosen is None else row["delivery_id"] in chosen)
        connector = self.task.connector_of(row["connector"])
        if not asked and row["version"] != connector.version:
            self._leave(row)
            return
        result = _storable(self.task.read(delivery_of(row, row["attempt"]), connector))
        if asked:
            self.asked += 1
            self.finished.add(row["delivery_id"].bytes, _finished(result))
        if isinstance(result, Outcome):
            self.unreadable += asked
            self._leave(row)
            return
        self._read.append(_low(row["delivery_id"]))
        if not own:
            self._heard.add(_low(row["delivery_id"]))
        self._postings.update(set(row["postings"] or ()))
        self._put_aside(result, row["source_id"], own=own)

    def _leave(self, row: Mapping[str, Any]) -> None:
        self._incomplete.add(row["source_id"])
        self._unread.update(row["postings"] or ())

    def _put_aside(self, read: Read, source_id: UUID, *, own: bool) -> None:
        ref = Ref(read.delivery.delivery_id, read.delivery.received_at)
        for told in _told(read, ref, source_id, own=own):
            self.subjects.add(told.external_id.encode(), told)
        for event in run.unnamed(read.normal.events, self.task.veil) if own else ():
            key = event_key(source_id.bytes, event.name)
            told_event = ToldEvent(key=key, ref=ref, reading=event)
            if event.sale is None and event.metrics:
                self.events.add(key, told_event)
            if event.sale is not None or event.touch:
                self.sales.add(key, told_event)

    def known(self, postings: Iterable[tuple[UUID, int, int]]) -> Known:
        """Return what was read, given every posting of the sources: source, number, how many deliveries."""
        read = array("Q", sorted(self._read))
        for source_id, posting, count in postings:
            if self._postings[posting] < count:
                self._unread.add(posting)
                self._incomplete.add(source_id)

        def was_read(delivery_id: UUID) -> bool:
            low = _low(delivery_id)
            place = bisect_left(read, low)
            return place < len(read) and read[place] == low

        # A late look may find more that was not read.
        return Known(was_read=was_read, has_unread=self._unread.__contains__, incomplete=self._incomplete)

    def has_heard(self, delivery_id: UUID) -> bool:
        """Tell whether a delivery of another source was read."""
        return _low(delivery_id) in self._heard

    def hear(self, row: Mapping[str, Any]) -> None:
        """Take in what another source said of subjects since everything was read."""
        self._heard.add(_low(row["delivery_id"]))
        connector = self.task.connector_of(row["connector"])
        read = (
            self.task.read(delivery_of(row, row["attempt"]), connector) if row["version"] == connector.version else None
        )
        if not isinstance(read, Read):
            self._leave(row)
            return
        ref = Ref(read.delivery.delivery_id, read.delivery.received_at)
        for told in _told(read, ref, row["source_id"], own=False):
            self.late.setdefault(told.external_id.encode(), []).append(told)


def _low(delivery_id: UUID) -> int:
    """Return the random half of an id: a million of them are to be remembered."""
    return delivery_id.int & 0xFFFF_FFFF_FFFF_FFFF


def _told(read: Read, ref: Ref, source_id: UUID, *, own: bool) -> Iterator[Told]:
    """Return what a delivery says, by subject; of another source only facts matter."""
    normal = read.normal
    types: dict[str, set[str]] = defaultdict(set)
    facts: dict[str, list[Any]] = defaultdict(list)
    readings: dict[str, list[Any]] = defaultdict(list)
    for subject in _subjects(normal):
        types[subject.external_id].add(str(subject.type))
    for fact in normal.facts:
        facts[fact.subject.external_id].append(fact)
    for block in normal.readings if own else ():
        for subject, metrics in zip(block.subjects, block.metrics, strict=True):
            readings[subject.external_id].append(
                SubjectReading(key=block.key, at=block.at, window=block.window, quality=block.quality, metrics=metrics)
            )
    for name, kinds in types.items():
        yield Told(
            external_id=name,
            ref=ref,
            source_id=source_id,
            types=tuple(sorted(kinds)),
            facts=tuple(facts.get(name, ())),
            readings=tuple(readings.get(name, ())),
        )


def _subjects(normal: Normal) -> Iterator[SubjectRef]:
    yield from (fact.subject for fact in normal.facts)
    for block in normal.readings:
        yield from block.subjects
    yield from (event.subject for event in normal.events)


def _storable(result: Read | Outcome) -> Read | Outcome:
    """Return a reading, or the dead letter that it is where it holds text that the database refuses."""
    if isinstance(result, Outcome):
        return result
    normal = result.normal
    keys = {reading.key for reading in normal.readings} | {event.key for event in normal.events}
    texts = [text for key in keys for text in (key.scope, key.goal, key.currency)]
    texts += [event.name for event in normal.events] + [subject.external_id for subject in _subjects(normal)]
    if all(_is_storable(text) for text in texts):
        return result
    return Outcome(
        delivery_id=result.delivery.delivery_id,
        received_at=result.delivery.received_at,
        fate=Fate.DEAD,
        connector_version=result.version,
        error="it holds text that cannot be stored",
    )


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _finished(result: Read | Outcome) -> Finished:
    if isinstance(result, Outcome):
        return Finished(outcome=result)
    return Finished(outcome=run.outcome_of(result, {}, None), profiles=run.profiles_of([result]))


# ------------------------------------------------------------------------------------------------ reading

_DELIVERIES = """
select d.delivery_id, d.received_at, d.source_id, d.channel, d.connector, d.body, d.options::text, d.headers::text,
  d.request::text, coalesce(q.again and q.ready_at <= $6, false) as again, coalesce(q.attempt, 0) + 1 as attempt,
  o.version, o.postings
from deliveries d
left join delivery_queue q
  on q.workspace_id = $1 and q.source_id = d.source_id and q.delivery_id = d.delivery_id
join lateral (
  select (array_agg(o.connector_version order by o.turn desc))[1] as version,
    array_agg(o.posting) filter (where o.posting is not null) as postings
  from delivery_outcomes o
  where o.workspace_id = $1 and o.received_at = d.received_at and o.delivery_id = d.delivery_id
    and o.outcome = 'posted'
  having count(*) > 0
) o on true
where d.workspace_id = $1 and d.source_id = any($2::uuid[]) and (d.received_at, d.delivery_id) > ($3, $4)
order by d.received_at, d.delivery_id limit $5
"""
_OLDEST = "select min(received_at) from deliveries where workspace_id = $1 and source_id = any($2::uuid[])"
_POSTINGS = """
select source_id, posting, deliveries from postings
where workspace_id = $1 and source_id = any($2::uuid[]) and deliveries > 0
"""
_NAMES = """
select external_id from subjects
where workspace_id = $1 and platform = $2 and facts ? $3 and external_id collate "C" > $4
order by external_id collate "C" limit $5
"""
_OTHERS = "select source_id from sources where workspace_id = $1 and platform = $2 and source_id <> $3"
_WAITING = "select min(received_at) from delivery_queue where workspace_id = $1 and source_id = any($2::uuid[])"
_SHARING = """
select distinct substr(name, 8)::uuid as source_id from subjects s cross join lateral jsonb_object_keys(s.facts) as name
where s.workspace_id = $1 and s.platform = $2 and s.external_id = any($3::text[]) and name like 'source:%'
"""
_LATE = """
select d.received_at, d.delivery_id from deliveries d
where d.workspace_id = $1 and d.source_id = any($2::uuid[]) and d.received_at >= $3 and exists (
  select from delivery_outcomes o
  where o.workspace_id = $1 and o.received_at = d.received_at and o.delivery_id = d.delivery_id
    and o.outcome = 'posted')
order by d.received_at, d.delivery_id
"""
_A_WHILE = timedelta(days=1)
"""Longer than a response waits before it is kept, and than clocks of two hosts differ."""


async def pile_up(db: Database, task: Task, pile: Pile) -> Known:
    """Read everything that the source has, in short transactions, and put it aside.

    Facts are said by every source of a platform: of others that speak of the same subjects, these are read too.
    """
    source = task.source
    async with db.workspace(source.workspace_id) as connection:
        raw = await driver(connection)
        rows = await raw.fetch(_OTHERS, source.workspace_id, source.platform, source.source_id)
        pile.others = [row["source_id"] for row in rows]
        waiting = await raw.fetchval(_WAITING, source.workspace_id, pile.others)
        pile.since = min(pile.since, waiting or pile.since)
    await _read_all(db, task, pile, [source.source_id])
    await _known_names(db, source, pile)
    sharing = await _sharing(db, source, pile) if pile.others else []
    if sharing:
        await _read_all(db, task, pile, sharing)
    async with db.workspace(source.workspace_id) as connection:
        raw = await driver(connection)
        rows = await raw.fetch(_POSTINGS, source.workspace_id, [source.source_id, *sharing])
    return pile.known((row["source_id"], row["posting"], row["deliveries"]) for row in rows)


async def _read_all(db: Database, task: Task, pile: Pile, sources: list[UUID]) -> None:
    workspace_id, now = task.source.workspace_id, task.context.now()
    async with db.workspace(workspace_id) as connection:
        oldest = await (await driver(connection)).fetchval(_OLDEST, workspace_id, sources)
    after = (oldest, UUID(int=0))
    while oldest is not None:
        async with db.workspace(workspace_id) as connection:
            page = await (await driver(connection)).fetch(_DELIVERIES, workspace_id, sources, *after, PAGE, now)
        for row in page:
            pile.take(row)
        if len(page) < PAGE:
            return
        after = (page[-1]["received_at"], page[-1]["delivery_id"])


async def _known_names(db: Database, source: SourceRow, pile: Pile) -> None:
    """Add what the books know of and nobody may speak of any more: subjects and events."""
    own, name = f"source:{source.source_id.hex}", ""
    async with db.workspace(source.workspace_id) as connection:
        raw = await driver(connection)
        while rows := await raw.fetch(_NAMES, source.workspace_id, source.platform, own, name, 1000):
            name = rows[-1]["external_id"]
            for row in rows:
                pile.subjects.add(row["external_id"].encode())
        for statement, keys in ((CLICK_KEYS, pile.events), (SALE_KEYS, pile.sales)):
            async for key in known_keys(raw, statement, source.workspace_id, source.source_id):
                keys.add(key)


async def _sharing(db: Database, source: SourceRow, pile: Pile) -> list[UUID]:
    """Return the other sources that name any of the subjects."""
    found: set[UUID] = set()
    async with db.workspace(source.workspace_id) as connection:
        raw = await driver(connection)
        for bucket in pile.subjects.buckets():
            names = [name.decode() for name in bucket]
            rows = await raw.fetch(_SHARING, source.workspace_id, source.platform, names)
            found |= {row["source_id"] for row in rows}
    return sorted(found - {source.source_id})


async def catch_up(raw: asyncpg.Connection[Any], pile: Pile) -> None:
    """Hear what other sources of the platform said since everything was read; they cannot say more just now.

    The caller has the workspace to itself. The source itself has one poster, which is the caller.
    """
    workspace_id = pile.task.source.workspace_id
    rows = await raw.fetch(_LATE, workspace_id, pile.others, pile.since) if pile.others else []
    for row in rows:
        if not pile.has_heard(row["delivery_id"]):
            before = UUID(int=row["delivery_id"].int - 1)
            place = (workspace_id, pile.others, row["received_at"], before)
            pile.hear(await raw.fetchrow(_DELIVERIES, *place, 1, pile.since))
