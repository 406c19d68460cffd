"""Deliveries: what arrived, what became of it, its raw bytes, and having it read again."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi import Query as RequestQuery
from pydantic import Field

from service import ids
from service.api.auth import Caller, ReadsProvenance, ReadsRegistry, WritesDeliveries
from service.api.models import DeliveryId, Input, Instant, Output, Page, Paging, SourceId, Word, page_of, referred
from service.api.state import Parts, Services
from service.errors import Invalid, NotFound
from service.inbox import deliveries
from service.inbox.deliveries import Chosen, DeliveryRow, State, Turn

router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])


class DeliveryQuery(Paging):
    """Which deliveries: every stated condition holds."""

    source: str | None = Field(None, max_length=100)
    fate: State | None = Field(None, description="`dead`: kept and unread, to be looked at and replayed")
    since: Instant | None = Field(None, description="received then or later")
    until: Instant | None = Field(None, description="received before")


class TurnOutput(Output):
    """One reading: the first, or a replay. `drops` are the parts that were not booked, each with its reason."""

    turn: int
    outcome: str
    connector_version: str
    posting: int | None
    items: int
    entries: int
    drops: list[dict[str, Any]]
    attempts: int
    error: str
    finished_at: Instant


class DeliverySummary(Output):
    """A delivery without its bytes. `attempts` and `error` speak of the tries since it was queued."""

    id: DeliveryId
    source: SourceId
    received_at: Instant
    channel: str
    connector: str
    request: dict[str, str]
    size: int
    conflict_of: DeliveryId | None = Field(description="an earlier delivery with the same key and another body")
    fate: State
    attempts: int | None
    ready_at: Instant | None
    error: str
    last: TurnOutput | None


class DeliveryOutput(DeliverySummary):
    """A delivery with every reading of it, oldest first."""

    turns: list[TurnOutput]


class DeliveryPage(Page[DeliverySummary]):
    """Deliveries, newest first."""


class ReplayInput(Input):
    """Which deliveries to read again: every stated condition holds, at least one is stated."""

    deliveries: list[DeliveryId] | None = Field(None, min_length=1, max_length=1000)
    source: SourceId | None = None
    fate: Word[State] | None = None
    connector_version: str | None = Field(
        None, min_length=1, max_length=100, description="what this version of the connector read last"
    )
    since: Instant | None = None
    until: Instant | None = None


class Replayed(Output):
    """How many deliveries were queued; those that waited already are not counted."""

    queued: int


@router.get("")
async def list_deliveries(
    caller: ReadsRegistry, parts: Parts, query: Annotated[DeliveryQuery, RequestQuery()]
) -> DeliveryPage:
    """List deliveries, newest first; `fate=dead` are the dead letters."""
    chosen = Chosen(
        source_id=referred("source", query.source, "?source") if query.source is not None else None,
        state=query.fate,
        since=query.since,
        until=query.until,
    )
    before = referred("delivery", query.after, "?after") if query.after is not None else None
    async with parts.db.workspace(caller.workspace_id) as connection:
        try:
            rows = await deliveries.listing(connection, caller.workspace_id, chosen, query.limit + 1, before)
        except NotFound:
            raise Invalid("the page before is gone", pointer="?after", code="unknown_id") from None
    shown, page = page_of(rows, query.limit, "delivery", lambda row: row.delivery_id)
    return DeliveryPage(data=[DeliverySummary(**_fields(row)) for row in shown], page=page)


@router.get("/{delivery}")
async def get_delivery(delivery: str, caller: ReadsRegistry, parts: Parts) -> DeliveryOutput:
    """Return a delivery with what became of it each time it was read."""
    delivery_id = ids.read("delivery", delivery)
    async with parts.db.workspace(caller.workspace_id) as connection:
        row = await deliveries.get(connection, caller.workspace_id, delivery_id)
        turns = await deliveries.turns(connection, caller.workspace_id, delivery_id)
    return DeliveryOutput(**_fields(row), turns=[_turn(turn) for turn in turns])


@router.get(
    "/{delivery}/body",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_delivery_body(delivery: str, caller: ReadsProvenance, parts: Parts) -> Response:
    """Return the bytes of a delivery exactly as received."""
    delivery_id = ids.read("delivery", delivery)
    async with parts.db.workspace(caller.workspace_id) as connection:
        body = await deliveries.body(connection, caller.workspace_id, delivery_id)
    name = f'attachment; filename="{ids.show("delivery", delivery_id)}.bin"'
    return Response(body, media_type="application/octet-stream", headers={"Content-Disposition": name})


@router.post("/replay", status_code=202)
async def replay_deliveries(body: ReplayInput, caller: WritesDeliveries, parts: Parts) -> Replayed:
    """Have many deliveries read again.

    What the same connector version reads again changes nothing in the books. What a newer version reads takes the
    place of the older reading.
    """
    if not any(value is not None for value in body.changes().values()):
        raise Invalid("name at least one condition", code="missing", allowed=tuple(ReplayInput.model_fields))
    given = body.deliveries
    chosen = Chosen(
        delivery_ids=tuple(referred("delivery", one, "/deliveries") for one in given) if given is not None else None,
        source_id=referred("source", body.source, "/source") if body.source is not None else None,
        state=body.fate,
        connector_version=body.connector_version,
        since=body.since,
        until=body.until,
    )
    return await _replay(parts, caller, chosen)


@router.post("/{delivery}/replay", status_code=202)
async def replay_delivery(delivery: str, caller: WritesDeliveries, parts: Parts) -> Replayed:
    """Have a delivery read again."""
    return await _replay(parts, caller, Chosen(), ids.read("delivery", delivery))


async def _replay(parts: Services, caller: Caller, chosen: Chosen, one: UUID | None = None) -> Replayed:
    """Queue what was chosen, or one delivery that must exist."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        if one is not None:
            await deliveries.get(connection, caller.workspace_id, one)
            chosen = Chosen(delivery_ids=(one,))
        actor = ids.show("key", caller.principal.key_id)
        queued = await deliveries.replay(connection, caller.workspace_id, chosen, parts.context.now(), actor)
    parts.lander.landed.set()
    return Replayed(queued=queued)


def _fields(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": ids.show("delivery", row.delivery_id),
        "source": ids.show("source", row.source_id),
        "received_at": row.received_at,
        "channel": row.channel,
        "connector": row.connector,
        "request": dict(row.request),
        "size": row.size,
        "conflict_of": ids.show("delivery", row.conflict_of) if row.conflict_of is not None else None,
        "fate": row.state,
        "attempts": row.attempts,
        "ready_at": row.ready_at,
        "error": row.error,
        "last": _turn(row.last) if row.last is not None else None,
    }


def _turn(turn: Turn) -> TurnOutput:
    return TurnOutput(
        turn=turn.turn,
        outcome=turn.outcome,
        connector_version=turn.connector_version,
        posting=turn.posting,
        items=turn.items,
        entries=turn.entries,
        drops=[dict(drop) for drop in turn.drops],
        attempts=turn.attempts,
        error=turn.error,
        finished_at=turn.finished_at,
    )
