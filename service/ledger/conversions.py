"""Conversions, orders and refunds: append-only versions with the credits that stand, and the lines these credits book.

A version is a reading and whom it is credited to. It is replaced when a newer reading comes, or when what decides about
the credit changes: touches, the order of a refund, the facts and campaigns of a touched subject. Whoever changes any of
it holds the workspace's lock for conversions, so that none decides on what another is about to change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.kpi.attribution import Model, Windows
from service.ledger import lines, touchpoints
from service.ledger.journeys import LONGEST, MODEL, Choice, Credit, Event, Touch, choose, credits_of, same
from service.ledger.posting import Posting
from service.ledger.series import Cause, Line, Ref
from service.ledger.sheet import Roster, Sheet
from service.ledger.touch_windows import windows_of
from service.ledger.touchpoints import VISIT, VISIT_TYPES, Persons, insert_into, newest, visit_of

_METRICS = ("orders", "refunds", "conversions", "conversion_value")
_TYPES = {
    "event_key": "bytea",
    "version": "integer",
    "sign": "smallint",
    "cause": "smallint",
    "source_id": "uuid",
    "kind": "text",
    "at": "timestamptz",
    "observed_at": "timestamptz",
    "subject_id": "uuid",
    "basis": "text",
    "rule": "text",
    "sale": "bytea",
    "series_id": "bigint",
    "currency": "text",
    "goal": "text",
    "value": "bigint",
    "first_order": "boolean",
    "cancelled": "boolean",
    **VISIT_TYPES,
    "delivery_id": "uuid",
    "received_at": "timestamptz",
}
_CREDIT_TYPES = {
    "event_key": "bytea",
    "version": "integer",
    "place": "smallint",
    "subject_id": "uuid",
    "at": "timestamptz",
    "touch": "bytea",
    "observed_at": "timestamptz",
    "delivery_id": "uuid",
    "received_at": "timestamptz",
    **dict.fromkeys(_METRICS, "bigint"),
}
_INSERT = insert_into("conversions", _TYPES)
_INSERT_CREDITS = insert_into("credits", _CREDIT_TYPES)

_LOCK = "select 1 from workspaces where workspace_id = $1 for no key update"
_EVENTS = f"""
select c.*, s.external_id from conversions c join subjects s on s.workspace_id = $1 and s.subject_id = c.subject_id
where c.workspace_id = $1 and {newest("c")}
"""
_VERSIONS = """
select c.*, s.external_id from conversions c join subjects s on s.workspace_id = $1 and s.subject_id = c.subject_id
where c.workspace_id = $1 and c.sign = 1 and c.event_key = any($2::bytea[]) order by c.version
"""
_BY_KEY = f"{_EVENTS} and c.event_key = any($2::bytea[])"
_BY_SALE = f"{_EVENTS} and c.sale = any($2::bytea[])"
_BY_PERSON = f"""
{_EVENTS} and c.at >= $4 and c.at <= $5 and (c.customer = any($2::bytea[]) or c.click = any($3::bytea[]))
"""
_BETWEEN = f"""
{_EVENTS} and c.at >= $2 and c.at < $3 and exists (
  select from series k where k.workspace_id = $1 and k.series_id = c.series_id and k.counted)
