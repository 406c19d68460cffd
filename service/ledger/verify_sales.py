"""The proof of conversions: credits are what touches and orders make them, lines are what credits book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from connectors.contract import Kind
from service.ledger import conversions, days, statements, touchpoints
from service.ledger.readings import EventReading, SeriesKey, event_key, series_id
from service.ledger.report import Report
from service.ledger.sales import event_told, touch_told
from service.ledger.series import Line
from service.ledger.work import Said

_PAGE = 1000
_NOBODY = UUID(int=0)
_EVER = datetime.max.replace(tzinfo=UTC)
_ORPHANS = """
select count(*) from (
  select batch from conversions where workspace_id = $1 union all select batch from touchpoints where workspace_id = $1
  union all select batch from credits where workspace_id = $1
) v where not exists (select from postings p where p.workspace_id = $1 and p.batch = v.batch)
"""

Booked = Mapping[tuple[bytes, UUID], Any]
"""What stands of (event, subject): series, instant, metrics and the reading it was written for."""


async def sold(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    ids: Sequence[UUID],
    lines: Mapping[tuple[UUID, int], tuple[SeriesKey, Sequence[Line]]],
    edge: datetime | None,
    report: Report,
) -> set[bytes]:
    """Compare the lines of subjects with their credits; return the events that these lines belong to.

    Lines of before the edge of the books went with their months.
    """
    credited = await conversions.credited_to(raw, workspace_id, ids)
    wanted = {
        (event.key, one.subject_id): (event.series_id, event.at, dict(one.metrics), one.observed_at, one.ref)
        for event, one in credited
        if edge is None or event.at >= edge
    }
    found = {
        (line.event_key or b"", subject): (number, line.valid_from, dict(line.metrics), line.observed_at, line.ref)
        for (subject, number), (key, series_lines) in lines.items()
        if key.kind is Kind.EVENT
        for line in days.net(series_lines)
        if edge is None or line.valid_from >= edge
    }
    known = await conversions.standing_of(raw, workspace_id, sorted({key for key, _ in found}))
    for about in {key for key in found if key[0] in known} | wanted.keys():
        if wanted.get(about) != found.get(about):
            report.differs("credits", (about[0].hex(), about[1]), wanted.get(about), found.get(about))
    report.count("credits", len(wanted))
    return set(known)


async def check_conversions(raw: asyncpg.Connection[Any], workspace_id: UUID, report: Report) -> None:
    """Credit every conversion again from its touches and orders, and compare."""
    after = b""
    while events := await conversions.standing_after(raw, workspace_id, after, _PAGE):
        after = max(events)
        for key, (rule, credits_) in (await conversions.expected(raw, workspace_id, events)).items():
            wanted = (rule, [(one.subject_id, dict(one.metrics), one.touch) for one in credits_])
            event = events[key]
            found = (event.rule, [(one.subject_id, dict(one.metrics), one.touch) for one in event.credits])
            if wanted != found:
                report.differs("conversions", key.hex(), wanted, found)
        report.count("conversions", len(events))
    orphans = await raw.fetchval(_ORPHANS, workspace_id)
    if orphans:
        report.differs("postings", "versions without a posting", 0, orphans)


async def check_told(
    raw: asyncpg.Connection[Any],
    workspace_id: UUID,
    source_id: UUID,
    parts: Sequence[Said],
    edge: datetime | None,
    report: Report,
) -> None:
    """Look for every reading of an event of a source in the books, or for one that is newer."""
    told = [(part, event) for part in parts for event in part.events]
    if not told:
        return
    keys = sorted({event_key(source_id.bytes, event.name) for _, event in told})
    rows = await raw.fetch(statements.EVENTS, workspace_id, keys)
    # One that happened before the edge stays as it was.
    clicks = {row["event_key"]: row["observed_at"] if edge is None or row["at"] >= edge else _EVER for row in rows}
    events = await conversions.standing_of(raw, workspace_id, keys)
    touches = await touchpoints.standing_of(raw, workspace_id, keys)
    source = await raw.fetchrow(_SOURCE, workspace_id, source_id)
    for part, reading in told:
        key = event_key(source_id.bytes, reading.name)
        number = series_id(source_id.bytes, reading.key)
        known: Any = clicks.get(key)
        booked = known is not None and known >= reading.observed_at
        if reading.sale is not None:
            known = events.get(key)
            mine = event_told(source_id, _NOBODY, number, reading, part.ref)
            booked = known is not None and mine.order() <= known.order()
        elif _leads(reading) and source["counts"]:
            known = touches.get(key)
            mine_too = touch_told(source["platform"], source_id, _NOBODY, number, reading, part.ref)
            newer = key in clicks and clicks[key] > reading.observed_at
            booked = newer or (known is not None and mine_too.order() <= known.order())
        if not booked and not (reading.touch == "view" and not source["counts"]):
            report.differs("points", reading.name.partition(":")[0], reading.observed_at, known and "an older reading")
    report.count("points", len(told))


_SOURCE = "select counts, platform from sources where workspace_id = $1 and source_id = $2"


def _leads(reading: EventReading) -> bool:
    return bool(reading.touch) and (reading.visit.customer is not None or reading.visit.click is not None)
