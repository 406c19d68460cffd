"""A fake Pebble: an ASGI application with pebbles, days and one token."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl

ACCOUNT = "duckpond"
TOKEN = "pbl-fake-token-of-the-pond"
SECRET = "fake-key-of-the-pushes"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class Stone:
    """A pebble and its counters."""

    id: str
    thrown: datetime
    text: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return it as the platform tells it."""
        return {"id": self.id, "thrown_at": self.thrown.isoformat(), "text": self.text, "skips": 3, **self.counts}


@dataclass
class Pond:
    """The server."""

    now: datetime = datetime(2026, 8, 20, 12, tzinfo=UTC)
    stones: list[Stone] = field(default_factory=list)
    days: dict[date, int] = field(default_factory=dict)
    page_size: int = 2
    calls: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        query = dict(parse_qsl(scope["query_string"].decode()))
        self.calls.append(f"{scope['path']}?{scope['query_string'].decode()}")
        token = dict(scope["headers"]).get(b"authorization", b"").decode()
        status, told = (200, self._answer(scope["path"], query)) if token == f"Bearer {TOKEN}" else (401, {})
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    def _answer(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        if path == "/v1/pond/days":
            days = [day for day in sorted(self.days) if query["from"] <= day.isoformat() <= query["to"]]
            return {"days": [{"day": day.isoformat(), "pond_visits": self.days[day]} for day in days]}
        if "ids" in query:
            return {"pebbles": [stone.shown() for stone in self.stones if stone.id in query["ids"].split(",")]}
        listed = [stone for stone in self.stones if stone.thrown.date().isoformat() >= query.get("since", "")]
        first = int(query.get("place", "0"))
        rest = listed[first + self.page_size :]
        shown = [stone.shown() for stone in listed[first : first + self.page_size]]
        return {"pebbles": shown, "next": str(first + self.page_size) if rest else None}


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def pushed(pebble: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a push about a pebble."""
    body = json.dumps({"event": "pebble.splashed", "pebble": pebble}).encode()
    return body, {"x-pebble-signature": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}
