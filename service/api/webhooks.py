"""Where platforms push to. The address names the source, the connector checks the signature, the inbox keeps the bytes.

The answer is the connector's, and it is given after the commit. Nothing is parsed here; what is not authentic is not
kept. A source that is paused still listens: what a platform pushes it seldom sends again.

:class:`Webhooks` is plain ASGI and stands in front of the framework, whose way to a function costs more than all that
is done here. The routes declare it for the OpenAPI document, and hand on to it where nothing stands in front.
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
from fastapi import APIRouter, Request, Response
from starlette.datastructures import State
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from connectors import contract
from connectors.contract import Connector, Outcome, Reply, SignatureInvalid, WebhookRequest
from service import telemetry
from service.api.pace import within
from service.api.problems import EXPECTED, answer_to, problem
from service.api.state import Services
from service.errors import Busy, NotFound
from service.inbox.land import origin_of
from service.inbox.store import Kept, Origin
from service.records import SourceRow
from service.registry import rings, sources, workspaces

BODY_SECONDS = 10.0
"""A whole body arrives within this, however steadily it drips."""
LOOK_UP_SECONDS = 0.9
KEEP_SECONDS = 5.0
"""A changed key or address works everywhere after this."""
MOST_ADDRESSES = 10_000
_ADDRESS = re.compile(r"[A-Za-z0-9_-]{16,128}")
_LONGEST_NUMBER = 19
_CLOSE = {"Connection": "close"}
_PREFIX = "/v1/webhooks"

router = APIRouter(prefix=_PREFIX, tags=["webhooks"])


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """A source as a request meets it: its row, its secrets opened, its connector. Its repr shows no secret."""

    row: SourceRow
    origin: Origin
    source: contract.Source
    connector: Connector


class Addresses:
    """Sources by the hash of their address, remembered for a few seconds: opening secrets costs three queries.

    An address is looked up once at a time, however many requests wait for it: a burst must not take every connection.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[float, Addressed]] = OrderedDict()
        self._flights: dict[bytes, asyncio.Task[Addressed]] = {}

    async def find(self, services: Services, address: str) -> Addressed:
        """Return the source behind an address. Raises :class:`NotFound`, or :class:`Busy` while it cannot be known."""
        if not _ADDRESS.fullmatch(address):
            raise NotFound("no such webhook address")
        hashed, now = rings.address_hash(address), services.context.monotonic()
        until, found = self._known.get(hashed, (now, None))
        if found is not None and until > now:
            return found
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await asyncio.shield(self._flight(hashed, services, address))
        except TimeoutError:
            raise Busy("the database does not answer at the moment") from None
        self._known[hashed] = (now + KEEP_SECONDS, found)
        self._known.move_to_end(hashed)
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)
        return found

    def _flight(self, hashed: bytes, services: Services, address: str) -> asyncio.Task[Addressed]:
        """Return the look-up of an address that is under way, or a new one; it outlives whoever began it."""
        flight = self._flights.get(hashed)
        if flight is None:
            flight = self._flights[hashed] = asyncio.create_task(_look_up(services, address), name="address")
            flight.add_done_callback(lambda done: self._landed(hashed, done))
        return flight

    def _landed(self, hashed: bytes, flight: asyncio.Task[Addressed]) -> None:
        self._flights.pop(hashed, None)
        if not flight.cancelled():
            # Read, so that an error that nobody waited for is not reported as lost.
            flight.exception()


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
    return Addressed(row=row, origin=origin_of(row), source=source, connector=connector)


# ------------------------------------------------------------------------------------------------ requests


class _Route(NamedTuple):
    """What the edge asks a route for."""

    path: str


_ROUTE = _Route(_PREFIX + "/{address}")


