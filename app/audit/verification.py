"""The verification of the audit: every entry is hashed again and compared with its seal."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg

from app.audit.seals import ENTRIES, LOCATOR_BYTES, NO_SEAL, Head, digest_entry, hash_seal


class Fault(StrEnum):
    """What is wrong."""

    ENTRY_CHANGED = "entry-changed"
    ENTRY_MISSING = "entry-missing"
    ENTRY_ADDED = "entry-added"
    """An entry was inserted with an id among entries that were sealed already."""
    SEAL_MISSING = "seal-missing"
    SEAL_CHANGED = "seal-changed"
    """The entries are those of the seal, and its hash is not."""
    HEAD_DIFFERS = "head-differs"
    """The seal is not the one that was kept outside: the audit was written anew."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit. `entry_id` is None if the seal itself is meant."""

    fault: Fault
    seal: int
    entry_id: UUID | None = None


_SEALS = "SELECT number, last_id, digests, hash FROM audit_seals WHERE number > $1 AND number <= $2 ORDER BY number"
_SEAL = "SELECT number, last_id, hash FROM audit_seals WHERE number = $1"
_NEWEST = "SELECT coalesce(max(number), 0) FROM audit_seals"


async def find_faults(
    connection: asyncpg.Connection, *, after: int = 0, until: int | None = None, head: str | None = None
) -> AsyncIterator[Finding]:
    """Yield what is wrong with the seals after number `after` up to number `until`, in one snapshot.

    `head` is a seal that was kept outside (`xuezu audit head`). One seal is in memory at a time.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        newest = await connection.fetchval(_NEWEST)
        if head is not None:
            number = int(head.partition(":")[0])
            stored = await connection.fetchrow(_SEAL, number)
            if stored is None or str(Head(*stored)) != head:
                yield Finding(Fault.HEAD_DIFFERS, number)
        row = await connection.fetchrow(_SEAL, after)
        previous = NO_SEAL if row is None else Head(*row)
        last = newest if until is None else min(until, newest)
        async for seal in connection.cursor(_SEALS, after, last, prefetch=10):
            for missing in range(previous.number + 1 if previous.number else after + 1, seal["number"]):
                yield Finding(Fault.SEAL_MISSING, missing)
            async for finding in _compare(connection, previous, seal):
                yield finding
            previous = Head(seal["number"], seal["last_id"], seal["hash"])
        for missing in range(max(previous.number, after) + 1, last + 1):
            yield Finding(Fault.SEAL_MISSING, missing)


async def _compare(connection: asyncpg.Connection, previous: Head, seal: asyncpg.Record) -> AsyncIterator[Finding]:
    number, locators = seal["number"], seal["digests"]
    sealed = {
        UUID(bytes=locators[start : start + 16]): locators[start + 16 : start + LOCATOR_BYTES]
        for start in range(0, len(locators), LOCATOR_BYTES)
    }
    fits, digests = True, []
    for entry in await connection.fetch(ENTRIES, previous.last_id, seal["last_id"], None):
        digest = digest_entry(entry)
        digests.append(digest)
        known = sealed.pop(entry["id"], None)
        if known != digest[:8]:
            fits = False
            yield Finding(Fault.ENTRY_ADDED if known is None else Fault.ENTRY_CHANGED, number, entry["id"])
    for entry_id in sealed:
        fits = False
        yield Finding(Fault.ENTRY_MISSING, number, entry_id)
    if fits and hash_seal(previous.hash, number, digests) != seal["hash"]:
        yield Finding(Fault.SEAL_CHANGED, number)
