"""Holding a posting to the edge of the books: what lies before it is a drop, as data.

Retention carried everything before the edge over it, and the months themselves go. Events that happened before it stay
as they are: their lines went too, and cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Drop, DropReason
from service.db.engine import driver
from service.ledger.horizon import is_kept
from service.ledger.posting import Posting
from service.ledger.readings import Readings, event_key
from service.pipeline.normalise import Normal
from service.records import SourceRow

_DETAIL = "before what is kept"
_BEFORE = """
select event_key from events where workspace_id = $1 and event_key = any($2::bytea[]) and at < $3
"""


async def hold(
    connection: AsyncConnection, posting: Posting, source: SourceRow, normals: Sequence[Normal]
) -> SourceRow:
    """Turn what lies before the edge of the books into drops; return the source as one that tracks from there on."""
    edge = posting.kept_from
    if edge is None:
        return source
    named = {event_key(source.source_id.bytes, event.name) for normal in normals for event in normal.events}
    gone = set()
    if named:
        rows = await (await driver(connection)).fetch(_BEFORE, posting.workspace_id, sorted(named), edge)
        gone = {row["event_key"] for row in rows}
    for normal in normals:
        readings = [reading for reading in normal.readings if is_kept(reading, edge)]
        events = [
            event
            for event in normal.events
            if is_kept(event, edge) and event_key(source.source_id.bytes, event.name) not in gone
        ]
        dropped = _count(normal.readings) - _count(readings) + len(normal.events) - len(events)
        normal.drops += [Drop(reason=DropReason.OUT_OF_RANGE, detail=_DETAIL)] * dropped
        normal.readings, normal.events = readings, events
    return msgspec.structs.replace(source, tracks_from=max(source.tracks_from, edge))


def _count(blocks: Iterable[Readings]) -> int:
    return sum(len(block.subjects) for block in blocks)
