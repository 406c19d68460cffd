"""A fake identity provider: codes, proof keys, refresh tokens that rotate; a reused one ends the whole family."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from service.fetch.oauth import challenge_of

CLIENT, SECRET = "app-1", "app-secret-1"
_ANSWER_OF_TIME = timedelta(hours=1)


class Machine:
    """A service account at an identity provider: the key that it is given, and what proves a statement of it."""

    def __init__(self, email: str = "reader@project.iam.example") -> None:
        self.email = email
        self._private = generate_private_key(public_exponent=65537, key_size=2048)

    def key(self) -> str:
        """Return the JSON that the platform hands out; its address of a token endpoint is nobody's business."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        told = {"type": "service_account", "client_email": self.email, "private_key": pem, "private_key_id": "k1"}
        return msgspec.json.encode(told | {"token_uri": "https://evil.example/token"}).decode()

    def proven(self, assertion: str, audience: str, now: datetime) -> dict[str, Any]:
        """Return the claims of a statement. Raises for one that is not signed by the key, or not for now."""
        head, claims, signature = (_decoded(part) for part in assertion.split("."))
        said = assertion.rpartition(".")[0].encode()
        self._private.public_key().verify(signature, said, PKCS1v15(), SHA256())
        assert msgspec.json.decode(head) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        found: dict[str, Any] = msgspec.json.decode(claims)
        assert (found["iss"], found["aud"]) == (self.email, audience)
        assert found["iat"] <= now.timestamp() <= found["exp"] <= found["iat"] + _ANSWER_OF_TIME.total_seconds()
        return found


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


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
