"""What a user does with their own account: declare, change the phone, close it (注销, S20)."""

from uuid import UUID

from sqlalchemy import LargeBinary, delete, exists, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.auth.errors import CodeRefused, IsOperator, PhoneTaken, StillAdmin
from app.auth.phone_codes.codes import CodeCheck, Purpose, check_phone_code
from app.auth.sessions import end_sessions
from app.authz.access import UserScope
from app.authz.errors import StepUpNeeded
from app.authz.step_up import MAX_PROOF_AGE
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.members.activation import activate_user, consent_to_own_rows, lock_phones
from app.members.links.operations import forget_link_requests
from app.schema.auth import (
    Operator,
    PhoneCode,
    RefreshToken,
    SecurityKey,
    SecurityKeyChallenge,
    Session,
    User,
    Verification,
)
from app.web.errors import Unauthorized

_PHONE_BEFORE = literal_column("old.phone_index", LargeBinary)


async def declare_party_member(db: AsyncConnection, scope: UserScope, party_member: bool) -> None:
    """The user's own declaration of being a party member (S2, S17); said again it changes nothing."""
    changed = await db.scalar(
        update(User)
        .where(User.id == scope.user_id, User.party_member != party_member)
        .values(party_member=party_member)
        .returning(User.id)
    )
    if changed is not None:
        await record(
            db,
            scope.actor,
            "user.updated",
            subject=("user", scope.user_id),
            before={"party_member": not party_member},
            after={"party_member": party_member},
        )


async def phone_of(db: AsyncConnection, cipher: Cipher, user_id: UUID) -> str:
    """The phone of a live account. Raises Unauthorized where it has been closed since the caller was let in."""
    sealed = await db.scalar(select(User.phone_cipher).where(User.id == user_id))
    if sealed is None:
        raise Unauthorized
    return cipher.decrypt_text(sealed, user_id)


async def _see_that_key_is_fresh(db: AsyncConnection, scope: UserScope) -> None:
    """Who has a security key has to have just proved it. Raises StepUpNeeded."""
    lacking = (
        exists()
        .where(SecurityKey.user_id == scope.user_id)
        .where(~exists().where(Session.id == scope.session_id, Session.key_checked_at > func.now() - MAX_PROOF_AGE))
    )
    if await db.scalar(select(lacking)):
        raise StepUpNeeded(MAX_PROOF_AGE)


async def change_phone(
    db: AsyncConnection, cipher: Cipher, scope: UserScope, *, phone: str, code: str
) -> CodeRefused | None:
    """Move the account to a phone proved by its code; every session ends, this one too.

    A wrong code is counted: that refusal is given back, so that it commits. Raises StepUpNeeded, PhoneTaken;
    Unauthorized where the account has been closed or suspended meanwhile.
    """
    await _see_that_key_is_fresh(db, scope)
    purpose = Purpose.CHANGE_PHONE
    bound_to = str(scope.user_id)
    checked = await check_phone_code(
        db, cipher, scope.actor, phone=phone, purpose=purpose, code=code, bound_to=bound_to
    )
    if checked is not CodeCheck.RIGHT:
        return CodeRefused()
    indexer = await lock_index_key(db, cipher)
    fresh = {"phone_index": indexer.index_phone(phone), "phone_cipher": cipher.encrypt(phone, scope.user_id)}
    live = (User.id == scope.user_id, User.status == "active")
    with on_constraint(("users_phone_index_key", PhoneTaken)):
        before = await db.scalar(update(User).where(*live).values(fresh).returning(_PHONE_BEFORE))
    if before is None:
        raise Unauthorized
    await end_sessions(db, scope.actor, scope.user_id, reason="phone-changed")
    await lock_phones(db, fresh["phone_index"], before)
    await consent_to_own_rows(db, scope.user_id)
    await activate_user(db, cipher, scope.user_id, before)
    await record(db, scope.actor, "user.phone_changed", subject=("user", scope.user_id))
    return None


async def close_account(db: AsyncConnection, cipher: Cipher, scope: UserScope, *, code: str) -> CodeRefused | None:
    """Erase what identifies the person; the ledger of points stays, under a number that nothing here resolves (S20).

    Rows in the directories of orgs are the orgs' own and turn inactive. The phone and the ID card are free for a new
    account. A wrong code is given back as for `change_phone`. Raises StepUpNeeded, IsOperator, StillAdmin.
    """
    await _see_that_key_is_fresh(db, scope)
    if await db.scalar(select(exists().where(Operator.user_id == scope.user_id, Operator.removed_at.is_(None)))):
        raise IsOperator
    phone = await phone_of(db, cipher, scope.user_id)
    purpose = Purpose.CLOSE_ACCOUNT
    if await check_phone_code(db, cipher, scope.actor, phone=phone, purpose=purpose, code=code) is not CodeCheck.RIGHT:
        return CodeRefused()
    # Before the user's row is held: a sign-in holds its code first, and the user then.
    await db.execute(delete(PhoneCode).where(PhoneCode.phone_index.in_(cipher.phone_indexes(phone))))
    erased = {
        "status": "closed",
        "phone_index": None,
        "phone_cipher": None,
        "verified_name": None,
        "verified_at": None,
        "verification_method": None,
        "id_number_index": None,
        "party_member": False,
    }
    # An admin cannot be closed, nor one who is closed be made an admin: the database sees to both.
    with on_constraint(("users_admin_verified", StillAdmin)):
        closed = update(User).where(User.id == scope.user_id).values(erased).returning(_PHONE_BEFORE)
        before = await db.scalar(closed)
    await end_sessions(db, scope.actor, scope.user_id, reason="account-closed")
    await activate_user(db, cipher, scope.user_id, before)
    await forget_link_requests(db, scope.user_id)
    await _erase_traces(db, scope.user_id)
    await record(db, scope.actor, "user.closed", subject=("user", scope.user_id))
    return None


async def _erase_traces(db: AsyncConnection, user_id: UUID) -> None:
    sessions = select(Session.id).where(Session.user_id == user_id)
    await db.execute(delete(RefreshToken).where(RefreshToken.session_id.in_(sessions)))
    await db.execute(delete(SecurityKeyChallenge).where(SecurityKeyChallenge.session_id.in_(sessions)))
    await db.execute(delete(SecurityKey).where(SecurityKey.user_id == user_id))
    await db.execute(delete(Verification).where(Verification.user_id == user_id))
    await db.execute(update(Session).where(Session.user_id == user_id).values(device=None, address=None))
