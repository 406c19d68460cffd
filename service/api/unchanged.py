"""Questions that were answered a moment ago, in front of the routes: where nothing has changed, 304 without them.

What is remembered is which tag a request got, from what it follows and until when the clock lets it be. Whether it
still stands is asked of the database every time, and requests that arrive together ask together: has a posting shaped
the campaign since, and is the key still one. So a revoked key ends at once, on every replica.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.caching import has
from service.api.limits import BUDGETS
from service.context import Context
from service.db.engine import Database
from service.db.faults import DATABASE_ERRORS

LOOKS = "tallybook.looks"
"""Where the shared looks are in the scope of a GET."""
_REMEMBER = "tallybook.remember"
_MOST = 10_000
_AT_ONCE = 2
"""Looks of one workspace at a time: while one is on its way, the answers of the other are written."""
_BELOW = "/v1/"
_ASKED = (b"authorization", b"accept", b"if-none-match")
_SEE = sa.text("""
select campaign_id, posting, cast(null as bytea) as key_hash from campaign_postings
where workspace_id = :workspace and campaign_id = any(:campaigns)
union all
select null, posting, null from books where workspace_id = :workspace
union all
select null, null, key_hash from key_routes where key_hash = any(:keys) and workspace_id = :workspace
""")
_EVERY = UUID(int=0)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was given: the posting it follows from, for whom, and until when it may stand.

    Without a campaign it follows from the newest posting of the workspace.
    """

    workspace_id: UUID
    campaign_id: UUID | None
    posting: int
    key_id: UUID
    key_hash: bytes
    until: datetime
    headers: Mapping[str, str]
    route: Any


class Seen(NamedTuple):
    """What a look found: the newest posting of each campaign and of the workspace (None), and the keys that live."""

    postings: Mapping[UUID | None, int]
    keys: frozenset[bytes]

    def newest(self, campaign_id: UUID | None) -> int | None:
        """Return the posting that last shaped a campaign, where one is kept; the newest of all without one."""
        if campaign_id is None:
            return self.postings.get(None)
        found = [self.postings[one] for one in (campaign_id, _EVERY) if one in self.postings]
        return max(found, default=None)


class Looks:
    """Looks at the database that requests share: who asks while enough are under way waits for the next."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[UUID, list[tuple[UUID | None, bytes, asyncio.Future[Seen]]]] = defaultdict(list)
        self._tasks: dict[UUID, set[asyncio.Task[None]]] = defaultdict(set)

    async def see(self, workspace_id: UUID, campaign_id: UUID | None, key_hash: bytes) -> Seen:
        """Return what a look that begins now finds. Raises what the database does."""
        future: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._waiting[workspace_id].append((campaign_id, key_hash, future))
        running = self._tasks[workspace_id]
        if len(running) < _AT_ONCE:
            task = asyncio.create_task(self._look(workspace_id))
            running.add(task)
            task.add_done_callback(partial(self._ended, workspace_id))
        return await future

    def _ended(self, workspace_id: UUID, task: asyncio.Task[None]) -> None:
        running = self._tasks[workspace_id]
        running.discard(task)
        if not running:
            del self._tasks[workspace_id]

    async def _look(self, workspace_id: UUID) -> None:
        while waiting := self._waiting.pop(workspace_id, None):
            try:
                seen: Seen | BaseException = await self._ask(workspace_id, waiting)
            except DATABASE_ERRORS as error:
                seen = error
            for *_, future in waiting:
                _settle(future, seen)

    async def _ask(self, workspace_id: UUID, waiting: list[tuple[UUID | None, bytes, Any]]) -> Seen:
        names = {
            "campaigns": list({one[0] for one in waiting if one[0] is not None} | {_EVERY}),
            "keys": list({one[1] for one in waiting}),
        }
        async with self._db.workspace(workspace_id) as connection:
            rows = (await connection.execute(_SEE, {"workspace": workspace_id} | names)).all()
        return Seen(
            {row.campaign_id: row.posting for row in rows if row.key_hash is None},
            frozenset(row.key_hash for row in rows if row.key_hash is not None),
        )


def _settle(future: asyncio.Future[Seen], seen: Seen | BaseException) -> None:
    if future.done():
        return
    if isinstance(seen, BaseException):
        future.set_exception(seen)
    else:
        future.set_result(seen)


class Unchanged:
    """Around the routes: answers 304 itself where it may."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context
        self._kept: dict[bytes, Kept] = {}
        self._looks: Looks | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_BELOW):
            asked = {name: value for name, value in scope["headers"] if name in _ASKED}
            name = _name(scope, asked)
            kept = self._kept.get(name)
            if kept is not None and b"if-none-match" in asked and await self._stands(scope, kept, asked):
                await _say(scope, send, kept)
                return
            scope[_REMEMBER] = partial(self._remember, name)
            scope[LOOKS] = self._looks_of(scope)
        await self._app(scope, receive, send)

    async def _stands(self, scope: Scope, kept: Kept, asked: Mapping[bytes, bytes]) -> bool:
        """Tell whether an answer is still the answer; the routes find out what it is where it is not."""
        if (
            not has(kept.headers["ETag"], asked[b"if-none-match"].decode("latin-1"))
            or self._context.now() >= kept.until
        ):
            return False
        try:
            seen = await self._looks_of(scope).see(kept.workspace_id, kept.campaign_id, kept.key_hash)
        except DATABASE_ERRORS:
            return False
        stands = seen.newest(kept.campaign_id) == kept.posting and kept.key_hash in seen.keys
        return stands and bool(scope[BUDGETS].spend(scope, kept.key_id))

    def _looks_of(self, scope: Scope) -> Looks:
        if self._looks is None:
            self._looks = Looks(scope["app"].state.services.db)
        return self._looks

    def _remember(self, name: bytes, kept: Kept) -> None:
        if len(self._kept) >= _MOST:
            # The oldest goes: a dictionary keeps the order in which names were first met.
            self._kept.pop(next(iter(self._kept)))
        self._kept.pop(name, None)
        self._kept[name] = kept


def _name(scope: Scope, asked: Mapping[bytes, bytes]) -> bytes:
    parts = (asked.get(b"authorization", b""), asked.get(b"accept", b""), scope["query_string"])
    return hashlib.sha256(b"\0".join((scope["path"].encode("utf-8", "surrogatepass"), *parts))).digest()


async def _say(scope: Scope, send: Send, kept: Kept) -> None:
    scope["route"] = kept.route
    headers = [(name.lower().encode(), value.encode()) for name, value in kept.headers.items()]
    await send({"type": "http.response.start", "status": int(HTTPStatus.NOT_MODIFIED), "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def remember(scope: MutableMapping[str, Any], kept: Kept) -> None:
    """Keep which tag the request of a scope got, where somebody in front of the routes does that."""
    keep = scope.get(_REMEMBER)
    if keep is not None and kept.key_hash:
        keep(kept)
