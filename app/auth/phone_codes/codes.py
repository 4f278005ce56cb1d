"""Codes sent to a phone: six digits, valid for five minutes and five tries. A phone has one live code per purpose."""

import secrets
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import case, func, literal, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.rate_limits import Limit, take_token, take_token_by_address
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.schema.auth import PhoneCode

LIFETIME = timedelta(minutes=5)
MAX_TRIES = 5
DIGITS = 6

# With five tries per code, an attacker can try about 265 of a million codes of a phone in a day.
PHONE_LIMIT = Limit("code-phone", burst=5, every=timedelta(minutes=30))
# An office behind one address may sign in on one morning.
ADDRESS_LIMIT = Limit("code-address", burst=200, every=timedelta(seconds=6))
# This limits the cost of messages.
OVERALL_LIMIT = Limit("code-overall", burst=1200, every=timedelta(milliseconds=50))


class Purpose(StrEnum):
    SIGN_IN = "sign-in"
    CHANGE_PHONE = "change-phone"
    LEAVE_PHONE = "leave-phone"
    RETURN_PHONE = "return-phone"
    CLOSE_ACCOUNT = "close-account"


class CodeCheck(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"  # The try counts only if the caller commits.
    NONE_LIVE = "none-live"


_MESSAGES = {
    Purpose.SIGN_IN: "【学组】{code} 是您的登录验证码，5 分钟内有效。请勿告诉他人。",
    Purpose.CHANGE_PHONE: "【学组】{code} 是您更换手机号的验证码，5 分钟内有效。请勿告诉他人。",
    Purpose.LEAVE_PHONE: "【学组】{code} 是您的账号换到其他手机号的验证码，5 分钟内有效。非本人操作请勿告诉任何人。",
    Purpose.RETURN_PHONE: "【学组】{code} 是恢复您原手机号的验证码，5 分钟内有效。只可告诉为您办理的平台管理员。",
    Purpose.CLOSE_ACCOUNT: "【学组】{code} 是您注销账号的验证码，5 分钟内有效。注销后无法恢复。",
}
PHONE_CHANGED = "【学组】您的账号已更换手机号，所有设备已退出登录。如非本人操作，请立即联系平台管理员。"
KEY_ADDED = "【学组】您的账号登记了一把新的安全密钥。如非本人操作，请立即退出所有设备并联系平台管理员。"
KEYS_RECOVERED = "【学组】平台管理员已移除您的账号的全部安全密钥。如非本人申请，请立即联系平台管理员。"


async def make_phone_code(
    db: AsyncConnection, cipher: Cipher, actor: Actor, *, phone: str, purpose: Purpose, bound_to: str = ""
) -> str:
    """Make a new code for a phone and a purpose, and return the message to send. It replaces the previous code.

    `bound_to` binds the code to a user. Raises TooManyRequests by phone, by address and overall. The result does not
    depend on whether a user has the phone.
    """
    await take_token(db, PHONE_LIMIT, cipher.index_phone(phone).hex())
    await take_token_by_address(db, ADDRESS_LIMIT, actor.address)
    await take_token(db, OVERALL_LIMIT, "all")
    indexer = await lock_index_key(db, cipher)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    new_values = {
        "code_hash": indexer.index(*_build_code_parts(phone, purpose, bound_to, code)),
        "tries": 0,
        "created_at": func.now(),
        "expires_at": func.now() + LIFETIME,
        "used_at": None,
    }
    await db.execute(
        insert(PhoneCode)
        .values(phone_index=indexer.index_phone(phone), purpose=purpose, **new_values)
        .on_conflict_do_update(index_elements=[PhoneCode.phone_index, PhoneCode.purpose], set_=new_values)
    )
    # A code that a stranger requests has no entry in the append-only audit, which they could fill.
    if actor.user_id is not None:
        await record(db, actor, "phone_code.sent", subject=("phone_code", None), after={"purpose": purpose})
    return _MESSAGES[purpose].format(code=code)


async def check_phone_code(
    db: AsyncConnection,
    cipher: Cipher,
    actor: Actor,
    *,
    phone: str,
    purpose: Purpose,
    code: str,
    bound_to: str = "",
) -> CodeCheck:
    """Compare `code` with the live code of the phone and return the result. A right code is marked as used; a wrong one
    is counted as a try. One statement compares and marks, so a code can be used only once."""
    right = PhoneCode.code_hash.in_(cipher.list_indexes(*_build_code_parts(phone, purpose, bound_to, code)))
    statement = (
        update(PhoneCode)
        .where(
            PhoneCode.phone_index.in_(cipher.list_phone_indexes(phone)),
            PhoneCode.purpose == purpose,
            PhoneCode.used_at.is_(None),
            PhoneCode.expires_at > func.now(),
            PhoneCode.tries < MAX_TRIES,
        )
        .values(tries=PhoneCode.tries + 1, used_at=case((right, func.now()), else_=literal(None)))
        .returning(PhoneCode.used_at.is_not(None))
    )
    used = await db.scalar(statement)
    if used is None:
        return CodeCheck.NONE_LIVE
    if used:
        return CodeCheck.RIGHT
    await record(db, actor, "phone_code.refused", subject=("phone_code", None), after={"purpose": purpose})
    return CodeCheck.WRONG


def _build_code_parts(phone: str, purpose: str, bound_to: str, code: str) -> tuple[str, ...]:
    # The parts of a keyed hash: without the key, a reader of the table cannot try the million codes.
    return ("phone-code", purpose, phone, bound_to, code)
