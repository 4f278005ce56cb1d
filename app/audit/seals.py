"""Seals over the audit: a chain of hashes, which shows that no entry was changed, removed or inserted later.

Entries have ids in the order of time (UUIDv7). The worker seals them in that order, SEAL_ENTRIES at a time, when no
open transaction can insert an entry before them. Each seal contains the hash of the seal before, so that the newest
hash stands for the whole audit. Who keeps it outside (`xuezu audit head`) can prove that nobody, a superuser included,
has rewritten what was sealed until then.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from app.database.connections import Database, Role
from app.database.locks import Lock, try_lock_on_driver

log = structlog.get_logger()

SEAL_ENTRIES = 1000
"""Entries of a seal at most."""
PAUSE = 5.0
"""Seconds between two rounds."""
AFTER_FAILURE = 5.0
MARGIN = timedelta(seconds=10)
"""Entries are sealed that much later. An insert makes the id just before its transaction gets a number, and the clocks
of a primary and its successor may differ."""
FIRST_ID = UUID(int=0)
FIRST_HASH = bytes(32)
LOCATOR_BYTES = 24
"""The bytes of an entry in `audit_seals.digests`: its id and the first 8 bytes of its digest."""

_CLOCK = "SELECT clock_timestamp()"
# The number of this transaction is higher than all that were given before. `pg_snapshot_xmax` is not: it follows the
# newest transaction that has ended, and transactions with higher numbers may be open.
_NUMBER = "SELECT pg_current_xact_id()::text::bigint"
_OLDEST = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
ENTRIES = """
SELECT id, (extract(epoch FROM at) * 1000000)::bigint::text AS at, org_id::text, user_id::text, client_id,
    address::text, request_id, action, subject_type, subject_id::text, before::text, after::text
FROM audit_entries WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
"""
"""The entries after an id up to another one, at most this many, in the form that is hashed."""
NEWEST = "SELECT number, last_id, hash FROM audit_seals ORDER BY number DESC LIMIT 1"
_INSERT = "INSERT INTO audit_seals (number, last_id, entries, digests, hash) VALUES ($1, $2, $3, $4, $5)"


class Head(NamedTuple):
    """The newest seal. Before the first one the number is 0."""

    number: int
    last_id: UUID
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"


NO_SEAL = Head(0, FIRST_ID, FIRST_HASH)


class _Instant(NamedTuple):
    """An instant. Every transaction that had a number before it has a lower number than this one."""

    at: datetime
    number: int


def digest_entry(entry: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of an entry. Each field is written with its length, so that two entries never read alike."""
    digest = hashlib.sha256()
    for name, value in entry.items():
        content = b"-" if value is None else str(value).encode()
        digest.update(f"{name}:{'-' if value is None else len(content)}:".encode() + content)
    return digest.digest()


def hash_seal(previous: bytes, number: int, digests: Sequence[bytes]) -> bytes:
    """Return the hash of a seal over the digests of its entries."""
    return hashlib.sha256(previous + number.to_bytes(8, "big") + b"".join(digests)).digest()


def get_lowest_id(at: datetime) -> UUID:
    """Return the lowest UUIDv7 of an instant."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))


async def run_sealing(database: Database) -> None:
    """Seal entries until the task is cancelled. If the connection breaks, wait and begin again."""
    while True:
        try:
            connection = await database.connect(Role.JOB)
            try:
                await _seal_periodically(connection)
            finally:
                connection.terminate()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.error("sealing_failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
            await asyncio.sleep(AFTER_FAILURE)


async def _seal_periodically(connection: asyncpg.Connection) -> None:
    horizon = Horizon()
    while True:
        before = await horizon.advance(connection)
        sealed = 0 if before is None else await seal_entries(connection, before)
        await asyncio.sleep(0 if sealed == SEAL_ENTRIES else PAUSE)


class Horizon:
    """The instant before which no open transaction can insert an entry.

    A transaction gets its number at its first insert, and the id of an entry has the time of its insert. So when all
    transactions have ended that had a number at an instant, every entry with an earlier id is visible.
    """

    def __init__(self, margin: timedelta = MARGIN) -> None:
        self._margin = margin
        self._instants: deque[_Instant] = deque(maxlen=10_000)

    async def advance(self, connection: asyncpg.Connection) -> datetime | None:
        """Look at the open transactions. Return the horizon, or None if it is not known yet."""
        at = await connection.fetchval(_CLOCK)  # a statement of its own: one statement may read the clock later
        self._instants.append(_Instant(at, await connection.fetchval(_NUMBER)))
        oldest = await connection.fetchval(_OLDEST)
        ended = [instant for instant in self._instants if instant.number < oldest]
        if not ended:
            return None
        while self._instants[0] is not ended[-1]:
            self._instants.popleft()
        return ended[-1].at - self._margin


async def seal_entries(connection: asyncpg.Connection, before: datetime) -> int:
    """Seal at most SEAL_ENTRIES entries from before the instant, in one transaction. Return their number.

    Takes `Lock.AUDIT_SEALS`; seals nothing if another worker has it.
    """
    async with connection.transaction():
        if not await try_lock_on_driver(connection, Lock.AUDIT_SEALS):
            return 0
        head = await read_head(connection)
        entries = await connection.fetch(ENTRIES, head.last_id, get_lowest_id(before), SEAL_ENTRIES)
        if not entries:
            return 0
        digests = [digest_entry(entry) for entry in entries]
        locators = b"".join(entry["id"].bytes + digest[:8] for entry, digest in zip(entries, digests, strict=True))
        number = head.number + 1
        await connection.execute(
            _INSERT, number, entries[-1]["id"], len(entries), locators, hash_seal(head.hash, number, digests)
        )
        return len(entries)


async def read_head(connection: asyncpg.Connection) -> Head:
    """Return the newest seal."""
    row = await connection.fetchrow(NEWEST)
    return NO_SEAL if row is None else Head(*row)
