"""Reads from the standby (`ReplicaDb`), which a route declares in place of `ReadDb` for data that can be a moment old.

Authorization never reads there: it takes the connection of the request, which is the primary's.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import asyncpg
import structlog
from fastapi import Cookie, Depends, Header, Request, Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.db import Readable, ReadConnection, ReadDb
from app.database.replica import REPLICA, Replica

log = structlog.get_logger()

T = TypeVar("T")

AS_OF_HEADER = "X-Data-As-Of"
CONSISTENCY_HEADER = "X-Consistency"
CONSISTENCY_COOKIE = "xuezu-consistency"

_AGAIN_ON_THE_PRIMARY = ("08", "25", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that say something about the standby, not about the statement. Among them is the conflict of a
statement with the replay (40001, 57014)."""


class ReplicaConnection(ReadConnection):
    """Reads from the standby. After an error of the standby, this statement and the following ones read from the
    primary, whose data are newer."""

    def __init__(self, primary: ReadConnection, replica: Replica, data_as_of: datetime) -> None:
        super().__init__(replica.engine, replica.pool)
        self.data_as_of = data_as_of
        self._primary = primary
        self._failed = False
        primary.close_with(self)

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that runs on the standby's read pool."""
        return await self._read(
            lambda: super(ReplicaConnection, self).fetch(sql, *arguments),
            lambda: self._primary.fetch(sql, *arguments),
        )

    async def _use(self, run: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await self._read(lambda: super(ReplicaConnection, self)._use(run), lambda: self._primary._use(run))

    async def _read(self, standby: Callable[[], Awaitable[T]], primary: Callable[[], Awaitable[T]]) -> T:
        if self._failed:
            return await primary()
        try:
            return await standby()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, OSError, TimeoutError) as error:
            if not is_failure_of_standby(error):
                raise
            self._failed = True
            log.warning("replica_read_failed", error=type(error).__name__)
        await self.close()
        return await primary()


def is_failure_of_standby(error: BaseException) -> bool:
    """Return whether the statement may succeed on the primary."""
    cause = getattr(error.orig, "__cause__", None) if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_AGAIN_ON_THE_PRIMARY)


def bound_as_of(db: Readable, instant: datetime) -> datetime:
    """Return the instant for which figures are true: the given one, or that of the standby's data if it is earlier.

    `now()` of a standby is the time of its machine, not of its data.
    """
    return min(instant, db.data_as_of) if isinstance(db, ReplicaConnection) else instant


async def _get_replica_db(
    request: Request,
    response: Response,
    db: ReadDb,
    consistency: Annotated[
        str | None,
        Header(
            alias=CONSISTENCY_HEADER,
            description="The `X-Consistency` of the answer to your last write. The answer to this read then contains "
            "that write. Another text has no effect but that the primary is read.",
        ),
    ] = None,
    cookie: Annotated[str | None, Cookie(alias=CONSISTENCY_COOKIE, include_in_schema=False)] = None,
) -> ReadConnection:
    replica = REPLICA.get(request)
    if replica is None:
        return db
    found = await replica.choose(consistency or cookie)
    response.headers[AS_OF_HEADER] = format_instant(datetime.now(UTC) if found is None else found.as_of)
    return db if found is None else ReplicaConnection(db, replica, found.as_of)


def format_instant(instant: datetime) -> str:
    """Return an instant as the API writes it (RFC 3339, UTC)."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


ReplicaDb = Annotated[ReadConnection, Depends(_get_replica_db)]
"""The connection of a read whose data can be a moment old: the standby's if there is one that can be used."""
