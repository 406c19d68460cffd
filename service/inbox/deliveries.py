"""Looking at kept deliveries, and putting them back in the queue. Nothing here reads a body for what it means.

Every function takes a connection inside a transaction of the workspace and never commits.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.db.tables import deliveries, delivery_outcomes, delivery_queue
from service.errors import NotFound
from service.inbox.store import hint

_log = structlog.get_logger(__name__)

# A delivery id holds its making in milliseconds, which is about the time of receipt: pages wait a little before they
# are kept, and clocks of several hosts differ. The near look finds almost all, the far one the rest.
_NEAR = timedelta(minutes=2)
_FAR = timedelta(days=2)
_ID_VERSION = 7
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp() * 1000


class State(enum.StrEnum):
    """Where a delivery is: waiting to be read (for the first time or again), in the books, or put aside unread."""

    QUEUED = "queued"
    POSTED = "posted"
    DEAD = "dead"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one reading: turn 1 is the first, each replay has its own. ``attempts`` counts its tries."""

    turn: int
    outcome: str
    connector_version: str
    posting: int | None
    items: int
    entries: int
    drops: Sequence[Mapping[str, Any]]
    attempts: int
    error: str
    finished_at: datetime


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery without its body. ``size`` is in bytes; ``last`` is its newest turn.

    ``attempts`` and ``error`` speak of the tries since it was queued; None and "" when it is not.
    """

    delivery_id: UUID
    received_at: datetime
    source_id: UUID
    channel: str
    connector: str
    request: Mapping[str, str]
    size: int
    conflict_of: UUID | None
    state: State
    attempts: int | None
    ready_at: datetime | None
    error: str
    last: Turn | None


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries: every stated condition holds. ``since`` is inclusive and ``until`` exclusive, by receipt.

    ``connector_version`` is that of the newest reading.
    """

    delivery_ids: tuple[UUID, ...] | None = None
    source_id: UUID | None = None
    state: State | None = None
    connector_version: str | None = None
    since: datetime | None = None
    until: datetime | None = None


# ------------------------------------------------------------------------------------------------ reads


async def listing(
    connection: AsyncConnection,
    workspace_id: UUID,
    chosen: Chosen,
    limit: int,
    before: UUID | None = None,
) -> list[DeliveryRow]:
    """Return deliveries, newest first; ``before`` is the last id of the page before. Raises NotFound for that id."""
    query = _rows().where(*_conditions(workspace_id, chosen))
    if before is not None:
        place = await _place(connection, workspace_id, before)
        query = query.where(sa.tuple_(deliveries.c.received_at, deliveries.c.delivery_id) < place)
    newest_first = query.order_by(deliveries.c.received_at.desc(), deliveries.c.delivery_id.desc()).limit(limit)
    return [_read(row) for row in (await connection.execute(newest_first)).mappings()]


async def get(connection: AsyncConnection, workspace_id: UUID, delivery_id: UUID) -> DeliveryRow:
    """Return one delivery. Raises :class:`NotFound`, also where retention took it."""
    received_at, _ = await _place(connection, workspace_id, delivery_id)
    query = _rows().where(*_one(workspace_id, received_at, delivery_id))
    return _read((await connection.execute(query)).mappings().one())


async def body(connection: AsyncConnection, workspace_id: UUID, delivery_id: UUID) -> bytes:
    """Return the bytes of a delivery exactly as received. Raises :class:`NotFound`."""
    received_at, _ = await _place(connection, workspace_id, delivery_id)
    query = sa.select(deliveries.c.body).where(*_one(workspace_id, received_at, delivery_id))
    found: bytes = (await connection.execute(query)).scalar_one()
    return found


async def turns(connection: AsyncConnection, workspace_id: UUID, delivery_id: UUID) -> list[Turn]:
    """Return what became of a delivery each time it was read, oldest first. Raises :class:`NotFound`."""
    received_at, _ = await _place(connection, workspace_id, delivery_id)
    own = (
        delivery_outcomes.c.workspace_id == workspace_id,
        delivery_outcomes.c.received_at == received_at,
        delivery_outcomes.c.delivery_id == delivery_id,
    )
    columns = [delivery_outcomes.c[name] for name in Turn.__struct_fields__]
    query = sa.select(*columns).where(*own).order_by(delivery_outcomes.c.turn)
    return [Turn(**row) for row in (await connection.execute(query)).mappings()]


async def _place(connection: AsyncConnection, workspace_id: UUID, delivery_id: UUID) -> tuple[datetime, UUID]:
    """Return the key of a delivery: looking without the time of receipt would open every partition."""
    made = _made(delivery_id)
    if made is not None:
        for reach in (_NEAR, _FAR):
            query = sa.select(deliveries.c.received_at).where(
                deliveries.c.workspace_id == workspace_id,
                deliveries.c.received_at.between(made - reach, made + reach),
                deliveries.c.delivery_id == delivery_id,
            )
            found = await connection.scalar(query)
            if found is not None:
                return found, delivery_id
    raise NotFound("no such delivery")


def _made(delivery_id: UUID) -> datetime | None:
    milliseconds = delivery_id.int >> 80
    if delivery_id.version != _ID_VERSION or milliseconds > _LATEST:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _one(workspace_id: UUID, received_at: datetime, delivery_id: UUID) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        deliveries.c.workspace_id == workspace_id,
        deliveries.c.received_at == received_at,
        deliveries.c.delivery_id == delivery_id,
    )


