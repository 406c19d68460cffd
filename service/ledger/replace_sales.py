"""The conversions and touches of a source, read anew: which reading of each stands, or none.

What stands is a version (``service.ledger.conversions``), so another reading is the next version. One that nobody reads
any more gets a last version that credits nobody, names nobody and was said before everything: any reading beats it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from service.context import Context
from service.ledger import conversions, recount, touchpoints
from service.ledger.horizon import is_kept
from service.ledger.journeys import Event, Touch
from service.ledger.posting import Posting
from service.ledger.readings import SeriesKey, Visit, series_id
from service.ledger.replace import EDGE, Known
from service.ledger.replace_events import NAMED, ToldEvent
from service.ledger.replace_write import write_series
from service.ledger.sales import event_told, touch_told
from service.records import SourceRow

NEVER = datetime(1900, 1, 1, tzinfo=UTC)
"""When a version was said that says that nobody says it any more."""

SALE_KEYS = """
select event_key from (
  select c.event_key from conversions c where c.workspace_id = $1 and c.source_id = $2 and c.event_key > $3
  union select t.event_key from touchpoints t where t.workspace_id = $1 and t.source_id = $2 and t.event_key > $3
) known order by event_key limit $4
"""
Version = TypeVar("Version", Event, Touch)


class SalesPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The next versions of conversions and of touches, by key, and the series that they stand on."""

    series: Mapping[int, SeriesKey]
    events: Mapping[bytes, Event]
    touches: Mapping[bytes, Touch]

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        return not (self.events or self.touches)


async def plan_sales(
    connection: asyncpg.Connection[Any],
    workspace_id: UUID,
    source: SourceRow,
    told: Mapping[bytes, Sequence[ToldEvent]],
    known: Known,
    context: Context,
) -> SalesPlan:
    """Return what must stand of conversions and touches; ``told`` names each of them, with no reading or many."""
    edge = await connection.fetchval(EDGE, workspace_id)
    parts = [part for found in told.values() for part in found if is_kept(part.reading, edge)]
    names = sorted({part.reading.subject.external_id for part in parts})
    rows = await connection.fetch(NAMED, workspace_id, source.platform, names)
    ids = {row["external_id"]: row["subject_id"] for row in rows}
    ids |= {name: context.new_id() for name in names if name not in ids}
    sold: dict[bytes, list[Event]] = defaultdict(list)
    touched: dict[bytes, list[Touch]] = defaultdict(list)
    series = {}
    for part in parts:
        reading = part.reading
        number = series_id(source.source_id.bytes, reading.key)
        home = (source.source_id, ids[reading.subject.external_id], number)
        if reading.sale is not None:
            series[number] = reading.key
            sold[part.key].append(event_told(*home, reading, part.ref))
        elif reading.touch and source.counts:
            touched[part.key].append(touch_told(source.platform, *home, reading, part.ref))
    keys = sorted(told)
    events = _newest(keys, await conversions.versions_of(connection, workspace_id, keys), sold, known, edge, _unsold)
    seen = await touchpoints.versions_of(connection, workspace_id, keys)
    touches = _newest(keys, seen, touched, known, edge, _untouched)
    # A touch that names nobody leads nowhere, and is none where none was known.
    touches = {key: one for key, one in touches.items() if key in seen or one.visit.customer or one.visit.click}
    return SalesPlan(series=series, events=events, touches=touches)


def _newest(
    keys: Sequence[bytes],
    versions: Mapping[bytes, Sequence[Version]],
    told: Mapping[bytes, Sequence[Version]],
    known: Known,
    edge: datetime | None,
    withdrawn: Callable[[Version], Version],
) -> dict[bytes, Version]:
    """Return the next version of each that changes; what deliveries said that were not read is known from versions."""
    found = {}
    for key in keys:
        own = versions.get(key, ())
        old = own[-1] if own else None
        if old is not None and edge is not None and old.at < edge:
            continue
        said: list[Version] = [one for one in own if known.fixed(one.ref) and one.observed_at > NEVER]
        said += told.get(key, ())
        newest = max(said, key=_order, default=None)
        if newest is None:
            if old is not None and old.observed_at > NEVER:
                found[key] = withdrawn(old)
        elif old is None or newest.order() != old.order():
            found[key] = newest
    return found


def _order(version: Event | Touch) -> tuple[datetime, bytes]:
    return version.order()


def _unsold(old: Event) -> Event:
    # Without a sale no refund is credited as it is.
    return msgspec.structs.replace(old, cancelled=True, observed_at=NEVER, visit=Visit(), sale=None)


def _untouched(old: Touch) -> Touch:
    return msgspec.structs.replace(old, observed_at=NEVER, visit=Visit())


async def write_sales(
    connection: asyncpg.Connection[Any], posting: Posting, source: SourceRow, plan: SalesPlan
) -> dict[UUID, int]:
    """Write a plan in an open posting that has the workspace to itself; return the lines per delivery."""
    await write_series(connection, posting.workspace_id, source, plan.series)
    changed = await touchpoints.replace(connection, posting, plan.touches)
    settled = await conversions.settle(connection, posting, plan.events, changed, read_otherwise=True)
    credited = await conversions.write_lines(connection, posting, settled)
    await recount.recount_all(connection, posting, credited, {}, credited)
    counted: dict[UUID, int] = defaultdict(int)
    for _, _, line in settled.lines:
        counted[line.ref.delivery_id] += 1
    return counted
