"""The standby from which marked routes read (`XUEZU_REPLICA_URL`), and the instant for which its data are true.

A watcher compares two positions of the write-ahead log every PERIOD: where the primary writes, and what the standby has
replayed. What the standby shows contains every write before the newest instant whose position it has replayed
(`Freshness.as_of`). This holds on an idle primary too, where the time of the last replayed transaction stands still.

The standby is not used, and the primary answers, while one of these is true: it cannot be reached, its data are older
than MAX_LAG, it is no standby any more, it belongs to another cluster, or it is on another timeline than the primary
(after a failover it may have writes that the primary never had). A change is written to the log.
"""

import asyncio
import base64
import binascii
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.cipher import Cipher, Undecryptable
from app.core.services import Service
from app.core.settings import Settings
from app.database.connections import Database, Role
from app.database.db import create_pools
from app.database.driver import ReadPool, StatementSource
from app.database.watch import watch_database

log = structlog.get_logger()

PERIOD = 0.5
"""Seconds between two comparisons. The data of a standby that keeps up count as at most this old."""
MAX_LAG = 10.0
"""Seconds. Older data are not shown; the primary answers."""
WAIT = 0.05
"""Seconds that a read waits for the caller's own write to be replayed. Then the primary answers."""
WAIT_STEP = 0.005
CATCH_UP_STEP = 0.02
ANSWER_SECONDS = 2
KEPT_POSITIONS = int(2 * MAX_LAG / PERIOD)

# The clock first: a transaction that was committed before this instant is before the position.
_PRIMARY = """
SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS position,
    substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) AS timeline,
    (pg_control_system()).system_identifier AS cluster
"""
_STANDBY = """
SELECT pg_is_in_recovery() AS standby, pg_last_wal_replay_lsn() - '0/0'::pg_lsn AS position,
    greatest(
        (pg_control_checkpoint()).timeline_id, (pg_control_recovery()).min_recovery_end_timeline
    ) AS timeline,
    (pg_control_system()).system_identifier AS cluster
"""
_REPLAYED = "SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn AS position"

CONNECTION_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, OSError, TimeoutError)


class Position(NamedTuple):
    """A position of the write-ahead log. Positions of two timelines cannot be compared."""

    timeline: int
    lsn: int


NEVER_REPLAYED = 1 << 64
"""A position after all others: the caller's reads go to the primary."""

_TOKEN = "consistency"


