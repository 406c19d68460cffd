"""Conversions as they stood at a posting, divided anew by models that a reader chooses. Nothing is booked.

Which touches led to a conversion is decided as the books decide it; only how they share it is the reader's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.kpi.attribution import Weights, Windows
from service.ledger.conversions import event_of
from service.ledger.history.knowledge import seen
from service.ledger.journeys import LONGEST, NOBODY, Choice, Credit, Event, Touch, choose, credits_of
from service.ledger.statements import FACTS
from service.ledger.touch_windows import windows_of
from service.ledger.touchpoints import touch_of

MOST = 20_000
"""Conversions of one question at most."""
_FACTS = ("utm_campaign", "platform_campaign")


class Divided(msgspec.Struct, frozen=True, kw_only=True):
    """One conversion, order or refund with its credits under each model, by name, and the rule that led to its touches.

    ``credits`` name subjects; what leads nowhere is on a subject of nobody (:func:`nobodies`).
    """

    event: Event
    rules: Mapping[str, str]
    credits: Mapping[str, tuple[Credit, ...]]


class Readers(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader chose: models by name, and windows for all touches (None: those of the books)."""

    models: Mapping[str, Weights]
    windows: Windows | None = None


def _stood(table: str, line: str, number: int | None, place: int) -> str:
    """Return SQL for: this line is the newest version that was known."""
    return (
        f"{line}.sign = 1 and {seen(number, place, line)} and not exists (select from {table} n "
        f"where n.workspace_id = $1 and n.event_key = {line}.event_key and n.sign = 1 "
        f"and n.version > {line}.version and {seen(number, place, 'n')})"
    )


async def divided(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    start: datetime,
    end: datetime,
    number: int | None,
    readers: Readers,
) -> list[Divided] | None:
    """Return what was sold in ``[start, end)`` with its credits under each model; None where it is too much."""
    events = await _events(connection, workspace_id, start, end, number)
    if len(events) > MOST:
        return None
    sales = await _sales(connection, workspace_id, events, number)
    every = {**sales, **events}
    touches = await _touches(connection, workspace_id, every.values(), number)
    windows = await windows_of(connection, workspace_id, {one.subject_id for one in touches}, number)
    if readers.windows is not None:
        windows = dict.fromkeys((one.subject_id for one in touches), readers.windows)
    by_person: dict[bytes, list[Touch]] = defaultdict(list)
    for touch in touches:
        for name in {touch.visit.customer, touch.visit.click} - {None}:
            by_person[name].append(touch)  # type: ignore[index]  # None was taken out
    chosen = {model: _choices(every, by_person, windows, weigh) for model, weigh in readers.models.items()}
    return [
        Divided(
            event=event,
            rules={model: choices[key].rule for model, choices in chosen.items()},
            credits={model: credits_of(event, choices[key]) for model, choices in chosen.items()},
        )
        for key, event in sorted(events.items(), key=lambda pair: (pair[1].at, pair[0]))
    ]


async def nobodies(connection: asyncpg.Connection[Any], workspace_id: UUID) -> set[UUID]:
    """Return the subjects that stand for nobody, one per platform."""
    query = "select subject_id from subjects where workspace_id = $1 and external_id = $2"
    return {row["subject_id"] for row in await connection.fetch(query, workspace_id, NOBODY)}


def _choices(
    events: Mapping[bytes, Event],
    by_person: Mapping[bytes, Sequence[Touch]],
    windows: Mapping[UUID, Windows],
    weigh: Weights,
) -> dict[bytes, Choice]:
    """Return who is credited with each event under one model; with a refund those who are with its order."""
    found = {}
    for key, event in events.items():
        names = [name for name in (event.visit.customer, event.visit.click) if name is not None]
        mine = {one.key: one for name in names for one in by_person.get(name, ())}
        found[key] = choose(event, mine.values(), windows, weigh)
    orders = sorted((event.kind, key) for key, event in events.items() if event.kind != "refund" and event.sale)
    of_sale = {events[key].sale: found[key] for _, key in orders}
    for key, event in events.items():
        if event.kind == "refund" and event.sale in of_sale:
            found[key] = Choice(rule="refund_of", shares=of_sale[event.sale].shares)
    return found


