"""Rotating the index key: every phone and ID number is found by a new key, while the service goes on.

Of most values nothing is kept but the index, so it is the index that the new key is put over (`app.core.cipher`). Step
by step, in the order of the old indexes, some hundred values go over: all rows of each, in every table, in one
transaction with the memberships that know an inactive person by it, and with how far the rotation has come. Whoever
writes an index holds the rotation where it is (`app.blind_index.keys`), and a step waits for them; it never waits long,
so that nobody waits long behind it: it lets go and comes again. A killed rotation goes on where it was.

What only one row knows (the rows of imports) goes over afterwards, row by row: a merge brings them along itself.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    TextClause,
    Uuid,
    bindparam,
    func,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import InstrumentedAttribute

from app.audit_log.entries import Actor, record
from app.blind_index.keys import ALL_MOVED, WrongIndexKey
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.database.driver import application_name
from app.database.locks import Lock, lock
from app.database.rows import fetch_rows
from app.key_rotation.data_key import StillHeld
from app.schema.admins import AdminInvitation
from app.schema.auth import PhoneCode, SimulatedMessage, User, Verification
from app.schema.keys import IndexRotation
from app.schema.members import ImportRow, Member
from app.schema.orgs import Promotion
from app.schema.reports import MemberPhone

STEP = 500
PAUSE = 0.1
PATIENCE = 1000
"""How many times in a row a step may find something held by others, PAUSE apart: an import holds it to its end."""
LOCK_TIMEOUT = "200ms"

SHARED = (
    User.phone_index,
    User.id_number_index,
    Verification.id_number_index,
    PhoneCode.phone_index,
    SimulatedMessage.phone_index,
    AdminInvitation.phone_index,
    Promotion.phone_index,
    MemberPhone.phone_index,
)
"""Columns of values that rows of several tables are found and compared by; `members` has them too."""

OF_ONE_ROW = (Member.phone_last4_index, ImportRow.phone_index, ImportRow.phone_last4_index)
"""Columns of values that mean something in their row only: they go over with it."""

Told = Callable[[float], None]
"""Is told what share of the values has gone over."""


class NotEverywhere(Exception):  # noqa: N818
    """So many connections of processes that do not know the next key (its only argument)."""


async def rotate_index_key(
    engine: AsyncEngine, settings: Settings, actor: Actor, told: Told, *, step: int = STEP
) -> None:
    """Bring every index to the next key. Raises NotEverywhere, WrongIndexKey, StillHeld."""
    cipher = Cipher(settings)
    await _begin(engine, cipher, application_name(settings))
    held = 0
    while True:
        try:
            async with engine.begin() as db:
                moved_below = await _step(db, cipher, step)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _HELD:
                raise
            held += 1
            if held == PATIENCE:
                raise StillHeld("phones") from None
            await asyncio.sleep(PAUSE)
            continue
        held = 0
        told(int.from_bytes(moved_below[:2]) / 0xFFFF)
        if moved_below == ALL_MOVED:
            break
    await _reindex_import_rows(engine, cipher)
    async with engine.begin() as db:
        finished = update(IndexRotation).where(_this(cipher), IndexRotation.finished_at.is_(None))
        if (await db.execute(finished.values(finished_at=func.now()))).rowcount:
            after = {"generation": cipher.generation + 1}
            await record(db, actor, "index_key.rotated", subject=("index_key", None), after=after)


_HELD = ("55P03", "40P01")  # lock_not_available, deadlock_detected

_OTHERS = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^xuezu($|,)' AND application_name <> :mine
""")


async def _begin(engine: AsyncEngine, cipher: Cipher, mine: str) -> None:
    """From here on new values are indexed by the new key, those below the first old one at once."""
    async with engine.begin() as db:
        others: int = (await db.execute(_OTHERS, {"mine": mine})).scalar_one()
        if others:
            raise NotEverywhere(others)
        await lock(db, Lock.INDEX_KEY)
        begun = {"generation": cipher.generation + 1, "key_check": cipher.next_key_check, "moved_below": b""}
        await db.execute(insert(IndexRotation).values(begun).on_conflict_do_nothing())
        if await db.scalar(select(IndexRotation.key_check).where(_this(cipher))) != cipher.next_key_check:
            raise WrongIndexKey


def _this(cipher: Cipher) -> ColumnElement[bool]:
    return IndexRotation.generation == cipher.generation + 1


async def _step(db: AsyncConnection, cipher: Cipher, size: int) -> bytes:
    """Bring the next values over; gives how far that is."""
    await db.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    await db.execute(text("SET LOCAL xuezu.reindexing = 'on'"))
    # The rollup compares memberships with members in one snapshot: it is not to see half of a step.
    await db.execute(text("LOCK TABLE stored_days IN EXCLUSIVE MODE"))
    await lock(db, Lock.INDEX_KEY)
    moved_below = (await db.execute(select(IndexRotation.moved_below).where(_this(cipher)))).scalar_one()
    if moved_below == ALL_MOVED:
        return moved_below
    values = (await db.scalars(_next_values(cipher, moved_below, size))).all()
    moved_below = ALL_MOVED if len(values) < size else values[-1] + b"\0"
    if values:
        pairs = {"before": list(values), "now": [cipher.reindex(value) for value in values]}
        await _move_members(db, cipher, pairs)
        for column in SHARED:
            await db.execute(_move(column), pairs)
        await db.execute(_MOVE_STANDINGS, pairs)
    await db.execute(update(IndexRotation).where(_this(cipher)).values(moved_below=moved_below))
    return moved_below


