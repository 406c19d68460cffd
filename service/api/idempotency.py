"""``Idempotency-Key`` on writes (draft-ietf-httpapi-idempotency-key-header-07): sent again, done once, answered alike.

Around the routes, so that no route knows of it. The answer is kept sealed: some show a secret, once. Uploads and
webhooks have names of their own and take none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from uuid import UUID

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import idempotency, keys
from service.access.idempotency import Attempt, Stored
from service.api.limits import BUDGETS
from service.api.mistakes import Mistake
from service.api.problems import REQUEST_ID, problem
from service.api.state import Services
from service.errors import Conflict, Invalid, Unauthorised
from service.registry import workspaces

HEADER = "Idempotency-Key"
_NAME = re.compile(r"[\x20-\x7e]{1,255}")
_NOT = re.compile(r"/v1/(webhooks/.*|sources/[^/]+/uploads|kpis/query)")
_REPLAYED = {"Idempotent-Replayed": "true"}


def takes_name(path: str) -> bool:
    """Tell whether a POST to a path may be named."""
    return path.startswith("/v1/") and not _NOT.fullmatch(path)


class Idempotency:
    """Around the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not takes_name(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if HEADER.lower() not in headers:
            await self._app(scope, receive, send)
            return
        await self._named(scope, receive, send, headers)

    async def _named(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        parts: Services = scope["app"].state.services
        try:
            principal = await keys.authenticate(parts.db, _bearer(headers), parts.context)
        except Unauthorised:
            # The routes say so: nobody is remembered who has no key.
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            await self._app(scope, _gone, send)
            return
        try:
            name = _name_of(headers[HEADER.lower()])
            home = _home(principal.workspace_id)
            attempt = _attempt(scope, home, principal.key_id, name, body)
            async with parts.db.workspace(home) as connection:
                stored = await idempotency.claim(connection, attempt, parts.context.now())
        except Invalid as error:
            mistake = Mistake(pointer=error.pointer, code=error.code, detail=str(error), allowed=[], did_you_mean=None)
            await problem(scope, "invalid", str(error), mistakes=[mistake])(scope, receive, send)
            return
        except Conflict as error:
            await problem(scope, "conflict", str(error), headers={"Retry-After": "1"})(scope, receive, send)
            return
        if stored is not None:
            scope[BUDGETS].spend(scope, principal.key_id)
            await (await _again(parts, attempt, stored))(scope, receive, send)
            return
        await self._first(scope, send, parts, attempt, body)

    async def _first(self, scope: Scope, send: Send, parts: Services, attempt: Attempt, body: bytes) -> None:
        """Run a request and keep its answer before it is sent: what a caller has seen, a repetition gets."""
        answer = _Answer()
        try:
            await self._app(scope, _of(body), answer.take)
        finally:
            async with parts.db.workspace(attempt.workspace_id) as connection:
                if answer.is_done:
                    vault = await workspaces.open_vault(connection, attempt.workspace_id, parts.vault)
                    sealed = vault.seal("idempotency_keys", "body", attempt.request_id, answer.body)
                    await idempotency.finish(connection, attempt, answer.status, answer.media_type, sealed)
                else:
                    await idempotency.release(connection, attempt)
        for message in answer.messages:
            await send(message)


class _Answer:
    """The messages of an answer that is held back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def take(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"]) if self.messages else 0

    @property
    def is_done(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def media_type(self) -> str | None:
        found = dict(self.messages[0].get("headers", ())).get(b"content-type")
        return found.decode("latin-1") if found is not None else None

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def _again(parts: Services, attempt: Attempt, stored: Stored) -> Response:
    async with parts.db.workspace(attempt.workspace_id) as connection:
        vault = await workspaces.open_vault(connection, attempt.workspace_id, parts.vault)
    body = vault.unseal("idempotency_keys", "body", stored.request_id, stored.body)
    return Response(body, status_code=stored.status, media_type=stored.media_type, headers=_REPLAYED)


def _attempt(scope: Scope, workspace_id: UUID, key_id: UUID, name: str, body: bytes) -> Attempt:
    asked = (b"POST", scope["path"].encode(), scope["query_string"], body)
    return Attempt(
        workspace_id=workspace_id,
        key_id=key_id,
        name_hash=hashlib.sha256(name.encode()).digest(),
        fingerprint=hashlib.sha256(b"\0".join(asked)).digest(),
        request_id=UUID(scope[REQUEST_ID]),
    )


def _name_of(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise Invalid("1 to 255 printable characters", pointer=f"header:{HEADER}", code="malformed")


def _home(workspace_id: UUID | None) -> UUID:
    if workspace_id is None:
        raise Invalid("an instance key has no workspace to keep it in", pointer=f"header:{HEADER}", code="not_here")
    return workspace_id


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


async def _whole(receive: Receive) -> bytes | None:
    """Return a body, which the edge bounds, or None where it ended early."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _gone() -> Message:
    return {"type": "http.disconnect"}


def _of(body: bytes) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    return receive