"""
_CREDITS = """
select r.* from unnest($2::bytea[], $3::integer[]) as given (event_key, version)
join credits r on r.workspace_id = $1 and r.event_key = given.event_key and r.version = given.version
order by r.event_key, r.place
"""
_KEYS_OF_SUBJECTS = """
select distinct event_key from credits where workspace_id = $1 and subject_id = any($2::uuid[])
"""


class Settled(msgspec.Struct, kw_only=True):
    """What is to be booked: (subject, series, line), and the subjects that may know less than before."""

    lines: list[tuple[UUID, int, Line]] = []
    bare: set[UUID] = set()
    noted: bool = False


async def hold(connection: asyncpg.Connection[Any], workspace_id: UUID) -> None:
    """Keep everybody else from deciding about conversions of a workspace until the transaction ends."""
    await connection.execute(_LOCK, workspace_id)


async def settle(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    told: Mapping[bytes, Event],
    touches: Sequence[Touch] = (),
    subject_ids: Iterable[UUID] = (),
    *,
    read_otherwise: bool = False,
) -> Settled:
    """Write what readings, changed touches and changed subjects make of conversions; return what is to be booked.

    With ``read_otherwise`` what is told takes the place of what stands, newer or not.
    The caller holds the workspace's conversions and has written touches, facts and memberships.
    """
    workspace_id = posting.workspace_id
    moved = [*touches, *await touchpoints.on_subjects(connection, workspace_id, subject_ids)]
    standing = await _led_to(connection, workspace_id, moved)
    standing |= await _load(connection, workspace_id, _BY_KEY, sorted(told.keys() - standing.keys()))
    newest_of = {key: _newest(standing.get(key), told.get(key)) for key in standing.keys() | told.keys()}
    newest_of |= told if read_otherwise else {}
    of_sales = await _of_sales(connection, workspace_id, newest_of, standing)
    for key, event in of_sales.items():
        standing.setdefault(key, event)
        newest_of.setdefault(key, event)
    choices = await _choices(connection, workspace_id, newest_of)
    settled = Settled()
    written: list[tuple[int, int, Event]] = []
    for key in sorted(newest_of):
        cause = Cause.MAPPING_CHANGED if read_otherwise and key in told else None
        _replace(settled, written, standing.get(key), newest_of[key], choices[key], cause)
    await _write(connection, posting, written)
    settled.noted = bool(written)
    return settled


async def reattribute(connection: asyncpg.Connection[Any], posting: Posting, subject_ids: Iterable[UUID]) -> set[UUID]:
    """Credit anew what touches on subjects can have led to, and write the lines of it.

    Returns the subjects whose tallies must be made again. The caller has the workspace to itself.
    """
    return await write_lines(connection, posting, await settle(connection, posting, {}, (), subject_ids))


async def write_lines(connection: asyncpg.Connection[Any], posting: Posting, settled: Settled) -> set[UUID]:
    """Write the lines of credits, once in a posting; return the subjects whose tallies must be made again."""
    sheet = Sheet(Roster())
    for subject_id, number, line in settled.lines:
        sheet.add(subject_id, number, line)
    # Credits stand at an instant: none of them is a window.
    await lines.write(connection, posting, sheet, lambda _: False, credits_=True)
    return {subject_id for subject_id, _, _ in settled.lines}


async def standing_after(
    connection: asyncpg.Connection[Any], workspace_id: UUID, after: bytes, limit: int
) -> dict[bytes, Event]:
    """Return events as they stand in the order of their keys, a page at a time."""
    return await _load(
        connection, workspace_id, f"{_EVENTS} and c.event_key > $2 order by c.event_key limit $3", after, limit
    )


async def standing_between(
    connection: asyncpg.Connection[Any], workspace_id: UUID, start: datetime, end: datetime
) -> dict[bytes, Event]:
    """Return events of ``[start, end)`` that count, as they stand."""
    return await _load(connection, workspace_id, _BETWEEN, start, end)


async def standing_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, keys: Sequence[bytes]
) -> dict[bytes, Event]:
    """Return events as they stand, by key."""
    return await _load(connection, workspace_id, _BY_KEY, keys) if keys else {}


async def versions_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, keys: Sequence[bytes]
) -> dict[bytes, list[Event]]:
    """Return every version of events without its credits, by key, the one that stands last."""
    found: dict[bytes, list[Event]] = {}
    for row in await connection.fetch(_VERSIONS, workspace_id, keys):
        found.setdefault(row["event_key"], []).append(event_of(row, ()))
    return found


async def credited_to(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Sequence[UUID]
) -> list[tuple[Event, Credit]]:
    """Return the credits of subjects that stand, each with its event."""
    keys = await connection.fetch(_KEYS_OF_SUBJECTS, workspace_id, subject_ids)
    found = await standing_of(connection, workspace_id, [row["event_key"] for row in keys])
    named = set(subject_ids)
    return [(event, one) for event in found.values() for one in event.credits if one.subject_id in named]


async def credited_otherwise(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    events: Mapping[bytes, Event],
    model: Model,
    windows: Windows | None,
) -> dict[bytes, tuple[Credit, ...]]:
    """Return the credits of standing events under another model or other windows (None: the campaigns')."""
    mates = await _of_sales(connection, workspace_id, events, {})
    choices = await _choices(connection, workspace_id, {**mates, **events}, model, windows)
    return {key: credits_of(event, choices[key]) for key, event in events.items()}


async def expected(
    connection: asyncpg.Connection[Any], workspace_id: UUID, events: Mapping[bytes, Event]
) -> dict[bytes, tuple[str, tuple[Credit, ...]]]:
    """Return the rule and the credits that standing events must have, made again from what they depend on."""
    mates = await _of_sales(connection, workspace_id, events, {})
    choices = await _choices(connection, workspace_id, {**mates, **events})
    return {key: (choices[key].rule, credits_of(event, choices[key])) for key, event in events.items()}


def _newest(old: Event | None, told: Event | None) -> Event:
    """Return the newer of what stands and what is told; one of them is there."""
    if old is None or (told is not None and told.order() > old.order()):
        assert told is not None  # noqa: S101 - one of them is there
        return told
    return old


# ------------------------------------------------------------------------------------------------ what it depends on


async def _led_to(
    connection: asyncpg.Connection[Any], workspace_id: UUID, touches: Sequence[Touch]
) -> dict[bytes, Event]:
    """Return the conversions that touches can have led to, as they stand."""
    persons = Persons()
    for touch in touches:
        persons.add(touch.visit, touch.at)
    if persons.first is None or persons.last is None:
        return {}
    asked = (list(persons.customers), list(persons.clicks), persons.first, persons.last + LONGEST)
    return await _load(connection, workspace_id, _BY_PERSON, *asked)


async def _of_sales(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    newest_of: Mapping[bytes, Event],
    standing: Mapping[bytes, Event],
) -> dict[bytes, Event]:
    """Return the orders of refunds and the refunds of orders, as they stand: one is credited as the other.

    A reading may name another order than the one before it did: the refund is looked at, whichever it names.
    """
    sales = {event.sale for event in (*newest_of.values(), *standing.values()) if event.sale is not None}
    found = await _load(connection, workspace_id, _BY_SALE, sorted(sales)) if sales else {}
    return {key: event for key, event in found.items() if key not in newest_of}


async def _choices(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    events: Mapping[bytes, Event],
    model: Model = MODEL,
    stated: Windows | None = None,
) -> dict[bytes, Choice]:
    """Return who is credited with each event: with a refund those who are with its order."""
    persons = Persons()
    for event in events.values():
        persons.add(event.visit, event.at)
    touches = await touchpoints.of_persons(connection, workspace_id, persons)
    touched = {touch.subject_id for touch in touches}
    windows = dict.fromkeys(touched, stated) if stated else await windows_of(connection, workspace_id, touched)
    by_person: dict[bytes, list[Touch]] = defaultdict(list)
    for touch in touches:
        for name in {touch.visit.customer, touch.visit.click} - {None}:
            by_person[name].append(touch)  # type: ignore[index]  # None was taken out
    found = {}
    for key, event in events.items():
        mine = {one.key: one for name in _persons(event) for one in by_person.get(name, ())}
        found[key] = choose(event, mine.values(), windows, model)
    # A conversion and an order of one id: the order is what is refunded.
    orders = sorted((event.kind, key) for key, event in events.items() if event.kind != "refund" and event.sale)
    of_sale = {events[key].sale: found[key] for _, key in orders}
    for key, event in events.items():
        if event.kind == "refund" and event.sale in of_sale:
            found[key] = Choice(rule="refund_of", shares=of_sale[event.sale].shares)
    return found


def _persons(event: Event) -> list[bytes]:
    return [name for name in (event.visit.customer, event.visit.click) if name is not None]


async def _load(connection: asyncpg.Connection[Any], workspace_id: UUID, query: str, *asked: Any) -> dict[bytes, Event]:
    rows = await connection.fetch(query, workspace_id, *asked)
    keys, versions = [row["event_key"] for row in rows], [row["version"] for row in rows]
    credited: dict[bytes, list[Credit]] = defaultdict(list)
    for row in await connection.fetch(_CREDITS, workspace_id, keys, versions) if rows else ():
        credited[row["event_key"]].append(credit_of(row))
    return {row["event_key"]: event_of(row, credited.get(row["event_key"], ())) for row in rows}


def event_of(row: Mapping[str, Any], credits_: Iterable[Credit]) -> Event:
    """Return the event in a row that holds its subject's external id too."""
    plain = ("kind", "at", "observed_at", "subject_id", "external_id", "basis", "sale", "series_id", "currency", "goal")
    more = ("value", "first_order", "cancelled", "source_id", "version", "rule")
    return Event(
        key=row["event_key"],
        visit=visit_of(row),
        ref=Ref(row["delivery_id"], row["received_at"]),
        credits=tuple(credits_),
        **{name: row[name] for name in (*plain, *more)},
    )


def credit_of(row: Mapping[str, Any]) -> Credit:
    """Return the credit in a row."""
    return Credit(
        subject_id=row["subject_id"],
        metrics={name: row[name] for name in _METRICS if row[name] is not None},
        touch=row["touch"],
        observed_at=row["observed_at"],
        ref=Ref(row["delivery_id"], row["received_at"]),
    )


# ------------------------------------------------------------------------------------------------ what changes


def _replace(
    settled: Settled,
    written: list[tuple[int, int, Event]],
    old: Event | None,
    event: Event,
    choice: Choice,
    cause: Cause | None = None,
) -> None:
    """Let a version take the place of the one that stands, where anything of it is new."""
    wanted = credits_of(event, choice)
    read_anew = old is None or event is not old
    at_home = old is not None and (old.at, old.series_id) == (event.at, event.series_id)
    kept = {credit.subject_id: credit for credit in old.credits} if old is not None and at_home else {}
    # A line that says the same stays as it was written, with the reading that it was written for.
    standing = tuple(
        msgspec.structs.replace(one, observed_at=there.observed_at, ref=there.ref)
        if (there := kept.get(one.subject_id)) is not None and same(there, one)
        else one
        for one in wanted
    )
    if old is not None and not read_anew and (standing, choice.rule) == (old.credits, old.rule):
        return
    cause = cause or _cause(old, event, read_anew=read_anew)
    version = old.version + 1 if old is not None else 1
    if old is not None:
        written.append((-1, int(cause), old))
    current = msgspec.structs.replace(event, version=version, rule=choice.rule, credits=standing)
    written.append((1, int(cause), current))
    gone = [one for one in (old.credits if old is not None else ()) if not at_home or one not in standing]
    come = [one for one in standing if old is None or not at_home or one not in old.credits]
    come, gone = _moved(come, gone, old, at_home=at_home)
    _book(settled, old, gone, current, come, cause)


def _moved(
    come: list[Credit], gone: list[Credit], old: Event | None, *, at_home: bool
) -> tuple[list[Credit], list[Credit]]:
    """Leave out what only names another touch: no line says which."""
    if old is None or not at_home:
        return come, gone
    staying = [
        one
        for one in come
        if any(same(one, two) and (one.observed_at, one.ref) == (two.observed_at, two.ref) for two in gone)
    ]
    names = {one.subject_id for one in staying}
    return [one for one in come if one.subject_id not in names], [one for one in gone if one.subject_id not in names]


def _cause(old: Event | None, event: Event, *, read_anew: bool) -> Cause:
    if old is None:
        return Cause.REFUND if event.kind == "refund" else Cause.GROWTH
    if not read_anew:
        return Cause.REATTRIBUTED
    return Cause.SOURCE_WITHDREW if event.cancelled and not old.cancelled else Cause.SOURCE_RESTATED


def _book(
    settled: Settled, old: Event | None, gone: Sequence[Credit], event: Event, come: Sequence[Credit], cause: Cause
) -> None:
    if old is not None:
        taken = Cause.SOURCE_WITHDREW if cause is Cause.SOURCE_WITHDREW else Cause.REVERSAL
        for credit in gone:
            settled.lines.append((credit.subject_id, old.series_id, _line(old, credit, -1, taken)))
    for credit in come:
        settled.lines.append((credit.subject_id, event.series_id, _line(event, credit, 1, cause)))
    filled = {
        (credit.subject_id, metric)
        for credit in come
        if old is not None and (old.at, old.series_id) == (event.at, event.series_id)
        for metric in credit.metrics
    }
    settled.bare |= {
        credit.subject_id for credit in gone if any((credit.subject_id, name) not in filled for name in credit.metrics)
    }


def _line(event: Event, credit: Credit, sign: int, cause: Cause) -> Line:
    metrics = {metric: sign * amount for metric, amount in credit.metrics.items()}
    return Line(event.at, event.at, sign, cause, 0, credit.observed_at, credit.ref, metrics, None, 0, event.key)


# ------------------------------------------------------------------------------------------------ writing


async def _write(
    connection: asyncpg.Connection[Any], posting: Posting, written: Sequence[tuple[int, int, Event]]
) -> None:
    if not written:
        return
    rows = [_row(*version) for version in written]
    columns = [list(column) for column in zip(*rows, strict=True)]
    await connection.execute(_INSERT, posting.workspace_id, posting.batch, *columns)
    placed = [
        _credit_row(event, place, credit)
        for sign, _, event in written
        if sign > 0
        for place, credit in enumerate(event.credits)
    ]
    if placed:
        columns = [list(column) for column in zip(*placed, strict=True)]
        await connection.execute(_INSERT_CREDITS, posting.workspace_id, posting.batch, *columns)


def _row(sign: int, cause: int, event: Event) -> tuple[Any, ...]:
    own = ("source_id", "kind", "at", "observed_at", "subject_id", "basis", "rule", "sale", "series_id", "currency")
    more = ("goal", "value", "first_order", "cancelled")
    return (
        event.key,
        event.version,
        sign,
        cause,
        *(getattr(event, name) for name in (*own, *more)),
        *(getattr(event.visit, name) for name in VISIT),
        *event.ref,
    )


def _credit_row(event: Event, place: int, credit: Credit) -> tuple[Any, ...]:
    amounts = (credit.metrics.get(name) for name in _METRICS)
    said = (credit.observed_at, *credit.ref)
    return (event.key, event.version, place, credit.subject_id, event.at, credit.touch, *said, *amounts)


_HOMES = """
select s.*, o.tracks_from from series s join sources o on o.workspace_id = $1 and o.source_id = s.source_id
where s.workspace_id = $1 and s.series_id = any($2::bigint[])
"""


async def homes(
    connection: asyncpg.Connection[Any], workspace_id: UUID, numbers: Iterable[int]
) -> list[Mapping[str, Any]]:
    """Return series with what is needed to write to them again (``Work.adopt``)."""
    return list(await connection.fetch(_HOMES, workspace_id, sorted(numbers)))
