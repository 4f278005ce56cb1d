"""Rotation of the index key: it reindexes every phone and ID number with a new key while the service runs.

For most values only the index is stored, so the new key is applied to the old index (`app.core.cipher`). A step takes
some hundred values in the order of their old indexes. In one transaction it reindexes all rows of these values in
every table, updates the memberships that identify an inactive person by the index, and stores the progress. A
transaction that writes an index locks the rotation (`app.blind_index.keys`), and a step waits for it. The lock timeout
of a step is short, so that other transactions do not wait long behind it: the step rolls back and tries again later.
A rotation continues after it was killed.

Values that mean something in one row only (rows of imports) are reindexed at the end, row by row. A merge reindexes
its own rows.
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
from app.database.connections import build_application_name
from app.database.locks import Lock, lock
from app.database.rows import fetch_rows
from app.key_rotation.data_key import RowsStayLocked
from app.schema.admins import AdminInvitation
from app.schema.auth import User, UserPhone, Verification
from app.schema.imports import ImportRow
from app.schema.keys import IndexRotation
from app.schema.members import Member
from app.schema.orgs import Promotion
from app.schema.reports import MemberPhone
from app.schema.sign_in import PhoneCode, SimulatedMessage

STEP_SIZE = 500
PAUSE_SECONDS = 0.1
MAX_ATTEMPTS = 1000
"""How many times in a row a step may meet a lock, PAUSE_SECONDS apart. An import has its lock until its end."""
LOCK_TIMEOUT = "200ms"

SHARED_COLUMNS = (
    User.phone_index,
    UserPhone.phone_index,
    User.id_number_index,
    Verification.id_number_index,
    PhoneCode.phone_index,
    SimulatedMessage.phone_index,
    AdminInvitation.phone_index,
    Promotion.phone_index,
    MemberPhone.phone_index,
)
"""Columns of values that rows of several tables share. `members` has such a column too."""

SINGLE_ROW_COLUMNS = (Member.phone_last4_index, ImportRow.phone_index, ImportRow.phone_last4_index)
"""Columns of values that mean something in one row only. They are reindexed with their row."""

ProgressReport = Callable[[float], None]
"""Receives the share of the values that are reindexed: 0 to 1."""


class NextKeyMissing(Exception):
    """Some processes do not have the next key. The only argument is the number of their connections."""


async def rotate_index_key(
    engine: AsyncEngine, settings: Settings, actor: Actor, report_progress: ProgressReport, *, step: int = STEP_SIZE
) -> None:
    """Reindex every value with the next key. Raises NextKeyMissing, WrongIndexKey, RowsStayLocked."""
    cipher = Cipher(settings)
    await _begin_rotation(engine, cipher, build_application_name(settings))
    failures = 0
    while True:
        try:
            async with engine.begin() as db:
                moved_below = await _run_step(db, cipher, step)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _LOCK_ERRORS:
                raise
            failures += 1
            if failures == MAX_ATTEMPTS:
                raise RowsStayLocked("phones") from None
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        failures = 0
        report_progress(int.from_bytes(moved_below[:2]) / 0xFFFF)
        if moved_below == ALL_MOVED:
            break
    await _reindex_import_rows(engine, cipher)
    async with engine.begin() as db:
        finished = update(IndexRotation).where(_is_this_rotation(cipher), IndexRotation.finished_at.is_(None))
        if (await db.execute(finished.values(finished_at=func.now()))).rowcount:
            after = {"generation": cipher.generation + 1}
            await record(db, actor, "index_key.rotated", subject=("index_key", None), after=after)


_LOCK_ERRORS = ("55P03", "40P01")  # lock_not_available, deadlock_detected

_COUNT_OTHER_CONNECTIONS = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^xuezu($|,)' AND application_name <> :own_name
""")


async def _begin_rotation(engine: AsyncEngine, cipher: Cipher, own_name: str) -> None:
    """Begin or continue the rotation. From then on writers lock it and use its progress to choose the key.

    Raises NextKeyMissing, WrongIndexKey.
    """
    async with engine.begin() as db:
        connections: int = (await db.execute(_COUNT_OTHER_CONNECTIONS, {"own_name": own_name})).scalar_one()
        if connections:
            raise NextKeyMissing(connections)
        await lock(db, Lock.INDEX_KEY)
        rotation = {"generation": cipher.generation + 1, "key_check": cipher.next_key_check, "moved_below": b""}
        await db.execute(insert(IndexRotation).values(rotation).on_conflict_do_nothing())
        if await db.scalar(select(IndexRotation.key_check).where(_is_this_rotation(cipher))) != cipher.next_key_check:
            raise WrongIndexKey


def _is_this_rotation(cipher: Cipher) -> ColumnElement[bool]:
    return IndexRotation.generation == cipher.generation + 1