class _Refused(Exception):  # noqa: N818 - reads as what happened
    """A request that is not looked at any further: the kind of its problem, and the reason that is counted."""

    def __init__(self, code: str, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.code = code
        self.reason = reason


def is_webhook(scope: Scope) -> bool:
    """Tell whether a request is one for :class:`Webhooks`; with another method or a longer path it is not."""
    path: str = scope["path"]
    if scope["method"] not in {"GET", "POST"} or not path.startswith(_PREFIX + "/"):
        return False
    address = path[len(_PREFIX) + 1 :]
    return bool(address) and "/" not in address


class Webhooks:
    """Answers the requests of platforms. ``state`` is that of the application: its services, once it has started."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for which :func:`is_webhook`."""
        scope["route"] = _ROUTE
        try:
            reply = await self._reply(scope, receive)
        except _Refused as refused:
            telemetry.WEBHOOKS_REJECTED.labels(refused.reason).inc()
            await problem(scope, refused.code, str(refused), headers=_CLOSE)(scope, receive, send)
        except EXPECTED as error:
            await (await answer_to(scope, error))(scope, receive, send)
        else:
            await _send(reply, send)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        services: Services = self._state.services
        addressed = await self._addressed(services, scope["path"][len(_PREFIX) + 1 :])
        headers = _headers(scope)
        if scope["method"] == "GET":
            return _confirm(addressed, _request(scope, headers, b""))
        body = await _read(headers, receive, addressed.connector.capabilities.max_body)
        return await _take_in(services, addressed, _request(scope, headers, body))

    async def _addressed(self, services: Services, address: str) -> Addressed:
        try:
            return await self._addresses().find(services, address)
        except NotFound:
            telemetry.WEBHOOKS_REJECTED.labels("address").inc()
            raise

    def _addresses(self) -> Addresses:
        if not hasattr(self._state, "addresses"):
            self._state.addresses = Addresses()
        known: Addresses = self._state.addresses
        return known


def _confirm(addressed: Addressed, request: WebhookRequest) -> Reply:
    reply = addressed.connector.handshake(request, addressed.source)
    if reply is None:
        raise NotFound("this is no subscription challenge")
    return reply


async def _take_in(services: Services, addressed: Addressed, received: WebhookRequest) -> Reply:
    connector = addressed.connector
    try:
        verified = connector.verify(received, addressed.source, services.context.now())
    except SignatureInvalid:
        telemetry.WEBHOOKS_REJECTED.labels("signature").inc()
        return connector.reply(Outcome.BAD_SIGNATURE)
    landed = await services.lander.land_from(
        addressed.origin, key=verified.key, body=received.body, headers=received.headers
    )
    return connector.reply(Outcome.STORED if landed.outcome is Kept.STORED else Outcome.DUPLICATE)


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _request(scope: Scope, headers: Mapping[str, str], body: bytes) -> WebhookRequest:
    asked = scope["query_string"]
    query = dict(parse_qsl(asked.decode("latin-1"), keep_blank_values=True)) if asked else {}
    return WebhookRequest(method=scope["method"], headers=headers, query=query, body=body)


async def _read(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """Return the body. Raises :class:`_Refused`, as soon as it is too large whatever it announced."""
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise _Refused("unsupported-media-type", "the body must not be compressed", "encoding")
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and (len(announced) > _LONGEST_NUMBER or int(announced) > most):
        raise _too_large(most)
    try:
        return await within(BODY_SECONDS, _whole(receive, most))
    except TimeoutError:
        raise _Refused("timeout", "the body did not arrive in time", "slow") from None


async def _whole(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large(most: int) -> _Refused:
    return _Refused("too-large", f"the body may have {most} bytes at most", "size")


async def _send(reply: Reply, send: Send) -> None:
    is_bare = reply.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
    body = b"" if is_bare else reply.body
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    if not is_bare:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# ------------------------------------------------------------------------------------------------ the document


class _HandedOn(Response):
    """The answer of a route that another application gives."""

    def __init__(self, app: Webhooks) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


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
async def confirm_webhook(address: str, request: Request) -> Response:
    """Answer the challenge by which a platform makes sure that a webhook address is wanted."""
    return _HandedOn(Webhooks(request.app.state))


@router.post(
    "/{address}",
    response_model=None,
    response_class=Response,
    responses={200: _ANSWER, 401: _REFUSAL},
    openapi_extra={"security": [], "requestBody": _BODY},
)
async def receive_webhook(address: str, request: Request) -> Response:
    """Take in what a platform pushes: kept before it is answered, read later."""
    return _HandedOn(Webhooks(request.app.state))