_QUEUED = sa.and_(
    delivery_queue.c.workspace_id == deliveries.c.workspace_id,
    delivery_queue.c.source_id == deliveries.c.source_id,
    delivery_queue.c.delivery_id == deliveries.c.delivery_id,
)
_LAST = (
    sa.select(delivery_outcomes)
    .where(
        delivery_outcomes.c.workspace_id == deliveries.c.workspace_id,
        delivery_outcomes.c.received_at == deliveries.c.received_at,
        delivery_outcomes.c.delivery_id == deliveries.c.delivery_id,
    )
    .order_by(delivery_outcomes.c.turn.desc())
    .limit(1)
    .correlate(deliveries)
    .lateral("last")
)
_EVER_POSTED = (
    sa.exists()
    .where(
        delivery_outcomes.c.workspace_id == deliveries.c.workspace_id,
        delivery_outcomes.c.received_at == deliveries.c.received_at,
        delivery_outcomes.c.delivery_id == deliveries.c.delivery_id,
        delivery_outcomes.c.outcome == State.POSTED.value,
    )
    .correlate(deliveries)
)
_TURN = "last_"
_PLAIN = ("delivery_id", "received_at", "source_id", "channel", "connector", "request", "conflict_of")


def _rows() -> sa.Select[Any]:
    joined = deliveries.outerjoin(delivery_queue, _QUEUED).outerjoin(_LAST, sa.true())
    return sa.select(
        *(deliveries.c[name] for name in _PLAIN),
        sa.func.octet_length(deliveries.c.body).label("size"),
        delivery_queue.c.attempt,
        delivery_queue.c.ready_at,
        delivery_queue.c.error,
        *(_LAST.c[name].label(_TURN + name) for name in Turn.__struct_fields__),
    ).select_from(joined)


def _conditions(workspace_id: UUID, chosen: Chosen) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [deliveries.c.workspace_id == workspace_id]
    if chosen.delivery_ids is not None:
        made = [at for at in map(_made, chosen.delivery_ids) if at is not None]
        found.append(deliveries.c.delivery_id.in_(chosen.delivery_ids))
        if made:
            found.append(deliveries.c.received_at.between(min(made) - _FAR, max(made) + _FAR))
    if chosen.source_id is not None:
        found.append(deliveries.c.source_id == chosen.source_id)
    if chosen.since is not None:
        found.append(deliveries.c.received_at >= chosen.since)
    if chosen.until is not None:
        found.append(deliveries.c.received_at < chosen.until)
    if chosen.connector_version is not None:
        found.append(_LAST.c.connector_version == chosen.connector_version)
    if chosen.state is State.QUEUED:
        found.append(delivery_queue.c.delivery_id.is_not(None))
    elif chosen.state is not None:
        found += [delivery_queue.c.delivery_id.is_(None), _LAST.c.outcome == chosen.state.value]
    return found


def _read(row: sa.RowMapping) -> DeliveryRow:
    names = Turn.__struct_fields__
    last = Turn(**{name: row[_TURN + name] for name in names}) if row["last_turn"] is not None else None
    fate = State.DEAD if last is not None and last.outcome == State.DEAD else State.POSTED
    return DeliveryRow(
        **{name: row[name] for name in (*_PLAIN, "size", "ready_at")},
        state=fate if row["attempt"] is None else State.QUEUED,
        attempts=row["attempt"],
        error=row["error"] or "",
        last=last,
    )


# ------------------------------------------------------------------------------------------------ replay


async def read_before(connection: AsyncConnection, workspace_id: UUID, chosen: Chosen) -> dict[UUID, set[UUID]]:
    """Return the chosen deliveries that have a reading in the books, by source: what a replay would replace."""
    joined = deliveries.outerjoin(delivery_queue, _QUEUED).outerjoin(_LAST, sa.true())
    query = sa.select(deliveries.c.source_id, deliveries.c.delivery_id).select_from(joined)
    found: dict[UUID, set[UUID]] = defaultdict(set)
    for source_id, delivery_id in await connection.execute(
        query.where(*_conditions(workspace_id, chosen), _EVER_POSTED)
    ):
        found[source_id].add(delivery_id)
    return found


async def replay(connection: AsyncConnection, workspace_id: UUID, chosen: Chosen, now: datetime, actor: str) -> int:
    """Queue kept deliveries to be read again; return how many were not queued already.

    A second reading by the same connector version changes nothing in the books; what a newer version reads takes the
    place of the older reading. ``actor`` is the public id of who asked, for the log.
    """
    table = delivery_queue
    found = (
        sa.select(
            deliveries.c.workspace_id,
            deliveries.c.source_id,
            deliveries.c.delivery_id,
            deliveries.c.received_at,
            sa.literal(now, type_=table.c.ready_at.type),
            _EVER_POSTED,
        )
        .select_from(deliveries.outerjoin(delivery_queue, _QUEUED).outerjoin(_LAST, sa.true()))
        .where(*_conditions(workspace_id, chosen))
        .order_by(deliveries.c.source_id, deliveries.c.delivery_id)
    )
    names = ["workspace_id", "source_id", "delivery_id", "received_at", "ready_at", "again"]
    queued = insert(table).from_select(names, found).on_conflict_do_nothing().returning(table.c.source_id)
    source_ids = list(await connection.scalars(queued))
    await hint(await driver(connection), ((workspace_id, source_id) for source_id in source_ids), now)
    _log.info("deliveries.replayed", actor=actor, workspace=str(workspace_id), count=len(source_ids))
    return len(source_ids)
