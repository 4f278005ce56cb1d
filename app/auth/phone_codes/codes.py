"""Codes sent to a phone: six digits, valid for five minutes and five tries.

Each request for a code makes a code of its own with a handle of its own, and the code is redeemed with its handle. So a
stranger who requests codes for a phone neither replaces the owner's code nor uses up its tries.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import case, func, insert, literal, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.phone_codes.limits import count_guess, require_guess, take_message
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher, create_secret, hash_secret
from app.core.metrics import Counter
from app.schema.sign_in import PhoneCode
from app.sms.messages import Message, Template

LIFETIME = timedelta(minutes=5)
MAX_TRIES = 5
DIGITS = 6


class Purpose(StrEnum):
    """What a code is for. The message of a code has the template of this name."""

    SIGN_IN = "sign-in"
    CHANGE_PHONE = "change-phone"
    LEAVE_PHONE = "leave-phone"
    RETURN_PHONE = "return-phone"
    CLOSE_ACCOUNT = "close-account"


_TO_OWN_PHONE = frozenset({Purpose.LEAVE_PHONE, Purpose.RETURN_PHONE, Purpose.CLOSE_ACCOUNT})
"""Purposes whose caller is authorized to get codes to the phone: requests of strangers do not limit such a caller."""

CODE_CHECKS = Counter("phone_code_checks_total", "Codes of phones that were checked", "purpose", "outcome")


class CodeCheck(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"  # The try counts only if the caller commits.
    NONE_LIVE = "none-live"


@dataclass(frozen=True, slots=True)
class SentCode:
    """A new code: the handle for the caller, and the message for the phone."""

    handle: str
    message: Message


@dataclass(frozen=True, slots=True)
class GivenCode:
    """A code that a caller redeems, with the handle of the request for it."""

    handle: str
    code: str


@dataclass(frozen=True, slots=True)
class PhoneProof:
    """A given code as the proof that the caller has the phone."""

    phone: str
    purpose: Purpose
    given: GivenCode


async def make_phone_code(
    db: AsyncConnection, cipher: Cipher, actor: Actor, *, phone: str, purpose: Purpose, bound_to: str = ""
) -> SentCode:
    """Make a code for a phone and a purpose. Return its handle and the message to send. Other codes stay as they are.

    `bound_to` binds the code to a user. Raises TooManyRequests by phone, by network and overall (`limits`). The result
    does not depend on whether a user has the phone.
    """
    await take_message(db, cipher, actor, phone, of_own_phone=purpose in _TO_OWN_PHONE)
    indexer = await lock_index_key(db, cipher)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    handle = create_secret()
    values = {
        "handle_hash": hash_secret(handle),
        "phone_index": indexer.index_phone(phone),
        "purpose": purpose,
        "code_hash": indexer.index(*_build_code_parts(phone, purpose, bound_to, code)),
        "expires_at": func.now() + LIFETIME,
    }
    await db.execute(insert(PhoneCode).values(values))
    # A code that a stranger requests has no entry in the append-only audit, which they could fill.
    if actor.user_id is not None:
        await record(db, actor, "phone_code.sent", subject=("phone_code", None), after={"purpose": purpose})
    return SentCode(handle, Message(Template(purpose), {"code": code}))


async def check_phone_code(
    db: AsyncConnection,
    cipher: Cipher,
    actor: Actor,
    *,
    phone: str,
    purpose: Purpose,
    given: GivenCode,
    bound_to: str = "",
) -> CodeCheck:
    """Compare the given code with the live code of its handle and return the result. A right code is marked as used; a
    wrong one is counted as a try, and as a guess of the caller. Raises TooManyRequests if the caller has guessed too
    often.
    """
    await require_guess(db, actor)
    return await _use_code(db, cipher, actor, PhoneProof(phone, purpose, given), bound_to)


async def find_wrong_code(
    db: AsyncConnection, cipher: Cipher, actor: Actor, proofs: Sequence[PhoneProof], *, bound_to: str
) -> PhoneProof | None:
    """Check several codes, all of which must be right. Return the first wrong one, or None.

    If one is wrong, it is counted as in `check_phone_code`, and the right ones can be sent again. Raises
    TooManyRequests before the first comparison only: later it would undo the count and yet show which code is wrong.
    """
    await require_guess(db, actor)
    async with db.begin_nested() as trial:
        wrong = [proof for proof in proofs if await _compare_code(db, cipher, proof, bound_to) is not CodeCheck.RIGHT]
        if wrong:
            await trial.rollback()
    for proof in wrong:
        await _use_code(db, cipher, actor, proof, bound_to)
    return wrong[0] if wrong else None


async def _use_code(db: AsyncConnection, cipher: Cipher, actor: Actor, proof: PhoneProof, bound_to: str) -> CodeCheck:
    result = await _compare_code(db, cipher, proof, bound_to)
    CODE_CHECKS.add(proof.purpose, result)
    if result is CodeCheck.WRONG:
        await count_guess(db, actor)
        await record(db, actor, "phone_code.refused", subject=("phone_code", None), after={"purpose": proof.purpose})
    return result


async def _compare_code(db: AsyncConnection, cipher: Cipher, proof: PhoneProof, bound_to: str) -> CodeCheck:
    """Compare a code and count the try. One statement compares and marks, so a code can be used only once."""
    parts = _build_code_parts(proof.phone, proof.purpose, bound_to, proof.given.code)
    right = PhoneCode.code_hash.in_(cipher.list_indexes(*parts))
    statement = (
        update(PhoneCode)
        .where(
            PhoneCode.handle_hash == hash_secret(proof.given.handle),
            PhoneCode.phone_index.in_(cipher.list_phone_indexes(proof.phone)),
            PhoneCode.purpose == proof.purpose,
            PhoneCode.used_at.is_(None),
            PhoneCode.expires_at > func.now(),
            PhoneCode.tries < MAX_TRIES,
        )
        .values(tries=PhoneCode.tries + 1, used_at=case((right, func.now()), else_=literal(None)))
        .returning(PhoneCode.used_at.is_not(None))
    )
    used = await db.scalar(statement)
    return CodeCheck.NONE_LIVE if used is None else CodeCheck.RIGHT if used else CodeCheck.WRONG


def _build_code_parts(phone: str, purpose: str, bound_to: str, code: str) -> tuple[str, ...]:
    # The parts of a keyed hash: without the key, a reader of the table cannot try the million codes.
    return ("phone-code", purpose, phone, bound_to, code)
