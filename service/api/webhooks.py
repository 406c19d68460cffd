"""Where platforms push to. The address names the source, the connector checks the signature, the inbox keeps the bytes.

The answer is the connector's, and it is given after the commit. Nothing is parsed here; what is not authentic is not
kept. A source that is paused still listens: what a platform pushes it seldom sends again.

The routes wait for what has to be waited for: an address to be looked up, a body, the commit. A push for which nothing
else is missing goes the direct way (:mod:`service.api.direct`), through the same functions.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.datastructures import State
from starlette.types import Scope

from connectors import contract
from connectors.contract import Connector, Delivery, Outcome, Reply, SignatureInvalid, WebhookRequest
from service import telemetry
from service.api.problems import problem
from service.api.state import Parts, Services
from service.errors import Busy, NotFound
from service.inbox.commit import Waiter
from service.inbox.land import origin_of
from service.inbox.store import Kept, Landed, Origin
from service.records import SourceRow
from service.registry import sources, workspaces

BODY_SECONDS = 10.0
"""A whole body arrives within this, however steadily it drips."""
LOOK_UP_SECONDS = 0.9
KEEP_SECONDS = 5.0
"""A changed key or address works everywhere after this."""
AHEAD_SECONDS = 0.5
"""An address that is asked for so shortly before it is forgotten is looked up again meanwhile."""
MOST_ADDRESSES = 10_000
_ADDRESS = re.compile(r"[A-Za-z0-9_-]{16,128}")
_LONGEST_NUMBER = 19
_CLOSE = {"Connection": "close"}
BARE = frozenset({HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value})
"""Statuses of answers without a body, and without its length."""
PREFIX = "/v1/webhooks/"

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """A source as a request meets it: its row, its secrets opened, its connector. Its repr shows no secret."""

    row: SourceRow
    origin: Origin
    source: contract.Source
    connector: Connector


class Addresses:
    """Sources by their address, remembered for a few seconds: opening secrets costs three queries.

    An address is looked up once at a time, however many requests wait for it: a burst must not take every connection.
    One that is in use is looked up again before it is forgotten, so that nobody waits.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, Addressed]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Addressed]] = {}

    async def find(self, services: Services, address: str) -> Addressed:
        """Return the source behind an address. Raises :class:`NotFound`, or :class:`Busy` while it cannot be known."""
        if not _ADDRESS.fullmatch(address):
            raise NotFound("no such webhook address")
        found = self.remembered(services, address)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await asyncio.shield(self._flight(services, address))
        except TimeoutError:
            raise Busy("the database does not answer at the moment") from None

    def remembered(self, services: Services, address: str) -> Addressed | None:
        """Return the source behind an address, or None where it has to be looked up."""
        now = services.context.monotonic()
        until, found = self._known.get(address, (now, None))
        if until <= now:
            return None
        if until - now < AHEAD_SECONDS:
            self._flight(services, address)
        return found

    def _flight(self, services: Services, address: str) -> asyncio.Task[Addressed]:
        """Return the look-up of an address that is under way, or a new one; it outlives whoever began it."""
        flight = self._flights.get(address)
        if flight is None:
            until = services.context.monotonic() + KEEP_SECONDS
            flight = self._flights[address] = asyncio.create_task(_look_up(services, address), name="address")
            flight.add_done_callback(lambda done: self._landed(address, until, done))
        return flight

    def _landed(self, address: str, until: float, flight: asyncio.Task[Addressed]) -> None:
        self._flights.pop(address, None)
        # Its error is read, so that one that nobody waited for is not reported as lost.
        if flight.cancelled() or flight.exception() is not None:
            return
        self._known[address] = (until, flight.result())
        self._known.move_to_end(address)
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)


async def _look_up(services: Services, address: str) -> Addressed:
    row = await sources.by_address(services.db, address)
    if row is None:
        raise NotFound("no such webhook address")
    connector = services.connectors.get(row.connector)
    if connector is None:
        raise Busy("the connector of this source is not installed at the moment", seconds=60)
    async with services.db.workspace(row.workspace_id) as connection:
        vault = await workspaces.open_vault(connection, row.workspace_id, services.vault)
    source = sources.contract_source(row, vault, connector)
    return Addressed(
        row=row,
        origin=origin_of(row, signatures=connector.capabilities.signature_headers),
        source=source,
        connector=connector,
    )


def addresses_of(state: State) -> Addresses:
    """Return what an application with this state remembers."""
    known: Addresses | None = getattr(state, "addresses", None)
    if known is None:
        known = state.addresses = Addresses()
    return known


# ------------------------------------------------------------------------------------------------ a request


