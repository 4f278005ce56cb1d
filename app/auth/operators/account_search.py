"""The account that an operator looks up by its phone, with masked data."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, bindparam, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.auth.operators.schemas import AccountOut
from app.authz.access import OperatorScope
from app.core.cipher import Cipher
from app.core.names import mask_name
from app.core.phones import mask
from app.database.db import Readable
from app.database.rows import fetch_row, one_or_404
from app.schema.auth import Operator, SecurityKey, User


class _AccountRow(NamedTuple):
    id: UUID
    phone_cipher: bytes
    verified_name: str | None
    status: Literal["active", "disabled"]
    created_at: datetime
    keys: int
    operator: bool


_ACCOUNT = select(
    User.id,
    User.phone_cipher,
    User.verified_name,
    User.status,
    User.created_at,
    select(func.count()).where(SecurityKey.user_id == User.id).correlate(User).scalar_subquery().label("keys"),
    exists().where(Operator.user_id == User.id, Operator.removed_at.is_(None)).correlate(User).label("operator"),
).where(User.status != "closed")
_BY_ID = _ACCOUNT.where(User.id == bindparam("user_id", type_=Uuid()))
_BY_PHONE = _ACCOUNT.where(User.phone_index.in_(bindparam("indexes", type_=LargeBinary(), expanding=True)))


async def search_account_by_phone(
    db: AsyncConnection, cipher: Cipher, scope: OperatorScope, phone: str
) -> AccountOut | None:
    """Return the account that has the phone, or None. The audit log gets an entry, because the result reveals whose
    number it is."""
    row = await fetch_row(db, _BY_PHONE, _AccountRow, {"indexes": cipher.list_phone_indexes(phone)})
    found = None if row is None else _build_account(cipher, row)
    subject = ("user", None if found is None else found.user_id)
    await record(db, scope.actor, "user.searched_by_phone", subject=subject)
    return found


async def get_account(db: Readable, cipher: Cipher, user_id: UUID) -> AccountOut:
    """Return an account that was found before. Raises NotFound."""
    return _build_account(cipher, await one_or_404(db, _BY_ID, _AccountRow, {"user_id": user_id}))


def _build_account(cipher: Cipher, row: _AccountRow) -> AccountOut:
    return AccountOut(
        user_id=row.id,
        phone=mask(cipher.decrypt_text(row.phone_cipher, row.id)),
        name=None if row.verified_name is None else mask_name(row.verified_name),
        status=row.status,
        security_keys=row.keys,
        operator=row.operator,
        created_at=row.created_at,
    )
