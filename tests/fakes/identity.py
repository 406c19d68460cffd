"""A fake identity provider: codes, proof keys, refresh tokens that rotate; a reused one ends the whole family."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec

from service.fetch.oauth import challenge_of

CLIENT, SECRET = "app-1", "app-secret-1"


class FakeIdentity:
    """Answers token calls. ``before`` may hold an answer up or break it; ``calls`` are what was asked."""

    def __init__(self, *, rotates: bool = True, expires_in: Any = 7200) -> None:
        self.rotates = rotates
        self.expires_in = expires_in
        self.calls: list[dict[str, str]] = []
        self.codes: dict[str, str | None] = {}
        self.current = "refresh-0"
        self.spent: set[str] = set()
        self.revoked = False
        self.number = 0
        self.answers: list[httpx.Response | Exception] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.after: Callable[[], Awaitable[None]] | None = None

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one call."""
        fields = self._fields(request)
        self.calls.append(fields)
        if self.before is not None:
            await self.before()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return _streamed(answer)
        response = self._answer(request, fields)
        if self.after is not None:
            await self.after()
        return _streamed(response)

    def _fields(self, request: httpx.Request) -> dict[str, str]:
        if request.method == "GET":
            return dict(request.url.params)
        if request.headers.get("content-type", "").startswith("application/json"):
            found: dict[str, str] = msgspec.json.decode(request.content)
            return found
        return dict(parse_qsl(request.content.decode()))

    def _answer(self, request: httpx.Request, fields: dict[str, str]) -> httpx.Response:
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        proven = request.headers.get("authorization") == basic or fields.get("client_secret") == SECRET
        if not proven and fields.get("client_id") != CLIENT:
            return refusal("invalid_client", 401)
        if fields.get("grant_type") == "authorization_code":
            challenge = self.codes.pop(fields.get("code", ""), "")
            if challenge == "" or (challenge is not None and challenge_of(fields["code_verifier"]) != challenge):
                return refusal("invalid_grant")
            return self._tokens()
        offered = fields.get("refresh_token", "")
        if offered in self.spent:
            self.revoked = True
        if self.revoked or offered != self.current:
            return refusal("invalid_grant")
        return self._tokens()

    def _tokens(self) -> httpx.Response:
        self.number += 1
        body: dict[str, Any] = {"access_token": f"access-{self.number}", "token_type": "bearer"}
        if self.expires_in is not None:
            body["expires_in"] = self.expires_in
        if self.rotates:
            self.spent.add(self.current)
            self.current = f"refresh-{self.number}"
            body["refresh_token"] = self.current
        return httpx.Response(200, content=msgspec.json.encode(body))


def refusal(error: str, status: int = 400) -> httpx.Response:
    """Return the refusal of a token endpoint (RFC 6749, 5.2)."""
    return httpx.Response(status, content=msgspec.json.encode({"error": error, "error_description": "secret words"}))


def _streamed(answer: httpx.Response) -> httpx.Response:
    """Return an answer whose body is still to be read, as it is on a wire."""
    return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))
