"""Advisory locks: all keys that the service uses, and the only functions that take them.

All are transaction locks: commit or rollback releases them. Behind a transaction pooler a session lock would outlive
its transaction, on a connection that another client uses by then. `docs/LOCKING.md` has the order in which locks are
taken.

A key is one bigint. For a lock without an object it is the member's number. For a lock of one object it is
`hashtextextended(object, number)`: 64 bits, with the number as the seed, so that two kinds of locks on the same object
have different keys. Two objects with the same key would wait for each other or appear busy; with 64 bits this does not
happen in practice. PostgreSQL's keys of two integers have only 32 bits for the object. That is too few for
`IDEMPOTENCY_KEY`: among 10,000 concurrent requests there would be a collision in one case of a hundred, and a request
would be refused.

The numbers are part of the database's contract. Processes of two releases run together while a release rolls out, and
database functions take some of the locks too: a changed number is another lock.
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
    """The locks. The text of each says what it protects, its object, the code that takes it, and the mode."""

    # Locks of one object: numbers below 65,536, which seed the hash of the object.

    PHONE = 0
    """One phone, by its blind index (bytes). A registration of the phone and an insert of a member row with it run one
    after the other. Taken by `members.activation`, exclusive."""

    IMPORTS = 1
    """The imports of one org (uuid). One import is checked or merged at a time. Tried by `members.imports.jobs`,
    exclusive, in a transaction of its own that lasts as long as the job."""

    EXPORT = 2
    """One export or data copy (uuid). One worker writes its file. Tried by `exports.jobs` and `personal_data.jobs`,
    exclusive, in the transaction that reads the exported data."""

    IDEMPOTENCY_KEY = 3
    """One `Idempotency-Key` of one caller (their digest, bytes). One request runs at a time; a second is refused with
    409. Tried by the database function `claim_idempotency_key`, exclusive."""

    PARTITION = 4
    """One partition (its name). It is created once. Taken by the database function `create_partition`,
    for `make_partition`, exclusive."""

    # Locks without an object: the number is the key.

    HIERARCHY = 517365660277
    """The hierarchy of certifications. Its edits run one after the other. Taken by `hierarchy.tree` and again
    by the triggers of `certifications` and `orgs`, exclusive."""

    SIGNING_KEYS = 517365660278
    """The first signing key. Processes that start together create one key. Taken by `authz.signing_keys`, exclusive."""

    MIGRATION = 517365660280
    """The schema. One `xuezu migrate` at a time. Tried by `database.migration`, exclusive, in a transaction of its
    own that lasts as long as all migrations."""

    ORG_LOADS = 517365660281
    """The loads of orgs. One load is checked, loaded or reversed at a time. Tried by `org_loads.jobs`, exclusive, in a
    transaction of its own that lasts as long as the job."""

    AUDIT_SEALS = 517365660282
    """The chain of seals over the audit. One worker seals at a time. Tried by `audit.seals`, exclusive."""

    INDEX_KEY = 115922851690597
    """The progress of a rotation of the index key. Transactions that write or compare a blind index take it shared
    (`blind_index.keys`); a step of the rotation takes it exclusive (`key_rotation.index_key`)."""

    @property
    def has_object(self) -> bool:
        return self < _FIRST_WITHOUT_OBJECT


LockObject = UUID | bytes | str


async def lock(db: AsyncConnection, which: Lock, of: LockObject | None = None) -> None:
    """Take the exclusive lock until the transaction ends. Waits at most the session's `lock_timeout`.

    It is a statement of its own: under READ COMMITTED only statements that begin after the lock was granted see the
    changes that its last owner committed.
    """
    await db.execute(_build_statement("pg_advisory_xact_lock", which, of), _build_parameters(of))


async def lock_shared(db: AsyncConnection, which: Lock, of: LockObject | None = None) -> None:
    """Take the shared lock until the transaction ends. Waits as `lock` does."""
    await db.execute(_build_statement("pg_advisory_xact_lock_shared", which, of), _build_parameters(of))


async def try_lock(db: AsyncConnection, which: Lock, of: LockObject | None = None) -> bool:
    """Take the exclusive lock until the transaction ends. Returns False immediately if another transaction has it."""
    return bool(await db.scalar(_build_statement("pg_try_advisory_xact_lock", which, of), _build_parameters(of)))


def build_lock_call(which: Lock, object_sql: str) -> str:
    """Return the SQL expression that takes the exclusive lock of one object (SQL of type bytea) for each row of a
    statement.

    Such a statement only takes locks: later statements read the protected data.
    """
    return _build_call("pg_advisory_xact_lock", which, f"encode({object_sql}, 'hex')")


async def try_lock_on_driver(connection: asyncpg.Connection, which: Lock) -> bool:
    """Do the same as `try_lock` on a driver connection in a transaction, for a lock without an object."""
    return bool(await connection.fetchval(_build_sql("pg_try_advisory_xact_lock", which, with_object=False)))


def _build_call(function: str, which: Lock, object_sql: str | None) -> str:
    if which.has_object != (object_sql is not None):
        raise ValueError(f"{which.name} is a lock {'of one object' if which.has_object else 'without an object'}")
    # The number is a literal in the statement, so that pg_stat_activity shows which lock a session waits for.
    key = f"hashtextextended({object_sql}, {which.value})" if object_sql else str(which.value)
    return f"{function}({key})"


@cache
def _build_sql(function: str, which: Lock, *, with_object: bool) -> str:
    return f"SELECT {_build_call(function, which, ':object' if with_object else None)}"


@cache
def _build_text(sql: str) -> TextClause:
    return text(sql)


def _build_statement(function: str, which: Lock, of: LockObject | None) -> TextClause:
    return _build_text(_build_sql(function, which, with_object=of is not None))


def _build_parameters(of: LockObject | None) -> dict[str, str]:
    if of is None:
        return {}
    return {"object": of.hex() if isinstance(of, bytes) else str(of)}
