"""The return of a phone: for some days a former phone takes its account back through a platform operator."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Uuid, bindparam, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.audit_log.entries import record
from app.auth.accounts.accounts import get_phone, replace_phone
from app.auth.errors import CodeRefused, IsOperator
from app.auth.operators.operators import remove_keys
from app.auth.phone_codes.codes import CodeCheck, GivenCode, Purpose, SentCode, check_phone_code, make_phone_code
from app.authz.access import OperatorScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.schema.auth import Operator, User, UserPhone
from app.web.errors import NotFound

RETURN_WINDOW = timedelta(days=7)
"""How long after a change of the phone the former phone can take the account back."""


@dataclass(frozen=True, slots=True)
class PhoneReturn:
    """The result of a return."""

    user_id: UUID
    keys_removed: int
    sessions_ended: int
    replaced_phone: str


_earlier, _next = aliased(UserPhone), aliased(UserPhone)
# A return makes the thief's phone a former phone too. It cannot take the account back: the present phone is older. A
# phone that the account gave up because another person has the number was not replaced: none begins at its end.
_FIND_FORMER_USER = (
    select(UserPhone.user_id)
    .join(User, User.id == UserPhone.user_id)
    .where(User.status != "closed", UserPhone.until > func.now() - RETURN_WINDOW)
    .where(
        or_(
            User.phone_since == UserPhone.until,
            exists().where(_next.user_id == User.id, _next.since == UserPhone.until),
        )
    )
    .where(
        ~exists().where(
            _earlier.user_id == User.id,
            _earlier.phone_index == User.phone_index,
            _earlier.until <= UserPhone.since,
        )
    )
    .order_by(UserPhone.until.desc())
    .limit(1)
)
_LOCK_ACCOUNT = select(User.id).where(User.id == bindparam("user_id", type_=Uuid())).with_for_update()


async def _get_former_user(db: AsyncConnection, cipher: Cipher, phone: str) -> UUID:
    """Return the account that had this phone last. Raises NotFound, and IsOperator: operators are recovered on the
    command line."""
    of_phone = UserPhone.phone_index.in_(cipher.list_phone_indexes(phone))
    user_id: UUID | None = await db.scalar(_FIND_FORMER_USER.where(of_phone))
    if user_id is None:
        raise NotFound
    if await db.scalar(select(exists().where(Operator.user_id == user_id, Operator.removed_at.is_(None)))):
        raise IsOperator
    return user_id


async def make_return_code(db: AsyncConnection, cipher: Cipher, scope: OperatorScope, phone: str) -> SentCode:
    """Make a code for the former phone. Return its handle and the message to send.

    Raises NotFound, IsOperator, TooManyRequests.
    """
    bound_to = str(await _get_former_user(db, cipher, phone))
    return await make_phone_code(db, cipher, scope.actor, phone=phone, purpose=Purpose.RETURN_PHONE, bound_to=bound_to)


async def return_phone(
    db: AsyncConnection, cipher: Cipher, scope: OperatorScope, *, phone: str, given: GivenCode
) -> PhoneReturn | CodeRefused:
    """Give an account its former phone back, end all its sessions and remove its security keys, which may be those of a
    thief. CodeRefused is returned, not raised, so that a wrong code is counted.

    Locks the code, the index key, the account, the phones and the rows. Raises NotFound, IsOperator, PhoneTaken.
    """
    user_id = await _get_former_user(db, cipher, phone)
    purpose, bound_to = Purpose.RETURN_PHONE, str(user_id)
    checked = await check_phone_code(
        db, cipher, scope.actor, phone=phone, purpose=purpose, given=given, bound_to=bound_to
    )
    if checked is not CodeCheck.RIGHT:
        return CodeRefused()
    await lock_index_key(db, cipher)
    await db.execute(_LOCK_ACCOUNT, {"user_id": user_id})
    # The account may have been closed, or its phone changed, before the lock.
    if await _get_former_user(db, cipher, phone) != user_id:
        raise NotFound
    replaced = await get_phone(db, cipher, user_id)
    sessions = await replace_phone(db, cipher, scope.actor, user_id, phone, reason="phone-returned")
    keys = await remove_keys(db, user_id)
    await record(db, scope.actor, "user.phone_returned", subject=("user", user_id), after={"keys_removed": keys})
    return PhoneReturn(user_id, keys, sessions, replaced)