async def _events(
    connection: asyncpg.Connection[Any], workspace_id: UUID, start: datetime, end: datetime, number: int | None
) -> dict[bytes, Event]:
    rows = await connection.fetch(
        f"""
        select c.*, s.external_id from conversions c
        join subjects s on s.workspace_id = $1 and s.subject_id = c.subject_id
        where c.workspace_id = $1 and c.at >= $2 and c.at < $3 and {_stood("conversions", "c", number, 4)}
        limit {MOST + 1}
        """,
        workspace_id,
        start,
        end,
        number,
    )
    return {row["event_key"]: event_of(row, ()) for row in rows}


async def _sales(
    connection: asyncpg.Connection[Any], workspace_id: UUID, events: Mapping[bytes, Event], number: int | None
) -> dict[bytes, Event]:
    """Return the orders of refunds, whenever they were made."""
    wanted = sorted({event.sale for event in events.values() if event.kind == "refund" and event.sale is not None})
    if not wanted:
        return {}
    rows = await connection.fetch(
        f"""
        select c.*, s.external_id from conversions c
        join subjects s on s.workspace_id = $1 and s.subject_id = c.subject_id
        where c.workspace_id = $1 and c.sale = any($2::bytea[]) and c.kind <> 'refund'
          and {_stood("conversions", "c", number, 3)}
        """,
        workspace_id,
        wanted,
        number,
    )
    return {row["event_key"]: event_of(row, ()) for row in rows}


async def _touches(
    connection: asyncpg.Connection[Any], workspace_id: UUID, events: Iterable[Event], number: int | None
) -> list[Touch]:
    """Return the touches of everybody who bought, as they stood, with what their subjects said of themselves then."""
    named = [event for event in events if event.visit.customer is not None or event.visit.click is not None]
    if not named:
        return []
    rows = await connection.fetch(
        f"""
        select t.*, s.external_id, s.platform, s.facts from touchpoints t
        join subjects s on s.workspace_id = $1 and s.subject_id = t.subject_id
        where t.workspace_id = $1 and t.at >= $4 and t.at <= $5
          and (t.customer = any($2::bytea[]) or t.click = any($3::bytea[])) and {_stood("touchpoints", "t", number, 6)}
        """,
        workspace_id,
        sorted({event.visit.customer for event in named if event.visit.customer is not None}),
        sorted({event.visit.click for event in named if event.visit.click is not None}),
        min(event.at for event in named) - LONGEST,
        max(event.at for event in named),
        number,
    )
    touches = [touch_of(row) for row in rows]
    return touches if number is None else await _knowing_then(connection, workspace_id, touches, number)


async def _knowing_then(
    connection: asyncpg.Connection[Any], workspace_id: UUID, touches: Sequence[Touch], number: int
) -> list[Touch]:
    rows = await connection.fetch(
        f"""
        select distinct on (f.subject_id, f.name) f.subject_id, f.name, f.value
        from {FACTS} f join postings p using (workspace_id, batch)
        where f.workspace_id = $1 and f.subject_id = any($2::uuid[]) and f.name = any($3::text[]) and p.posting <= $4
        order by f.subject_id, f.name, p.posting desc
        """,
        workspace_id,
        sorted({one.subject_id for one in touches}),
        _FACTS,
        number,
    )
    facts: dict[UUID, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        facts[row["subject_id"]][row["name"]] = row["value"]
    empty = {"utm_campaign": None, "platform_campaign": None}
    return [
        msgspec.structs.replace(one, own=msgspec.structs.replace(one.own, **(empty | facts.get(one.subject_id, {}))))
        for one in touches
    ]