async def _run_step(db: AsyncConnection, cipher: Cipher, size: int) -> bytes:
    """Reindex the next values. Return the progress: all old indexes below it are reindexed."""
    await db.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    await db.execute(text("SET LOCAL xuezu.reindexing = 'on'"))
    # The rollup compares memberships with members in one snapshot, and must not see half of a step.
    await db.execute(text("LOCK TABLE stored_days IN EXCLUSIVE MODE"))
    await lock(db, Lock.INDEX_KEY)
    moved_below = (await db.execute(select(IndexRotation.moved_below).where(_is_this_rotation(cipher)))).scalar_one()
    if moved_below == ALL_MOVED:
        return moved_below
    values = (await db.scalars(_select_next_values(cipher, moved_below, size))).all()
    moved_below = ALL_MOVED if len(values) < size else values[-1] + b"\0"
    if values:
        pairs = {"before": list(values), "now": [cipher.reindex_value(value) for value in values]}
        await _move_members(db, cipher, pairs)
        for column in SHARED_COLUMNS:
            await db.execute(_build_column_update(column), pairs)
        await db.execute(_MOVE_MEMBERSHIPS, pairs)
    await db.execute(update(IndexRotation).where(_is_this_rotation(cipher)).values(moved_below=moved_below))
    return moved_below


def _select_next_values(cipher: Cipher, moved_below: bytes, size: int) -> Select[bytes]:
    found = [
        select(column.label("value"))
        .where(column >= moved_below, _needs_rotation(cipher, column), *where)
        .distinct()
        .order_by(column)
        .limit(size)
        .subquery()
        for column, where in (
            *((column, ()) for column in SHARED_COLUMNS),
            (Member.phone_index, (Member.removed_at.is_(None),)),
            (Member.phone_index, (Member.removed_at.is_not(None),)),
        )
    ]
    values = union_all(*(select(query.c.value) for query in found)).subquery("values")
    return select(values.c.value).distinct().order_by(values.c.value).limit(size)


def _needs_rotation(cipher: Cipher, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    return func.substring(column, 17) == cipher.current_suffix


def _build_pair_statement(statement: str) -> TextClause:
    arrays = (bindparam("before", type_=ARRAY(LargeBinary)), bindparam("now", type_=ARRAY(LargeBinary)))
    return text(statement.replace("PAIRS", "unnest(:before, :now) AS p (before, now)")).bindparams(*arrays)


def _build_column_update(column: InstrumentedAttribute[Any]) -> TextClause:
    table, name = column.class_.__tablename__, column.key
    return _build_pair_statement(f"UPDATE {table} AS t SET {name} = p.now FROM PAIRS WHERE t.{name} = p.before")  # noqa: S608 — names of the schema


_MOVE_MEMBERSHIPS = _build_pair_statement("""
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
    # Each of the two conditions has its own partial index.
    for which in (Member.removed_at.is_(None), Member.removed_at.is_not(None)):
        found = select(*columns).where(of_these, which).order_by(Member.org_id, Member.id).with_for_update()
        rows += await fetch_rows(db, found, _MemberRow, {"before": pairs["before"]})
    if rows:
        given = {
            "orgs": [row.org_id for row in rows],
            "ids": [row.id for row in rows],
            "phones": [cipher.reindex_value(row.phone_index) for row in rows],
            "last4s": [cipher.reindex_value(row.phone_last4_index) for row in rows],
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


class _ImportRow(NamedTuple):
    org_id: UUID
    import_id: UUID
    row_no: int
    phone_index: bytes
    phone_last4_index: bytes


async def _reindex_import_rows(engine: AsyncEngine, cipher: Cipher) -> None:
    """Reindex the rows of imports, and skip locked rows until they are free. Raises RowsStayLocked."""
    left = _needs_rotation(cipher, ImportRow.phone_index)
    columns = (ImportRow.org_id, ImportRow.import_id, ImportRow.row_no)
    wanted = select(*columns, ImportRow.phone_index, ImportRow.phone_last4_index).where(left).limit(STEP_SIZE * 10)
    for _ in range(MAX_ATTEMPTS):
        while True:
            async with engine.begin() as db:
                locked = wanted.with_for_update(skip_locked=True, key_share=True)
                rows = await fetch_rows(db, locked, _ImportRow)
                if not rows:
                    break
                given = {
                    "orgs": [row.org_id for row in rows],
                    "imports": [row.import_id for row in rows],
                    "rows": [row.row_no for row in rows],
                    "phones": [cipher.reindex_value(row.phone_index) for row in rows],
                    "last4s": [cipher.reindex_value(row.phone_last4_index) for row in rows],
                }
                await db.execute(_MOVE_IMPORT_ROWS, given)
        async with engine.connect() as db:
            if await db.scalar(select(ImportRow.row_no).where(left).limit(1)) is None:
                return
        await asyncio.sleep(PAUSE_SECONDS)
    raise RowsStayLocked("import_rows")
