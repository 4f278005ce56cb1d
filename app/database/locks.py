"""Advisory locks: every key that the service takes, and the only functions that take them.

All are locks of the transaction: the commit or the rollback ends them. A lock of the session would outlive its
transaction behind a transaction pooler, on a connection that somebody else uses by then. The order in which locks are
taken is in `docs/LOCKING.md`.

A key is one bigint. For a lock without an object it is the member's number. For a lock of one object it is
`hashtextextended(object, number)`: 64 bits, with the number as the seed, so that two classes do not meet in the same
object. Two objects with the same key would wait for each other, or be told that the other is busy; with 64 bits nobody
will see that. PostgreSQL's keys of two integers leave 32 bits for the object, which are too few for `IDEMPOTENCY_KEY`:
of 10,000 requests at once two would meet every hundredth time, and one of them be refused.

A number is part of the database's contract. Processes of two releases run beside each other while a release rolls out,
and functions in the database take some of the locks too: a changed number is another lock.
"""

from enum import IntEnum, unique
from functools import cache
from uuid import UUID

import asyncpg
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIRST_WITHOUT_OBJECT = 1 << 16


@unique
class Lock(IntEnum):
    """What each lock protects, who takes it, in which mode, and on which object."""

    # Locks of one object: numbers below 65,536, which seed the hash of the object.

    PHONE = 0
    """One phone, by its blind index (bytes). Registering it and adding a member row with it, at once, see each other.
    Taken by `members.activation`, exclusive."""

    IMPORTS = 1
    """The imports of one org (uuid). One is checked or merged at a time. Tried by `members.imports.jobs`, exclusive, in
    a transaction of its own that lasts as long as the job."""

    EXPORT = 2
    """One export (uuid). One worker makes its file. Tried by `exports.jobs`, exclusive, in the transaction that reads
    what is exported."""

    IDEMPOTENCY_KEY = 3
    """One `Idempotency-Key` of one caller (their digest, bytes). One request runs at a time, a second is refused with
    409. Tried by the database function `claim_idempotency_key`, exclusive."""

    PARTITION = 4
    """One partition (its name). It is made once. Taken by the database function `make_partition`, exclusive."""

    # Locks without an object: the number is the key.

    HIERARCHY = 517365660277
    """Who is certified under whom. Edits of the hierarchy run one after the other. Taken by `hierarchy.tree` and again
    by the triggers of `certifications` and `orgs`, exclusive."""

    SIGNING_KEYS = 517365660278
    """The first signing key. Processes that start together make one. Taken by `authz.signing_keys`, exclusive."""

    MIGRATION = 517365660280
    """The schema. One `xuezu migrate` at a time. Tried by `database.migration`, exclusive, in a transaction of its
    own that lasts as long as all migrations."""

    INDEX_KEY = 115922851690597
    """How far a rotation of the index key has come. Transactions that write or compare a blind index take it shared
    (`blind_index.keys`), a step of the rotation takes it exclusive (`key_rotation.index_key`)."""

    @property
    def of_an_object(self) -> bool:
        return self < _FIRST_WITHOUT_OBJECT


Object = UUID | bytes | str


async def lock(db: AsyncConnection, which: Lock, of: Object | None = None) -> None:
    """Take the lock, exclusive, until the transaction ends. It waits as long as the session's `lock_timeout` says.

    A statement of its own on purpose: under READ COMMITTED only statements that begin after the lock was granted see
    what its last owner committed.
    """
    await db.execute(_statement("pg_advisory_xact_lock", which, of), _parameters(of))


async def lock_shared(db: AsyncConnection, which: Lock, of: Object | None = None) -> None:
    """Take the lock as `lock` does, but shared: beside other shared owners."""
    await db.execute(_statement("pg_advisory_xact_lock_shared", which, of), _parameters(of))


async def try_lock(db: AsyncConnection, which: Lock, of: Object | None = None) -> bool:
    """Take the lock, exclusive, until the transaction ends. False, at once, where another transaction has it."""
    return bool(await db.scalar(_statement("pg_try_advisory_xact_lock", which, of), _parameters(of)))


def lock_of_each(which: Lock, object_sql: str) -> str:
    """The expression with which a statement takes the lock, exclusive, of an object (SQL, a bytea) for each of its
    rows. The statement only takes locks: what they protect is read by statements after it."""
    return _call("pg_advisory_xact_lock", which, f"encode({object_sql}, 'hex')")


async def try_lock_on_driver(connection: asyncpg.Connection, which: Lock) -> bool:
    """`try_lock` on a connection of the driver that is in a transaction, for a lock without an object."""
    return bool(await connection.fetchval(_sql("pg_try_advisory_xact_lock", which, with_object=False)))


def _call(function: str, which: Lock, object_sql: str | None) -> str:
    if which.of_an_object != (object_sql is not None):
        raise ValueError(f"{which.name} is a lock {'of one object' if which.of_an_object else 'without an object'}")
    # The number stands in the statement's text, so that pg_stat_activity shows which lock is waited for.
    key = f"hashtextextended({object_sql}, {which.value})" if object_sql else str(which.value)
    return f"{function}({key})"


@cache
def _sql(function: str, which: Lock, *, with_object: bool) -> str:
    return f"SELECT {_call(function, which, ':object' if with_object else None)}"


@cache
def _text(sql: str) -> TextClause:
    return text(sql)


def _statement(function: str, which: Lock, of: Object | None) -> TextClause:
    return _text(_sql(function, which, with_object=of is not None))


def _parameters(of: Object | None) -> dict[str, str]:
    if of is None:
        return {}
    return {"object": of.hex() if isinstance(of, bytes) else str(of)}
