"""Rotating the data keys: whatever is not encrypted by the first key of XUEZU_DATA_KEYS is, batch by batch.

The key's id stands in front of each value, so that what is left to do is seen in the values themselves: a rotation
that was killed goes on where it was, and two at once share the work. A row that somebody is writing is passed over
and come back to, so that neither waits for the other. Nothing but the encrypted column changes, no row's version and
no index: who reads meanwhile decrypts by either key.
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
from app.key_rotation.encrypted_columns import SEALED, Sealed

PAUSE = 0.5
PATIENCE = 120
"""How many pauses long a row may be held by others."""

Told = Callable[[str, int, int], None]
"""Is told a column, how many of its values are done, and of how many."""


class StillHeld(Exception):  # noqa: N818
    """Others hold some rows for long; the rotation can be run again later."""


async def count_left(engine: AsyncEngine, cipher: Cipher, sealed: Sealed) -> int:
    """How many values of a column are encrypted by another key than the first."""
    async with engine.connect() as db:
        return (await db.execute(select(func.count()).where(_left(cipher, sealed)))).scalar_one()


async def rotate_data_keys(engine: AsyncEngine, cipher: Cipher, actor: Actor, told: Told) -> dict[str, int]:
    """Encrypt everything by the first key; gives, by column, how many values no key that is given decrypts.

    Raises StillHeld.
    """
    refused: dict[str, int] = {}
    rows = 0
    for sealed in SEALED:
        done, lost = await _rotate(engine, cipher, sealed, told)
        rows += done
        if lost:
            refused[sealed.name] = lost
    async with engine.begin() as db:
        after = {"key": cipher.primary, "values": rows, "undecryptable": refused}
        await record(db, actor, "data_keys.rotated", subject=("data_key", None), after=after)
    return refused


async def _rotate(engine: AsyncEngine, cipher: Cipher, sealed: Sealed, told: Told) -> tuple[int, int]:
    total = await count_left(engine, cipher, sealed)
    done = 0
    for _ in range(PATIENCE):
        passed, lost = await _pass(engine, cipher, sealed, lambda now: told(sealed.name, now, total), done)
        done += passed
        if await count_left(engine, cipher, sealed) <= lost:
            return done, lost
        await asyncio.sleep(PAUSE)
    raise StillHeld(sealed.name)


async def _pass(
    engine: AsyncEngine, cipher: Cipher, sealed: Sealed, told: Callable[[int], None], before: int
) -> tuple[int, int]:
    """Go through the column once; gives how many values were rotated, and how many cannot be."""
    after: Sequence[Any] | None = None
    done = lost = 0
    while True:
        async with engine.begin() as db:
            rows = (await db.execute(_batch(cipher, sealed, after))).all()
            if not rows:
                return done, lost
            fresh = await asyncio.to_thread(_resealed, cipher, sealed, rows)
            if fresh:
                await db.execute(_write(sealed), fresh)
        after = tuple(rows[-1])[: len(_keys(sealed))]
        done += len(fresh)
        lost += len(rows) - len(fresh)
        told(before + done)


def _keys(sealed: Sealed) -> Sequence[Column[Any]]:
    return tuple(inspect(sealed.column.class_).primary_key)


def _left(cipher: Cipher, sealed: Sealed) -> ColumnElement[bool]:
    first = func.substring(sealed.column, 1, len(cipher.mark))
    return and_(sealed.column.is_not(None), first != cipher.mark)


def _batch(cipher: Cipher, sealed: Sealed, after: Sequence[Any] | None) -> Select[*tuple[Any, ...]]:
    keys = _keys(sealed)
    named = [key.label(f"key_{number}") for number, key in enumerate(keys)]
    statement = select(*named, sealed.column.label("sealed"), *sealed.bound).where(_left(cipher, sealed))
    if after is not None:
        last = [literal(value, key.type) for value, key in zip(after, keys, strict=True)]
        statement = statement.where(tuple_(*keys) > tuple_(*last))
    return statement.order_by(*keys).limit(sealed.batch).with_for_update(skip_locked=True, key_share=True)


def _resealed(cipher: Cipher, sealed: Sealed, rows: Sequence[Any]) -> list[dict[str, object]]:
    """The rows' values by the first key; those that no key decrypts are left out."""
    fresh = []
    keys = len(_keys(sealed))
    for row in rows:
        *key, value = row[: keys + 1]
        bound = sealed.row(*row[keys + 1 :])
        try:
            plain = cipher.decrypt(value, bound)
        except Undecryptable:
            continue
        named = {f"key_{number}": part for number, part in enumerate(key)}
        fresh.append(named | {"fresh": cipher.encrypt(plain, bound)})
    return fresh


def _write(sealed: Sealed) -> Update:
    which = [key == bindparam(f"key_{number}", type_=key.type) for number, key in enumerate(_keys(sealed))]
    return update(sealed.column.class_.__table__).where(*which).values({sealed.column.key: bindparam("fresh")})