class _Route(NamedTuple):
    """What the edge asks a route for."""

    path: str


ROUTE = _Route(PREFIX + "{address}")


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request by their names in lower case; the values of one name are joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def request_of(method: str, asked: bytes, headers: Mapping[str, str], body: bytes) -> WebhookRequest:
    """Return a request as connectors see it; ``asked`` is its query string."""
    query = dict(parse_qsl(asked.decode("latin-1"), keep_blank_values=True)) if asked else {}
    return WebhookRequest(method=method, headers=headers, query=query, body=body)


def take_in(services: Services, addressed: Addressed, received: WebhookRequest, waiter: Waiter) -> None:
    """Keep a request that is authentic; the waiter is told when it is committed.

    Raises :class:`SignatureInvalid`, :class:`Busy`; the waiter may hear of a :class:`Busy` too, or an Invalid.
    """
    now = services.context.now()
    verified = addressed.connector.verify(received, addressed.source, now)
    delivery = Delivery(channel="webhook", body=received.body, received_at=now, headers=received.headers)
    services.lander.hand_in(addressed.origin, delivery, verified.key, waiter)


def kept(connector: Connector, landed: Landed) -> Reply:
    """Return what a platform hears of a request that was kept, now or before."""
    return connector.reply(Outcome.STORED if landed.outcome is Kept.STORED else Outcome.DUPLICATE)


def not_authentic(connector: Connector) -> Reply:
    """Return what a platform hears of a request that is not authentic."""
    telemetry.WEBHOOKS_REJECTED.labels("signature").inc()
    return connector.reply(Outcome.BAD_SIGNATURE)


def response(reply: Reply) -> Response:
    """Return the answer of a connector as HTTP."""
    body = b"" if reply.status in BARE else reply.body
    return Response(body, status_code=reply.status, headers=dict(reply.headers))


async def _addressed(request: Request, services: Services, address: str) -> Addressed:
    app: FastAPI = request.app
    try:
        return await addresses_of(app.state).find(services, address)
    except NotFound:
        telemetry.WEBHOOKS_REJECTED.labels("address").inc()
        raise


# ------------------------------------------------------------------------------------------------ routes


_ANSWER = {"description": "what the platform wants to hear", "content": {"*/*": {}}}
_REFUSAL = {"description": "not authentic; some platforms want another status", "content": {"*/*": {}}}
_BODY = {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}


@router.get(
    "/{address}",
    response_model=None,
    response_class=Response,
    responses={200: _ANSWER, 403: _REFUSAL},
    openapi_extra={"security": []},
)
async def confirm_webhook(address: str, request: Request, services: Parts) -> Response:
    """Answer the challenge by which a platform makes sure that a webhook address is wanted."""
    addressed = await _addressed(request, services, address)
    received = request_of("GET", request.scope["query_string"], headers_of(request.scope), b"")
    reply = addressed.connector.handshake(received, addressed.source)
    if reply is None:
        raise NotFound("this is no subscription challenge")
    return response(reply)


@router.post(
    "/{address}",
    response_model=None,
    response_class=Response,
    responses={200: _ANSWER, 401: _REFUSAL},
    openapi_extra={"security": [], "requestBody": _BODY},
)
async def receive_webhook(address: str, request: Request, services: Parts) -> Response:
    """Take in what a platform pushes: kept before it is answered, read later."""
    addressed = await _addressed(request, services, address)
    most = addressed.connector.capabilities.max_body
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        telemetry.WEBHOOKS_REJECTED.labels("encoding").inc()
        return problem(request.scope, "unsupported-media-type", "the body must not be compressed", headers=_CLOSE)
    try:
        body = await _read(request, most)
    except TimeoutError:
        telemetry.WEBHOOKS_REJECTED.labels("slow").inc()
        return problem(request.scope, "timeout", "the body did not arrive in time", headers=_CLOSE)
    if body is None:
        telemetry.WEBHOOKS_REJECTED.labels("size").inc()
        return problem(request.scope, "too-large", f"the body may have {most} bytes at most", headers=_CLOSE)
    received = request_of("POST", request.scope["query_string"], headers_of(request.scope), body)
    landed: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
    try:
        take_in(services, addressed, received, landed)
    except SignatureInvalid:
        return response(not_authentic(addressed.connector))
    return response(kept(addressed.connector, await landed))


async def _read(request: Request, most: int) -> bytes | None:
    """Return the body, or None as soon as it is too large, whatever it announced. Raises TimeoutError."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and (len(announced) > _LONGEST_NUMBER or int(announced) > most):
        return None
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                return None
    return bytes(body)
