"""Rotation of the data keys: it encrypts every value with the first key of XUEZU_DATA_KEYS, batch by batch.

Each value begins with the id of its key, so the values themselves show the remaining work. A rotation continues after
it was killed, and two rotations at the same time share the work. The rotation skips a row that another transaction has
locked and returns to it later, so neither waits for the other. Only the encrypted column changes; the row's version
and indexes do not. A reader decrypts with either key during the rotation.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    inspect,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor, record
from app.core.cipher import Cipher, Undecryptable
from app.key_rotation.encrypted_columns import ENCRYPTED_COLUMNS, EncryptedColumn
from app.schema.keys import DataKey

PAUSE_SECONDS = 0.5
MAX_ATTEMPTS = 120
"""How many passes a column gets, PAUSE_SECONDS apart, before locked rows end the rotation."""

ProgressReport = Callable[[str, int, int], None]
"""Receives the name of a column, the number of its rotated values and the number of values to rotate."""


class RowsStayLocked(Exception):
    """Other transactions lock some rows for a long time. The rotation can run again later."""


async def count_unrotated(engine: AsyncEngine, cipher: Cipher, column: EncryptedColumn) -> int:
    """Return the number of values of a column that are not encrypted with the first key."""
    async with engine.connect() as db:
        return (await db.execute(select(func.count()).where(_needs_rotation(cipher, column)))).scalar_one()


async def rotate_data_keys(
    engine: AsyncEngine,
    cipher: Cipher,
    actor: Actor,
    report_progress: ProgressReport,
    *,
    without_lost_keys: bool = False,
) -> dict[str, int]:
    """Encrypt every value with the first key. Return by column the number of values that no configured key decrypts.

    If there are none, or `without_lost_keys`, the first key alone is recorded as used (`app.blind_index.key_checks`).
    Raises RowsStayLocked.
    """
    undecryptable: dict[str, int] = {}
    rows = 0
    for column in ENCRYPTED_COLUMNS:
        done, lost = await _rotate_column(engine, cipher, column, report_progress)
        rows += done
        if lost:
            undecryptable[column.name] = lost
    async with engine.begin() as db:
        if without_lost_keys or not undecryptable:
            await db.execute(delete(DataKey).where(DataKey.key_id != cipher.primary))
        after = {"key": cipher.primary, "values": rows, "undecryptable": undecryptable}
        await record(db, actor, "data_keys.rotated", subject=("data_key", None), after=after)
    return undecryptable


async def _rotate_column(
    engine: AsyncEngine, cipher: Cipher, column: EncryptedColumn, report_progress: ProgressReport
) -> tuple[int, int]:
    total = await count_unrotated(engine, cipher, column)
    done = 0
    for _ in range(MAX_ATTEMPTS):
        passed, lost = await _rotate_pass(
            engine, cipher, column, lambda now: report_progress(column.name, now, total), done
        )
        done += passed
        if await count_unrotated(engine, cipher, column) <= lost:
            return done, lost
        await asyncio.sleep(PAUSE_SECONDS)
    raise RowsStayLocked(column.name)


async def _rotate_pass(
    engine: AsyncEngine, cipher: Cipher, column: EncryptedColumn, report_progress: Callable[[int], None], before: int
) -> tuple[int, int]:
    """Go through the column once. Return the number of rotated values and of values that no key decrypts."""
    after: Sequence[Any] | None = None
    done = lost = 0
    while True:
        async with engine.begin() as db:
            rows = (await db.execute(_build_batch_select(cipher, column, after))).all()
            if not rows:
                return done, lost
            reencrypted = await asyncio.to_thread(_reencrypt, cipher, column, rows)
            if reencrypted:
                await db.execute(_build_update(column), reencrypted)
        after = tuple(rows[-1])[: len(_get_key_columns(column))]
        done += len(reencrypted)
        lost += len(rows) - len(reencrypted)
        report_progress(before + done)


def _get_key_columns(column: EncryptedColumn) -> Sequence[Column[Any]]:
    return tuple(inspect(column.attribute.class_).primary_key)


def _needs_rotation(cipher: Cipher, column: EncryptedColumn) -> ColumnElement[bool]:
    first = func.substring(column.attribute, 1, len(cipher.primary_prefix))
    return and_(column.attribute.is_not(None), first != cipher.primary_prefix)


def _build_batch_select(
    cipher: Cipher, column: EncryptedColumn, after: Sequence[Any] | None
) -> Select[*tuple[Any, ...]]:
    keys = _get_key_columns(column)
    named = [key.label(f"key_{number}") for number, key in enumerate(keys)]
    statement = select(*named, column.attribute.label("value"), *column.bound_columns).where(
        _needs_rotation(cipher, column)
    )
    if after is not None:
        last = [literal(value, key.type) for value, key in zip(after, keys, strict=True)]
        statement = statement.where(tuple_(*keys) > tuple_(*last))
    return statement.order_by(*keys).limit(column.batch_size).with_for_update(skip_locked=True, key_share=True)


def _reencrypt(cipher: Cipher, column: EncryptedColumn, rows: Sequence[Any]) -> list[dict[str, object]]:
    """Encrypt the rows' values with the first key. Return the parameters of the update, without undecryptable rows."""
    reencrypted = []
    keys = len(_get_key_columns(column))
    for row in rows:
        *key, value = row[: keys + 1]
        bound = column.build_associated_data(*row[keys + 1 :])
        try:
            plain = cipher.decrypt(value, bound)
        except Undecryptable:
            continue
        named = {f"key_{number}": part for number, part in enumerate(key)}
        reencrypted.append(named | {"reencrypted": cipher.encrypt(plain, bound)})
    return reencrypted


def _build_update(column: EncryptedColumn) -> Update:
    which = [key == bindparam(f"key_{number}", type_=key.type) for number, key in enumerate(_get_key_columns(column))]
    return (
        update(column.attribute.class_.__table__).where(*which).values({column.attribute.key: bindparam("reencrypted")})
    )