def seal_position(cipher: Cipher, position: Position) -> str:
    """Return a position as the value of `X-Consistency`. It is encrypted, since plain positions would show everybody
    how much the whole service writes."""
    sealed = cipher.encrypt(f"{position.timeline}-{position.lsn}", _TOKEN)
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_position(cipher: Cipher, token: str) -> Position | None:
    """Return the position in a value of `X-Consistency`, or None if it is none of ours or its key is gone."""
    try:
        sealed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        timeline, _, lsn = cipher.decrypt_text(sealed, _TOKEN).partition("-")
        return Position(int(timeline), int(lsn))
    except (Undecryptable, binascii.Error, ValueError, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the watcher last found. The standby has all writes before `as_of`, by the primary's clock."""

    position: Position
    as_of: datetime
    seen: float
    """`time.monotonic()` when the primary's clock showed `as_of`."""

    @property
    def lag(self) -> float:
        """Return the age of the data in seconds."""
        return time.monotonic() - self.seen


class _Sample(NamedTuple):
    """The position of the primary at an instant. `seen` is `time.monotonic()` just before it."""

    position: Position
    at: datetime
    seen: float
    cluster: int


class Replica:
    """The engine and the read pool of the standby, and its freshness."""

    def __init__(self, settings: Settings, cipher: Cipher, primary: Database, role: Role) -> None:
        """Create the pools inside a running event loop. They open no connection yet.

        The settings must have `replica_url`. The standby has as many connections as the primary
        (`XUEZU_DATABASE_POOL`), with the limits of `role`, and the watcher one more to each: it must not wait for the
        statements of requests.
        """
        self._database = standby = Database.from_replica_settings(settings)
        self._primary, self._standby = ReadPool(primary, 1, Role.LISTEN), ReadPool(standby, 1, Role.LISTEN)
        self.engine: AsyncEngine
        self.pool: ReadPool
        self.engine, self.pool = create_pools(standby, settings.database_pool, role)
        self._cipher = cipher
        self._samples: deque[_Sample] = deque(maxlen=KEPT_POSITIONS)
        self._found: Freshness | None = None
        self._cause: str | None = "behind"
        self._began: float | None = time.monotonic()
        """When the service began, until it has logged whether the standby is used."""

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[None]:
        """Compare the positions during the block, and close the pools after it."""
        try:
            async with watch_database(self._database), self._primary, self._standby, self.pool:
                watching = asyncio.create_task(self._compare_periodically())
                try:
                    yield
                finally:
                    watching.cancel()
                    with suppress(asyncio.CancelledError):
                        await watching
        finally:
            await self.engine.dispose()

    @property
    def freshness(self) -> Freshness | None:
        """Return the freshness of a standby that can be read now, or None."""
        found = self._found
        return None if found is None or found.lag > MAX_LAG else found

    @property
    def lag(self) -> float | None:
        """Return the age of the standby's data in seconds, also where it is too old to be shown. None means unknown."""
        return None if self._found is None else self._found.lag

    async def choose(self, token: str | None) -> Freshness | None:
        """Return the freshness of the standby if the caller can read from it, or None: read from the primary.

        `token` is what the caller's last write answered in `X-Consistency`. The standby is chosen only if it has
        replayed that write, or does within WAIT.
        """
        found = self.freshness
        if found is None or token is None:
            return found
        needed = open_position(self._cipher, token)
        if needed is None or needed.timeline != found.position.timeline:
            return None
        if needed.lsn <= found.position.lsn or await self._wait_for(needed.lsn, WAIT):
            return found
        return None

    async def catch_up(self, seconds: float) -> bool:
        """Return whether the standby can be read and has, within the seconds, what is committed on the primary now."""
        deadline = time.monotonic() + seconds
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                needed = (await _read_primary(self._primary)).position
            while True:
                async with asyncio.timeout(ANSWER_SECONDS):
                    cause = await self._compare()
                found = self.freshness
                if cause is None and found is not None and found.position >= needed:
                    return found.position.timeline == needed.timeline
                if cause is not None or time.monotonic() > deadline:
                    return False
                await asyncio.sleep(CATCH_UP_STEP)
        except CONNECTION_ERRORS:
            return False

    def seal(self, lsn: int) -> str:
        """Return the value of `X-Consistency` for a position of the primary."""
        timeline = self._samples[-1].position.timeline if self._samples else 0
        return seal_position(self._cipher, Position(timeline, lsn))

    async def _wait_for(self, lsn: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        try:
            while True:
                async with asyncio.timeout(ANSWER_SECONDS):
                    rows = await self.pool.fetch(_REPLAYED)
                replayed = rows[0]["position"]
                if replayed is not None and int(replayed) >= lsn:
                    return True
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(WAIT_STEP)
        except CONNECTION_ERRORS:
            return False

    async def _compare_periodically(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    cause = await self._compare()
            except Exception as error:
                self._found, cause = None, type(error).__name__
            if cause is None and self.freshness is None:
                cause = "behind"
            self._log(cause)
            await asyncio.sleep(PERIOD)

    def _log(self, cause: str | None) -> None:
        """Log whether the standby is used, where this has changed, or where it was not used since the start."""
        late = self._began is not None and time.monotonic() - self._began > MAX_LAG
        if cause == self._cause and not late:
            return
        self._cause, self._began = cause, None
        if cause is None:
            log.info("replica_used")
        else:
            log.warning("replica_not_used", cause=cause)

    async def _compare(self) -> str | None:
        """Compare the positions once. Return why the standby cannot be used, or None."""
        sample = await _read_primary(self._primary)
        if self._samples and self._samples[-1].position.timeline != sample.position.timeline:
            self._samples.clear()
        self._samples.append(sample)
        row = (await self._standby.fetch(_STANDBY))[0]
        cause = None
        if not row["standby"]:
            cause = "no-standby"
        elif row["cluster"] != sample.cluster:
            cause = "other-cluster"
        elif row["timeline"] != sample.position.timeline:
            cause = "other-timeline"
        if cause is not None:
            self._found = None
            return cause
        replayed = int(row["position"])
        newest = next((each for each in reversed(self._samples) if each.position.lsn <= replayed), None)
        if newest is not None:
            self._found = Freshness(Position(sample.position.timeline, replayed), newest.at, newest.seen)
        return None


async def _read_primary(primary: StatementSource) -> _Sample:
    seen = time.monotonic()
    row = (await primary.fetch(_PRIMARY))[0]
    return _Sample(Position(int(row["timeline"], 16), int(row["position"])), row["at"], seen, row["cluster"])


@asynccontextmanager
async def watch_replica(
    settings: Settings, cipher: Cipher, primary: Database, role: Role
) -> AsyncIterator[Replica | None]:
    """Yield the standby of XUEZU_REPLICA_URL, which is watched during the block, or None if there is none."""
    if settings.replica_url is None:
        yield None
        return
    replica = Replica(settings, cipher, primary, role)
    async with replica.watch():
        yield replica


REPLICA = Service[Replica | None]("replica")
