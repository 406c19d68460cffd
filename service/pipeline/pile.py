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
from typing import Any, Self
from uuid import UUID

import msgspec

from connectors.contract import Connector, SubjectRef
from service.context import Context
from service.db.engine import Database, driver
from service.ledger.readings import event_key
from service.ledger.replace import Known, Told
from service.ledger.replace_events import ToldEvent, known_keys
from service.ledger.series import Ref
from service.pipeline import run
from service.pipeline.normalise import Normal
from service.pipeline.run import Read
from service.pipeline.spool import Spool
from service.records import ClaimedDelivery, Outcome, SourceRow

PAGE = 50

Reader = Callable[[ClaimedDelivery, Connector], Read | Outcome]


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery that was asked for, and the profiles that it names."""

    outcome: Outcome
    profiles: dict[str, str] = {}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is read anew: a source, and which of its deliveries (None: those queued for it)."""

    source: SourceRow
    connector_of: Callable[[str], Connector]
    context: Context
    read: Reader
    chosen: Collection[UUID] | None = None


class Pile:
    """Everything that the source says today, put aside."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.subjects: Spool[Told] = Spool(Told)
        self.events: Spool[ToldEvent] = Spool(ToldEvent)
        self.finished: Spool[Finished] = Spool(Finished)
        self.asked = 0
        self.unreadable = 0
        self._stack = ExitStack()
        self._read: list[int] = []
        self._postings: Counter[int] = Counter()
        self._unread: set[int] = set()
        self._incomplete: set[UUID] = set()

    def __enter__(self) -> Self:
        for spool in (self.subjects, self.events, self.finished):
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
        result = self.task.read(_delivery(row), connector)
        if asked:
            self.asked += 1
            self.finished.add(row["delivery_id"].bytes, _finished(result))
        if isinstance(result, Outcome):
            self.unreadable += asked
            self._leave(row)
            return
        self._read.append(_low(row["delivery_id"]))
        self._postings.update(set(row["postings"] or ()))
        self._put_aside(result, row["source_id"], own=own)

    def _leave(self, row: Mapping[str, Any]) -> None:
        self._incomplete.add(row["source_id"])
        self._unread.update(row["postings"] or ())

    def _put_aside(self, read: Read, source_id: UUID, *, own: bool) -> None:
        ref = Ref(read.delivery.delivery_id, read.delivery.received_at)
        for told in _told(read, ref, source_id, own=own):
            self.subjects.add(told.external_id.encode(), told)
        if own:
            for event in read.normal.events:
                key = event_key(source_id.bytes, event.name)
                self.events.add(key, ToldEvent(key=key, ref=ref, reading=event))

    def known(self, postings: Iterable[tuple[UUID, int, int]]) -> Known:
        """Return what was read, given every posting of the sources: source, number, how many deliveries."""
        read = array("Q", sorted(self._read))
        unread, incomplete = set(self._unread), set(self._incomplete)
        for source_id, posting, count in postings:
            if self._postings[posting] < count:
                unread.add(posting)
                incomplete.add(source_id)

        def was_read(delivery_id: UUID) -> bool:
            low = _low(delivery_id)
            place = bisect_left(read, low)
            return place < len(read) and read[place] == low

        return Known(was_read=was_read, has_unread=unread.__contains__, incomplete=frozenset(incomplete))


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
    for reading in normal.readings if own else ():
        readings[reading.subject.external_id].append(reading)
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
    yield from (reading.subject for reading in normal.readings)
    yield from (event.subject for event in normal.events)


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
# Facts are said by every source of a platform: others are read too where they speak of the same subjects.
_SHARING = """
select distinct substr(name, 8)::uuid as source_id from subjects s cross join lateral jsonb_object_keys(s.facts) as name
where s.workspace_id = $1 and s.platform = $2 and s.facts ? $3 and name like 'source:%'
"""
_NAMES = """
select external_id from subjects
where workspace_id = $1 and platform = $2 and facts ? $3 and external_id collate "C" > $4
order by external_id collate "C" limit $5
"""


async def pile_up(db: Database, task: Task, pile: Pile) -> Known:
    """Read everything that the source has, in short transactions, and put it aside."""
    source = task.source
    own = f"source:{source.source_id.hex}"
    async with db.workspace(source.workspace_id) as connection:
        raw = await driver(connection)
        rows = await raw.fetch(_SHARING, source.workspace_id, source.platform, own)
        sources = sorted({source.source_id, *(row["source_id"] for row in rows)})
        oldest = await raw.fetchval(_OLDEST, source.workspace_id, sources)
    after, now = (oldest, UUID(int=0)), task.context.now()
    while oldest is not None:
        async with db.workspace(source.workspace_id) as connection:
            raw = await driver(connection)
            page = await raw.fetch(_DELIVERIES, source.workspace_id, sources, *after, PAGE, now)
        for row in page:
            pile.take(row)
        if len(page) < PAGE:
            break
        after = (page[-1]["received_at"], page[-1]["delivery_id"])
    await _known_names(db, source, own, pile)
    async with db.workspace(source.workspace_id) as connection:
        rows = await (await driver(connection)).fetch(_POSTINGS, source.workspace_id, sources)
    return pile.known((row["source_id"], row["posting"], row["deliveries"]) for row in rows)


async def _known_names(db: Database, source: SourceRow, own: str, pile: Pile) -> None:
    """Add what the books know of and nobody may speak of any more: subjects and events."""
    name, key = "", b""
    async with db.workspace(source.workspace_id) as connection:
        raw = await driver(connection)
        while rows := await raw.fetch(_NAMES, source.workspace_id, source.platform, own, name, 1000):
            name = rows[-1]["external_id"]
            for row in rows:
                pile.subjects.add(row["external_id"].encode())
        while keys := await known_keys(raw, source.workspace_id, source.source_id, key, 1000):
            key = keys[-1]
            for one in keys:
                pile.events.add(one)


def _delivery(row: Mapping[str, Any]) -> ClaimedDelivery:
    return ClaimedDelivery(
        delivery_id=row["delivery_id"],
        received_at=row["received_at"],
        channel=row["channel"],
        connector=row["connector"],
        options=msgspec.json.decode(row["options"]),
        headers=msgspec.json.decode(row["headers"]),
        request=msgspec.json.decode(row["request"]),
        body=row["body"],
        attempt=row["attempt"],
    )
