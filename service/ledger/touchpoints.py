"""Clicks and views that may lead to a conversion: append-only versions, the newest of each stands.

A newer reading of a touch reverses the version that stood and writes the next. Persons are here as keyed hashes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.ledger.journeys import LONGEST, Touch
from service.ledger.posting import Posting
from service.ledger.readings import Visit
from service.ledger.series import Ref

VISIT = tuple(Visit.__struct_fields__)
VISIT_TYPES = {name: "bytea" if name in {"customer", "click"} else "text" for name in VISIT}
_TYPES = {
    "event_key": "bytea",
    "version": "integer",
    "sign": "smallint",
    "source_id": "uuid",
    "kind": "text",
    "at": "timestamptz",
    "observed_at": "timestamptz",
    "subject_id": "uuid",
    **VISIT_TYPES,
    "delivery_id": "uuid",
    "received_at": "timestamptz",
}


def insert_into(table: str, types: Mapping[str, str]) -> str:
    """Return the insert of columns as arrays: $1 workspace, $2 batch, then the columns in the order of ``types``."""
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types.values(), start=3))
    return f"insert into {table} (workspace_id, batch, {', '.join(types)}) select $1, $2, * from unnest({arrays})"


def newest(line: str) -> str:
    """Return SQL for: no newer version of this line is there."""
    table = {"t": "touchpoints", "c": "conversions"}[line]
    return (
        f"{line}.sign = 1 and not exists (select from {table} n where n.workspace_id = $1 "
        f"and n.event_key = {line}.event_key and n.version > {line}.version)"
    )


_INSERT = insert_into("touchpoints", _TYPES)
_TOUCHES = f"""
select t.*, s.external_id, s.platform, s.facts from touchpoints t
join subjects s on s.workspace_id = $1 and s.subject_id = t.subject_id
where t.workspace_id = $1 and {newest("t")}
"""
_VERSIONS = """
select t.*, s.external_id, s.platform, s.facts from touchpoints t
join subjects s on s.workspace_id = $1 and s.subject_id = t.subject_id
where t.workspace_id = $1 and t.sign = 1 and t.event_key = any($2::bytea[]) order by t.version
"""
_BY_KEY = f"{_TOUCHES} and t.event_key = any($2::bytea[])"
_BY_PERSON = f"""
{_TOUCHES} and t.at >= $4 and t.at <= $5 and (t.customer = any($2::bytea[]) or t.click = any($3::bytea[]))
"""
_CLICKS = "select event_key, observed_at from events where workspace_id = $1 and event_key = any($2::bytea[])"
_BY_SUBJECT = f"{_TOUCHES} and t.subject_id = any($2::uuid[])"


class Persons(msgspec.Struct, kw_only=True):
    """Whose touches, and between which instants. ``first`` is None while nobody is meant."""

    customers: set[bytes] = set()
    clicks: set[bytes] = set()
    first: datetime | None = None
    last: datetime | None = None

    def add(self, visit: Visit, at: datetime) -> None:
        """Mean whom an event names, at its instant."""
        if visit.customer is None and visit.click is None:
            return
        self.customers |= {visit.customer} if visit.customer is not None else set()
        self.clicks |= {visit.click} if visit.click is not None else set()
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)


async def book(connection: asyncpg.Connection[Any], posting: Posting, told: Mapping[bytes, Touch]) -> list[Touch]:
    """Write what is newer than what stands; return the touches that it is about, as they were and as they are."""
    if not told:
        return []
    known = await standing_of(connection, posting.workspace_id, list(told))
    clicks = {
        row["event_key"]: row["observed_at"]
        for row in await connection.fetch(_CLICKS, posting.workspace_id, list(told))
    }
    lines: list[tuple[int, Touch]] = []
    changed: list[Touch] = []
    for key, touch in sorted(told.items()):
        old = known.get(key)
        if old is None and (not _names_anybody(touch.visit) or clicks.get(key, touch.observed_at) > touch.observed_at):
            # A click that names nobody leads nowhere, and a newer reading of this one may have named nobody.
            continue
        if old is not None and touch.order() <= old.order():
            continue
        if old is not None:
            lines.append((-1, old))
        lines.append((1, msgspec.structs.replace(touch, version=old.version + 1 if old is not None else 1)))
        changed += [touch] if old is None else [old, touch]
    await _write(connection, posting, lines)
    return changed


async def replace(connection: asyncpg.Connection[Any], posting: Posting, touches: Mapping[bytes, Touch]) -> list[Touch]:
    """Let other readings take the place of those that stand, newer or not; return what they are about, as ``book``."""
    known = await standing_of(connection, posting.workspace_id, list(touches)) if touches else {}
    lines: list[tuple[int, Touch]] = []
    changed: list[Touch] = []
    for key, touch in sorted(touches.items()):
        old = known.get(key)
        if old is not None:
            lines.append((-1, old))
            changed.append(old)
        if old is not None or _names_anybody(touch.visit):
            lines.append((1, msgspec.structs.replace(touch, version=old.version + 1 if old is not None else 1)))
            changed.append(touch)
    await _write(connection, posting, lines)
    return changed


async def _write(connection: asyncpg.Connection[Any], posting: Posting, lines: Sequence[tuple[int, Touch]]) -> None:
    if lines:
        await connection.execute(_INSERT, posting.workspace_id, posting.batch, *_columns(lines))


def _names_anybody(visit: Visit) -> bool:
    return visit.customer is not None or visit.click is not None


def _columns(lines: Sequence[tuple[int, Touch]]) -> list[list[Any]]:
    rows = [
        (
            touch.key,
            touch.version,
            sign,
            touch.source_id,
            touch.kind,
            touch.at,
            touch.observed_at,
            touch.subject_id,
            *(getattr(touch.visit, name) for name in VISIT),
            *touch.ref,
        )
        for sign, touch in lines
    ]
    return [list(column) for column in zip(*rows, strict=True)]


async def of_persons(connection: asyncpg.Connection[Any], workspace_id: UUID, persons: Persons) -> list[Touch]:
    """Return the touches of persons that can have led to something between two instants."""
    if persons.first is None or persons.last is None:
        return []
    rows = await connection.fetch(
        _BY_PERSON,
        workspace_id,
        list(persons.customers),
        list(persons.clicks),
        persons.first - LONGEST,
        persons.last,
    )
    return [touch_of(row) for row in rows]


async def on_subjects(
    connection: asyncpg.Connection[Any], workspace_id: UUID, subject_ids: Iterable[UUID]
) -> list[Touch]:
    """Return the touches of subjects."""
    named = list(subject_ids)
    return [touch_of(row) for row in await connection.fetch(_BY_SUBJECT, workspace_id, named)] if named else []


async def standing_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, keys: Sequence[bytes]
) -> dict[bytes, Touch]:
    """Return touches as they stand, by key."""
    rows = await connection.fetch(_BY_KEY, workspace_id, keys)
    return {row["event_key"]: touch_of(row) for row in rows}


async def versions_of(
    connection: asyncpg.Connection[Any], workspace_id: UUID, keys: Sequence[bytes]
) -> dict[bytes, list[Touch]]:
    """Return every version of touches, by key, the one that stands last."""
    found: dict[bytes, list[Touch]] = {}
    for row in await connection.fetch(_VERSIONS, workspace_id, keys):
        found.setdefault(row["event_key"], []).append(touch_of(row))
    return found


def visit_of(row: Mapping[str, Any]) -> Visit:
    """Return the visit in a row."""
    return Visit(**{name: row[name] for name in VISIT})


def touch_of(row: Mapping[str, Any]) -> Touch:
    """Return the touch in a row that holds its subject too."""
    facts = row["facts"]
    named = {name: facts[name][1] for name in ("utm_campaign", "platform_campaign") if name in facts}
    return Touch(
        key=row["event_key"],
        kind=row["kind"],
        at=row["at"],
        observed_at=row["observed_at"],
        subject_id=row["subject_id"],
        external_id=row["external_id"],
        platform=row["platform"],
        source_id=row["source_id"],
        visit=visit_of(row),
        ref=Ref(row["delivery_id"], row["received_at"]),
        own=Visit(**named),
        version=row["version"],
    )
