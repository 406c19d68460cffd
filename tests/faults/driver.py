"""A database driver that fails at a chosen call: the Nth query, BEGIN, COMMIT or ROLLBACK that a use case sends.

The fault sits between asyncpg's connection and its protocol, below both roads that the service takes (SQLAlchemy and
the driver itself). What is faked is only the moment: a cut closes the socket, a conflict is raised by the server.
The ping before a checkout is not counted: it is SQLAlchemy's own, and its failures are mended by it.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.engine import Database, make_engine

_CALLS = frozenset({"query", "bind", "bind_execute", "bind_execute_many", "execute", "copy_in", "copy_out"})
"""What reaches the server, apart from preparing a statement: that happens once per connection and changes nothing."""
_STATES = ("40001", "40P01")
_CONFLICT = "do $$ begin raise exception 'a fault was asked for' using errcode = '{}'; end $$"


class Fault(enum.StrEnum):
    """What happens to the chosen call, counted among those it can happen to."""

    CUT = "cut"  # the connection ends before the call reaches the server
    CUT_AFTER_COMMIT = "cut after commit"  # the server has done it, nobody hears of it; elsewhere this is a later cut
    CONFLICT = "conflict"  # serialization failure and deadlock by turns


def _meets(fault: Fault | None, text: str, *, alone: bool) -> bool:
    """Say whether a fault can happen to a call: no conflict comes of beginning or giving up. ``alone``: the call is in
    no transaction, and commits by itself.
    """
    if fault is Fault.CUT_AFTER_COMMIT:
        return text.startswith("COMMIT") or (alone and not text.startswith("BEGIN"))
    return fault is not Fault.CONFLICT or not text.startswith(("BEGIN", "ROLLBACK"))


class Saboteur:
    """Counts the calls of all connections of an engine and spoils one. Armed anew for every case."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fired = False
        self._fault: Fault | None = None
        self._at = 0

    def arm(self, fault: Fault | None, at: int = 0) -> None:
        """Count from one again; spoil the call ``at``, or none."""
        self.calls, self.fired = [], False
        self._fault, self._at = fault, at

    @property
    def last(self) -> str:
        """The beginning of the spoilt call's text, for messages."""
        return " ".join(self.calls[self._at - 1].split())[:80] if self.fired else "nothing"

    def due(self, text: str, *, alone: bool) -> Fault | None:
        """Note a call; return what is to happen to it."""
        if not _meets(self._fault, text, alone=alone):
            return None
        self.calls.append(text)
        if self._fault is None or self.fired or len(self.calls) != self._at:
            return None
        self.fired = True
        return self._fault


class _Spoilt:
    """The protocol of one connection with a saboteur in front of the calls that reach the server."""

    def __init__(self, inner: Any, connection: asyncpg.Connection[Any], saboteur: Saboteur) -> None:
        self._inner = inner
        self._connection = connection
        self._saboteur = saboteur
        self.pinged = False

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)
        if name not in _CALLS:
            return inner

        def spoilt(*arguments: Any, **named: Any) -> Awaitable[Any]:
            said = arguments[0] if arguments else named["state"]
            text = said if isinstance(said, str) else said.query
            return self._call(text, lambda: inner(*arguments, **named))

        return spoilt

    async def _call(self, text: str, call: Callable[[], Awaitable[Any]]) -> Any:
        fault = None if self.pinged else self._saboteur.due(text, alone=not self._inner.is_in_transaction())
        if fault is Fault.CONFLICT:
            if text.startswith("COMMIT"):
                await self._inner.query("ROLLBACK", None)  # a commit that fails has ended its transaction
            await self._inner.query(_CONFLICT.format(_STATES[len(self._saboteur.calls) % 2]), None)
        result = None if fault is Fault.CUT else await call()
        if fault is not None:
            self._connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return result


class Spoilt:
    """A database whose every connection the saboteur of this object watches."""

    def __init__(self, url: str, pool_size: int = 4) -> None:
        self.saboteur = Saboteur()
        self.engine: AsyncEngine = make_engine(url, pool_size)
        self.database = Database(self.engine)
        self._watch()

    @property
    def checked_out(self) -> int:
        """Connections that somebody holds."""
        pool = self.engine.sync_engine.pool
        assert isinstance(pool, sa.pool.QueuePool)
        return pool.checkedout()

    def _watch(self) -> None:
        saboteur = self.saboteur

        class Connection(asyncpg.Connection):  # type: ignore[misc]
            def __init__(self, protocol: Any, *more: Any) -> None:
                super().__init__(protocol, *more)
                self._protocol = _Spoilt(protocol, self, saboteur)

        def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
            parameters["connection_class"] = Connection

        sa.event.listen(self.engine.sync_engine, "do_connect", connect)
        dialect: Any = self.engine.sync_engine.dialect
        inner = dialect.do_ping

        def ping(connection: Any) -> Any:
            protocol = connection.driver_connection._protocol
            if protocol is None:
                return inner(connection)
            protocol.pinged = True
            try:
                return inner(connection)
            finally:
                protocol.pinged = False

        dialect.do_ping = ping
