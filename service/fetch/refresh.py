"""The refresh plan of a source: which subjects a kind of task should ask for by name now, within its budget.

It joins what the books know (``service.fetch.known``), what may be spent (``service.fetch.allowance``) and what is
worth a look (``service.fetch.freshness``). What it remembers between two looks only saves questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Connector, FetchKind, Kind, SubjectRef, SubjectType
from service.fetch import known
from service.fetch.allowance import calls_per_hour, regular_pace, room
from service.fetch.freshness import Known, choose
from service.fetch.plan import NAMING_SLOT, TaskRow, Wanted, may_choose, slot_of
from service.records import SourceRow

_HOUR = timedelta(hours=1)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of one source; ``sources`` is how many active ones share the budget of its app."""

    row: SourceRow
    connector: Connector
    kind: FetchKind
    tasks: Sequence[TaskRow]
    hints: Sequence[SubjectRef]
    sources: int


class Refresh:
    """Plans for any source."""

    def __init__(self) -> None:
        self._idle: dict[tuple[UUID, str], datetime] = {}

    async def wanted(self, connection: AsyncConnection, asked: Asked, now: datetime) -> Wanted:
        """Return the subjects to name: those hinted at and, once in a slot, those that are worth a look."""
        row, kind = asked.row, asked.kind
        key, slot = (row.source_id, kind.name), slot_of(now, NAMING_SLOT, row.source_id, kind.name)
        chooses = self._idle.get(key) != slot and may_choose(kind, asked.tasks, row.source_id, now)
        if not chooses and not asked.hints:
            return Wanted()
        types = types_of(asked.connector)
        subjects = await known.subjects(connection, row, kind, types, now) if chooses and types else []
        spent = await known.spent(connection, row, kind, now) if subjects or asked.hints else 0
        wanted = _within(asked, subjects, spent, now)
        if chooses and not wanted.names():
            self._idle[key] = slot
        return wanted if chooses else msgspec.structs.replace(wanted, chosen=None)


def _within(asked: Asked, subjects: Sequence[Known], spent: int, now: datetime) -> Wanted:
    """Return as many subjects as the budget has room for; hints may take what is left of the hour."""
    kind = asked.kind
    hourly = calls_per_hour(asked.connector.capabilities.budgets, asked.sources)
    hints = asked.hints if hourly is None else asked.hints[: room(kind, hourly, spent, _HOUR)]
    named = frozenset(hints)
    others = [one for one in subjects if one.subject not in named]
    pace = regular_pace(kind, len(subjects)) if hourly is None else hourly
    left = room(kind, pace, spent, NAMING_SLOT) - len(hints)
    chosen = choose(others, now, kind.look_back, left, asked.row.source_id.bytes + kind.name.encode())
    return Wanted(hints=hints, chosen=tuple(one.subject for one in chosen), knows=bool(subjects))


def types_of(connector: Connector) -> frozenset[SubjectType]:
    """Return the types of subjects whose counters a connector reads: only of those is growth known."""
    counters = [one for one in connector.metrics if one.metric is not None and one.kind is Kind.LIFETIME]
    told = frozenset(kind for one in counters for kind in one.subject_types)
    everything = frozenset(SubjectType) if any(not one.subject_types for one in counters) else told
    return everything - {SubjectType.PROFILE}
