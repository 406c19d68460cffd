"""What a failed statement means for its caller: the database is away, the transaction may be run again, or neither.

Errors arrive in two dialects, SQLAlchemy's and the driver's own; both are read here and nowhere else.
States are those of the PostgreSQL manual, appendix A.
"""

from __future__ import annotations

import asyncpg
import sqlalchemy as sa

DATABASE_ERRORS: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sa.exc.SQLAlchemyError,
    OSError,
    TimeoutError,
)
"""Everything that a transaction may end with, apart from the errors of the code inside it."""

# Connections lost or refused, a role not let in, resources exhausted (connections, memory, disk), machine trouble.
_LOST_CLASSES = frozenset({"08", "28", "53", "58"})
# Shutdown, crash, start-up; a server that has become read-only; a session that was idle too long; no such database.
_LOST_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "25006", "25P03", "3D000"})
_SERIALIZATION, _DEADLOCK = "40001", "40P01"
_LOCK_TIMEOUT = "55P03"
_STATEMENT_TIMEOUT = "57014"


def sqlstate(error: BaseException) -> str:
    """Return the five characters PostgreSQL gave the error, or an empty string where it gave none."""
    return str(getattr(_inner(error), "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """Say whether the connection is gone or was not to be had: what was sent may or may not have been committed."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    if state := sqlstate(error):
        return state in _LOST_STATES or state[:2] in _LOST_CLASSES
    inner = _inner(error)
    if isinstance(inner, asyncpg.InterfaceError):
        # The driver files a value that it cannot send under interface errors too.
        return not isinstance(inner, ValueError)
    return isinstance(inner, OSError | TimeoutError | sa.exc.TimeoutError)


def is_away(error: BaseException) -> bool:
    """Say whether no other statement would fare better now: the caller should come back later."""
    return is_lost(error) or sqlstate(error) in {_LOCK_TIMEOUT, _STATEMENT_TIMEOUT}


def is_conflict(error: BaseException) -> bool:
    """Say whether the transaction met another one, or a changed table, and may be run again at once, whole."""
    return sqlstate(error) in {_SERIALIZATION, _DEADLOCK} or isinstance(
        _inner(error), asyncpg.InvalidCachedStatementError
    )


def is_passing(error: BaseException) -> bool:
    """Say whether the same transaction may succeed later unchanged: its input is not to blame."""
    return is_lost(error) or is_conflict(error) or sqlstate(error) == _LOCK_TIMEOUT


def _inner(error: BaseException) -> BaseException:
    """Return the driver's own error under those of SQLAlchemy."""
    if not isinstance(error, sa.exc.DBAPIError) or error.orig is None:
        return error
    return error.orig.__cause__ or error.orig
