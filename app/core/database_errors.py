"""Which errors of the database mean "again later": the server is away, busy, or has just changed its role.

The API answers them with 503 and `Retry-After`. A job that meets one because the database is away is interrupted, not
failed. The classes are those of PostgreSQL's Appendix A (SQLSTATE, its first two characters).
"""

import errno
import socket

import asyncpg
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout

LOST_CLASSES = frozenset(
    {
        "08",  # connection exception; also what pgbouncer answers for itself
        "53",  # insufficient resources: disk, memory, connections
        "57",  # operator intervention: shut down, starting, terminated
        "58",  # system error outside PostgreSQL
    }
)
"""Classes of errors with which the server, or the connection to it, is of no use for now."""

LOST_STATES = frozenset(
    {
        "25006",  # read_only_sql_transaction: the server is a standby since a failover
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
    }
)

RETRY_CLASSES = frozenset(
    {
        "40",  # transaction rollback: serialization failure, deadlock
    }
)
RETRY_STATES = frozenset(
    {
        "55006",  # object_in_use
        "55P03",  # lock_not_available, lock_timeout
        "57014",  # query_canceled, statement_timeout
    }
)
"""Errors of one statement on a server that works."""

_DRIVER_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_UNREACHABLE = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def get_sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a driver's error, also where SQLAlchemy has wrapped it, or None."""
    state: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return state


def is_database_lost(error: BaseException) -> bool:
    """Return whether the connection, or the server behind it, is gone or cannot work for now."""
    state = get_sqlstate(error)
    if state is not None:
        return state not in RETRY_STATES and (state[:2] in LOST_CLASSES or state in LOST_STATES)
    cause = _unwrap(error)
    if isinstance(cause, asyncpg.DataError):  # a value that the driver cannot encode: the same the next time
        return False
    if isinstance(cause, OSError):
        # A TimeoutError without a number is not from a socket: it can be a time limit of the caller's.
        return isinstance(cause, ConnectionError | socket.gaierror) or cause.errno in _UNREACHABLE
    if isinstance(cause, ExceptionGroup):
        return any(map(is_database_lost, cause.exceptions))
    return isinstance(cause, (*_DRIVER_ERRORS, PoolTimeout, DisconnectionError))


def is_temporary(error: BaseException) -> bool:
    """Return whether the same request can succeed later, without any change of it."""
    state = get_sqlstate(error)
    if state is not None and (state[:2] in RETRY_CLASSES or state in RETRY_STATES):
        return True
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED):
        return True
    # A migration has changed what the prepared statement returns. The driver has forgotten the statement by now.
    if isinstance(_unwrap(error), asyncpg.InvalidCachedStatementError):
        return True
    return is_database_lost(error)


def _unwrap(error: BaseException) -> BaseException:
    """Return the driver's error that SQLAlchemy has wrapped, or the error itself."""
    if not isinstance(error, DBAPIError):
        return error
    return getattr(error.orig, "__cause__", None) or error.orig or error