def _next_values(cipher: Cipher, moved_below: bytes, size: int) -> Select[bytes]:
    found = [
        select(column.label("value"))
        .where(column >= moved_below, _left(cipher, column), *where)
        .distinct()
        .order_by(column)
        .limit(size)
        .subquery()
        for column, where in (
            *((column, ()) for column in SHARED),
            (Member.phone_index, (Member.removed_at.is_(None),)),
            (Member.phone_index, (Member.removed_at.is_not(None),)),
        )
    ]
    values = union_all(*(select(one.c.value) for one in found)).subquery("values")
    return select(values.c.value).distinct().order_by(values.c.value).limit(size)


def _left(cipher: Cipher, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    return func.substring(column, 17) == cipher.settled_mark


def _pairs(statement: str) -> TextClause:
    arrays = (bindparam("before", type_=ARRAY(LargeBinary)), bindparam("now", type_=ARRAY(LargeBinary)))
    return text(statement.replace("PAIRS", "unnest(:before, :now) AS p (before, now)")).bindparams(*arrays)


def _move(column: InstrumentedAttribute[Any]) -> TextClause:
    table, name = column.class_.__tablename__, column.key
    return _pairs(f"UPDATE {table} AS t SET {name} = p.now FROM PAIRS WHERE t.{name} = p.before")  # noqa: S608


_MOVE_STANDINGS = _pairs("""
UPDATE memberships AS s SET person = encode(substring(p.now, 1, 16), 'hex')::uuid
FROM PAIRS WHERE s.person = encode(substring(p.before, 1, 16), 'hex')::uuid AND NOT s.activated
""")
_MOVE_MEMBERS = text("""
UPDATE members AS m SET phone_index = given.phone, phone_last4_index = given.last4
FROM unnest(:orgs, :ids, :phones, :last4s) AS given (org_id, id, phone, last4)
WHERE m.org_id = given.org_id AND m.id = given.id
""").bindparams(
    bindparam("orgs", type_=ARRAY(Uuid)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("phones", type_=ARRAY(LargeBinary)),
    bindparam("last4s", type_=ARRAY(LargeBinary)),
)


class _MemberRow(NamedTuple):
    org_id: UUID
    id: UUID
    phone_index: bytes
    phone_last4_index: bytes


async def _move_members(db: AsyncConnection, cipher: Cipher, pairs: dict[str, list[bytes]]) -> None:
    rows: list[_MemberRow] = []
    of_these = Member.phone_index == func.any(bindparam("before", type_=ARRAY(LargeBinary)))
    columns = (Member.org_id, Member.id, Member.phone_index, Member.phone_last4_index)
    for which in (Member.removed_at.is_(None), Member.removed_at.is_not(None)):  # each by its own index
        found = select(*columns).where(of_these, which).order_by(Member.org_id, Member.id).with_for_update()
        rows += await fetch_rows(db, found, _MemberRow, {"before": pairs["before"]})
    if rows:
        given = {
            "orgs": [row.org_id for row in rows],
            "ids": [row.id for row in rows],
            "phones": [cipher.reindex(row.phone_index) for row in rows],
            "last4s": [cipher.reindex(row.phone_last4_index) for row in rows],
        }
        await db.execute(_MOVE_MEMBERS, given)


_MOVE_IMPORT_ROWS = text("""
UPDATE import_rows AS i SET phone_index = given.phone, phone_last4_index = given.last4
FROM unnest(:orgs, :imports, :rows, :phones, :last4s) AS given (org_id, import_id, row_no, phone, last4)
WHERE i.org_id = given.org_id AND i.import_id = given.import_id AND i.row_no = given.row_no
""").bindparams(
    bindparam("orgs", type_=ARRAY(Uuid)),
    bindparam("imports", type_=ARRAY(Uuid)),
    bindparam("rows", type_=ARRAY(Integer)),
    bindparam("phones", type_=ARRAY(LargeBinary)),
    bindparam("last4s", type_=ARRAY(LargeBinary)),
)


class _SheetRow(NamedTuple):
    org_id: UUID
    import_id: UUID
    row_no: int
    phone_index: bytes
    phone_last4_index: bytes


async def _reindex_import_rows(engine: AsyncEngine, cipher: Cipher) -> None:
    """Raises StillHeld."""
    left = _left(cipher, ImportRow.phone_index)
    columns = (ImportRow.org_id, ImportRow.import_id, ImportRow.row_no)
    wanted = select(*columns, ImportRow.phone_index, ImportRow.phone_last4_index).where(left).limit(STEP * 10)
    for _ in range(PATIENCE):
        while True:
            async with engine.begin() as db:
                locked = wanted.with_for_update(skip_locked=True, key_share=True)
                rows = await fetch_rows(db, locked, _SheetRow)
                if not rows:
                    break
                given = {
                    "orgs": [row.org_id for row in rows],
                    "imports": [row.import_id for row in rows],
                    "rows": [row.row_no for row in rows],
                    "phones": [cipher.reindex(row.phone_index) for row in rows],
                    "last4s": [cipher.reindex(row.phone_last4_index) for row in rows],
                }
                await db.execute(_MOVE_IMPORT_ROWS, given)
        async with engine.connect() as db:
            if await db.scalar(select(ImportRow.row_no).where(left).limit(1)) is None:
                return
        await asyncio.sleep(PAUSE)
    raise StillHeld("import_rows")
