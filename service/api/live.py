"""A campaign as it goes: server-sent events for whoever watches it.

A stream is a snapshot and then what changed, each event under the number of the posting it follows from. Every second
it looks whether a posting has shaped the campaign; looks are shared with everybody who asks in this process, and they
see what any process posted. Only then is the question asked again. An event is made when the reader has taken the one
before, so a slow reader gets the newest values at its own pace and nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Header, Request
from fastapi import Query as RequestQuery
from fastapi.responses import StreamingResponse
from pydantic import Field

from service import ids
from service.access import tokens
from service.access.keys import Scope
from service.access.tokens import SIZE
from service.api.auth import Caller, ReadsKpis, WatchesKpis
from service.api.kpi_answers import platform_notes
from service.api.kpi_ranges import RangeQuery, over_range
from service.api.kpis import words
from service.api.models import CampaignId, Instant, Output
from service.api.state import Parts, Services
from service.api.unchanged import LOOKS, Looks, Seen
from service.db.faults import DATABASE_ERRORS
from service.errors import Busy, Invalid, NotFound, TooMany
from service.registry import campaigns, workspaces
from service.reports.answer import AnswerOut
from service.reports.campaign import campaign_kpis
from service.reports.changes import alerts, changed, restatements
from service.reports.question import PlatformNotes, Question
from service.reports.standing import QUARTER, after, standing

router = APIRouter(prefix="/v1/campaigns", tags=["kpis"])

STOPPING = "tallybook.stopping"
_PASSING: tuple[type[BaseException], ...] = (*DATABASE_ERRORS, Busy, NotFound)
PER_KEY = 10
"""Streams of one key in one process."""
PER_PROCESS = 300
HEARTBEAT = 15.0
POLL = 1.0
_RETRY = b"retry: 3000\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_encode = msgspec.json.Encoder().encode
_open: Counter[UUID] = Counter()


class StreamQuery(RangeQuery):
    """What is watched."""

    metrics: str | None = Field(
        None, max_length=2000, description="KPIs by slug or alias, comma-separated", examples=["impressions,ctr"]
    )
    ticket: str | None = Field(None, max_length=SIZE, description="in place of a key, where no header can be sent")
    last_event_id: str | None = Field(None, max_length=40, description="as the header, where none can be sent")


class StreamTicket(Output):
    """What opens one stream of a campaign: `?ticket=` in its address, once, until it ends."""

    ticket: str
    expires_at: Instant


@router.get(
    "/{campaign}/stream",
    operation_id="streamCampaign",
    response_class=StreamingResponse,
    responses={200: {"description": "The events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream_campaign(
    request: Request,
    campaign: CampaignId,
    asked: Annotated[StreamQuery, RequestQuery()],
    caller: WatchesKpis,
    parts: Parts,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> StreamingResponse:
    """Watch a campaign: `snapshot`, then `delta`, `restatement`, `alert` and `heartbeat` events (server-sent)."""
    if asked.as_of is not None:
        raise Invalid("what was known then does not change", pointer="?as_of", code="not_here")
    question = msgspec.structs.replace(
        over_range(asked), metrics=tuple(words(asked.metrics)), costs=caller.principal.may(Scope.COSTS_READ)
    )
    watch = Watch(request, parts, caller, ids.read("campaign", campaign), question)
    await watch.begin(_number(last_event_id or asked.last_event_id))
    return StreamingResponse(watch.events(), media_type="text/event-stream", headers=_HEADERS)


@router.post("/{campaign}/stream/tickets", status_code=201)
async def create_stream_ticket(campaign: CampaignId, caller: ReadsKpis, parts: Parts) -> StreamTicket:
    """Make a ticket for an `EventSource`, which sends no headers: it opens one stream within a minute."""
    home, campaign_id = caller.workspace_id, ids.read("campaign", campaign)
    async with parts.db.workspace(home) as connection:
        await campaigns.get(connection, home, campaign_id)
        vault = await workspaces.open_vault(connection, home, parts.vault)
    made = tokens.ticket(vault, caller.principal, campaign_id, parts.context)
    return StreamTicket(ticket=made.token, expires_at=made.expires_at)


def _number(last_event_id: str | None) -> int | None:
    known = last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit()
    return int(last_event_id or 0) if known and len(last_event_id or "") < 19 else None  # noqa: PLR2004 - of int64


class Watch:
    """One stream."""

    def __init__(
        self, request: Request, parts: Services, caller: Caller, campaign_id: UUID, question: Question
    ) -> None:
        self._stopping: asyncio.Event = request.scope.get(STOPPING) or asyncio.Event()
        self._looks: Looks = request.scope[LOOKS]
        self._parts = parts
        self._caller = caller
        self._campaign_id = campaign_id
        self._question = question
        self._notes: PlatformNotes = platform_notes(parts.connectors)
        self._answer: AnswerOut | None = None
        self._since: int | None = None
        self._due = parts.context.now()

    async def begin(self, since: int | None) -> None:
        """Find the first answer, after which nothing can be refused. Raises what the report does, and TooMany."""
        if _open[self._caller.principal.key_id] >= PER_KEY:
            raise TooMany(f"a key has {PER_KEY} streams at most", seconds=5)
        if _open.total() >= PER_PROCESS:
            raise Busy("too many streams are open", seconds=5)
        self._answer, self._since = await self._ask(), since

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the stream, until the reader leaves, the server stops or the caller may no longer ask."""
        with _counted(self._caller.principal.key_id):
            yield _RETRY
            for event in await self._first():
                yield event
            quiet = 0.0
            while await self._pause():
                seen = await self._look()
                if seen is None:
                    return
                news = await self._news(seen)
                quiet = 0.0 if news else quiet + POLL
                if quiet >= HEARTBEAT:
                    news, quiet = [_event("heartbeat", {"at": self._parts.context.now()})], 0.0
                for event in news:
                    yield event

    async def _first(self) -> list[bytes]:
        answer = self._answer
        assert answer is not None  # noqa: S101 - begun before
        if self._since == answer.meta.posting:
            return [_event("heartbeat", {"at": self._parts.context.now()})]
        missed = [] if self._since is None else await self._taken_back(tuple(answer.totals), self._since)
        return [*missed, _event("snapshot", answer, answer.meta.posting), *_alerts(None, answer)]

    async def _pause(self) -> bool:
        """Wait for the next look, at the same moment as every other stream; False where the server stops."""
        seconds = POLL - self._parts.context.monotonic() % POLL
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return True
        return False

    async def _look(self) -> Seen | None:
        """Look whether anything has happened; None where the caller may no longer ask."""
        principal = self._caller.principal
        if principal.expires_at is not None and self._parts.context.now() >= principal.expires_at:
            return None
        try:
            seen = await self._looks.see(self._caller.workspace_id, self._campaign_id, principal.key_hash)
        except DATABASE_ERRORS:
            return Seen({}, frozenset((principal.key_hash,)))
        return seen if principal.key_hash in seen.keys else None

    async def _news(self, seen: Seen) -> list[bytes]:
        """Return the events since the last ones: none where no posting, and no new day, can have changed anything."""
        old = self._answer
        assert old is not None  # noqa: S101 - begun before
        newest = seen.newest(self._campaign_id)
        if (newest is None or newest <= old.meta.posting) and self._parts.context.now() < self._due:
            return []
        try:
            new = await self._ask()
            taken_back = await self._taken_back(tuple(changed(old, new)), old.meta.posting)
        except _PASSING:
            return []
        self._answer = new
        news = changed(old, new)
        if not news:
            return []
        told = {"as_of": new.meta.as_of, "posting": new.meta.posting, "range": new.meta.range, "totals": news}
        return [*taken_back, _event("delta", told, new.meta.posting), *_alerts(old, new)]

    async def _ask(self) -> AnswerOut:
        home, now = self._caller.workspace_id, self._parts.context.now()
        async with self._parts.db.snapshot(home) as connection:
            stands = await standing(connection, home, self._campaign_id, self._question, now)
            question = msgspec.structs.replace(self._question, known=stands.known)
            self._due = after(now, QUARTER)
            return await campaign_kpis(connection, home, self._campaign_id, question, self._notes, stands.clock)

    async def _taken_back(self, metrics: tuple[str, ...], since: int) -> list[bytes]:
        if not metrics:
            return []
        home, now = self._caller.workspace_id, self._parts.context.now()
        async with self._parts.db.snapshot(home) as connection:
            found = await restatements(
                connection, home, self._campaign_id, self._question, self._notes, now, metrics=metrics, after=since
            )
        return [_event("restatement", one) for one in found]


@contextmanager
def _counted(key_id: UUID) -> Iterator[None]:
    _open[key_id] += 1
    try:
        yield
    finally:
        _open[key_id] -= 1
        if not _open[key_id]:
            del _open[key_id]


def _alerts(old: AnswerOut | None, new: AnswerOut) -> list[bytes]:
    return [_event("alert", warning) for warning in alerts(old, new)]


def _event(kind: str, data: Any, number: int | None = None) -> bytes:
    """Return one event; JSON has no line ends of its own. Only what a reader is up to date with has a number."""
    head = b"" if number is None else f"id: {number}\n".encode()
    return head + b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"
