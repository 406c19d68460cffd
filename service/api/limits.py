"""How much a key may ask: a bucket of requests per key, and the headers that say what is left of it.

A bucket refills steadily and holds a minute's worth, so an even pace is never refused. Each process counts for itself:
behind several a key may ask as many times as much. The headers are those of draft-ietf-httpapi-ratelimit-headers-09.

Each request costs one, an unchanged answer too. A route whose answers may be large charges for them with
:func:`charge` once it knows how large one is; ``X-Query-Cost`` says what was charged.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.context import Context
from service.errors import TooMany

BUDGETS = "tallybook.budgets"
"""Where the buckets are in the scope of a request."""
_LEFT = "tallybook.budget_left"
_COST = "tallybook.cost"
CELLS = 500
"""Values of an answer that cost as much as a request."""
_WINDOW = 60
_MOST = 10_000


class Budgets:
    """The buckets of all keys in this process. ``quota`` requests a minute; 0 sets no limit."""

    def __init__(self, quota: int, context: Context) -> None:
        self._quota = quota
        self._clock = context.monotonic
        self._levels: dict[UUID, tuple[float, float]] = {}

    def spend(self, scope: MutableMapping[str, Any], key_id: UUID) -> bool:
        """Take one request out of a key's bucket, and note in the scope what is left; False where it is empty."""
        if not self._quota:
            return True
        now = self._clock()
        level, at = self._levels.get(key_id, (float(self._quota), now))
        level = min(float(self._quota), level + (now - at) * self._quota / _WINDOW)
        enough = level >= 1
        level -= enough
        if len(self._levels) >= _MOST and key_id not in self._levels:
            self._levels.pop(next(iter(self._levels)))
        self._levels[key_id] = (level, now)
        scope[_LEFT] = level
        scope[_COST] = 1
        return enough

    def charge(self, scope: MutableMapping[str, Any], key_id: UUID, units: int) -> None:
        """Take more out of a bucket that a request came out of: what is missing has to flow in before the next."""
        if not self._quota or _LEFT not in scope:
            return
        level, at = self._levels.get(key_id, (float(self._quota), self._clock()))
        level = max(level - units, -float(self._quota))
        self._levels[key_id] = (level, at)
        scope[_LEFT] = level
        scope[_COST] += units

    def require(self, scope: MutableMapping[str, Any], key_id: UUID) -> None:
        """Take one request. Raises :class:`TooMany`."""
        if not self.spend(scope, key_id):
            raise TooMany(f"this key may ask {self._quota} times a minute", _WINDOW * (1 - scope[_LEFT]) / self._quota)

    def headers(self, level: float) -> list[tuple[bytes, bytes]]:
        """Return what is said of a bucket with so much left."""
        full_in = math.ceil((self._quota - level) * _WINDOW / self._quota)
        return [
            (b"ratelimit-policy", f'"default";q={self._quota};w={_WINDOW}'.encode()),
            (b"ratelimit", f'"default";r={max(0, int(level))};t={full_in}'.encode()),
        ]


def charge(scope: MutableMapping[str, Any], key_id: UUID, cells: int) -> None:
    """Charge a key for an answer of so many values: one for each whole :data:`CELLS`."""
    scope[BUDGETS].charge(scope, key_id, cells // CELLS)


class Limits:
    """Around the routes: hands them the buckets, and says on each answer what is left of the caller's."""

    def __init__(self, app: ASGIApp, budgets: Budgets) -> None:
        self._app = app
        self._budgets = budgets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[BUDGETS] = self._budgets

        async def saying(message: Message) -> None:
            if message["type"] == "http.response.start" and _LEFT in scope:
                told = [*self._budgets.headers(scope[_LEFT]), (b"x-query-cost", b"%d" % scope[_COST])]
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        await self._app(scope, receive, saying)
