"""Operations on the user's own account: party declaration, change of the phone, closure (注销, S20)."""

from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, bindparam, delete, exists, func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.user_requests import withdraw_user_requests
from app.audit_log.entries import Actor, record
from app.auth.accounts.registration import is_account_silent
from app.auth.errors import (
    AppSignInNeeded,
    CodeRefused,
    FreshSignInNeeded,
    IsOperator,
    OldPhoneCodeRefused,
    PartyOrgsAdministered,
    PhoneTaken,
    StillAdmin,
)
from app.auth.phone_codes.codes import CodeCheck, GivenCode, PhoneProof, Purpose, check_phone_code, find_wrong_code
from app.auth.recovery_states import RecoveryState, end_recoveries
from app.auth.retention import IN_NO_DIRECTORY
from app.auth.sessions import end_sessions, lock_account
from app.authz.access import UserScope
from app.authz.errors import StepUpNeeded
from app.authz.step_up import MAX_PROOF_AGE, PHONE_CHANGE_AGE
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.members.activation import activate_user, consent_to_own_rows, lock_phones
from app.members.lost_phones import unlink_lost_phone
from app.messages.delivery import add_account_message
from app.messages.kinds import MessageKind
from app.messages.operations import erase_messages
from app.orgs.names import Kind
from app.schema.admins import OrgAdmin
from app.schema.auth import (
    AccountRecovery,
    Operator,
    RefreshToken,
    SecurityKey,
    SecurityKeyChallenge,
    Session,
    User,
    UserPhone,
    Verification,
)
from app.schema.orgs import Org
from app.schema.own_rows import OrgBlock
from app.schema.personal_data import DataCopy
from app.schema.sign_in import OAuthClient, PhoneCode
from app.web.errors import Unauthorized

_OLD_PHONE_INDEX = literal_column("old.phone_index", LargeBinary)


_LOCK_ACCOUNT = (
    select(User.party_member).where(User.id == bindparam("user_id")).with_for_update(key_share=True)
)  # FOR NO KEY UPDATE
_PARTY_ORGS = (
    select(Org.id, Org.name, (Org.main_admin_id == OrgAdmin.user_id).label("is_main_admin"))
    .join(OrgAdmin, OrgAdmin.org_id == Org.id)
    .where(OrgAdmin.user_id == bindparam("user_id"), Org.kind == Kind.PARTY, Org.status == "live")
    .order_by(Org.id)
)


_PROOFS = (
    select(
        exists().where(SecurityKey.user_id == bindparam("user_id")).label("has_keys"),
        func.coalesce(Session.key_checked_at > func.now() - PHONE_CHANGE_AGE, False).label("key_is_fresh"),
        (Session.created_at > func.now() - PHONE_CHANGE_AGE).label("sign_in_is_fresh"),
        OAuthClient.kind.label("client_kind"),
    )
    .join(OAuthClient, OAuthClient.id == Session.client_id)
    .where(Session.id == bindparam("session_id"))
)


async def declare_party_member(db: AsyncConnection, scope: UserScope, party_member: bool) -> None:
    """Store the user's declaration whether they are a party member (S2, S17). A repeated declaration changes nothing.

    Locks the account, so that a transaction that makes the user an admin commits before the user's orgs are read, or
    waits for this one. Raises PartyOrgsAdministered if the user declares that they are not a party member and
    administers orgs of the party.
    """
    present = await db.scalar(_LOCK_ACCOUNT, {"user_id": scope.user_id})
    if present is None or present == party_member:
        return
    if not party_member:
        orgs = (await db.execute(_PARTY_ORGS, {"user_id": scope.user_id})).all()
        if orgs:
            raise PartyOrgsAdministered(orgs=[row._asdict() | {"id": str(row.id)} for row in orgs])
    await db.execute(update(User).where(User.id == scope.user_id).values(party_member=party_member))
    await record(
        db,
        scope.actor,
        "user.updated",
        subject=("user", scope.user_id),
        before={"party_member": not party_member},
        after={"party_member": party_member},
    )


async def get_phone(db: AsyncConnection, cipher: Cipher, user_id: UUID) -> str:
    """Return the phone of a live account. Raises Unauthorized if it was closed after the caller was authorized."""
    encrypted = await db.scalar(select(User.phone_cipher).where(User.id == user_id))
    if encrypted is None:
        raise Unauthorized
    return cipher.decrypt_text(encrypted, user_id)


async def _require_fresh_key_proof(db: AsyncConnection, scope: UserScope) -> None:
    """Require a fresh proof of a security key from a user who has one. Raises StepUpNeeded."""
    lacking = (
        exists()
        .where(SecurityKey.user_id == scope.user_id)
        .where(~exists().where(Session.id == scope.session_id, Session.key_checked_at > func.now() - MAX_PROOF_AGE))
    )
    if await db.scalar(select(lacking)):
        raise StepUpNeeded(MAX_PROOF_AGE)


async def require_recent_proof(db: AsyncConnection, scope: UserScope) -> None:
    """Require what a stolen session lacks: a proof of the user's security key in the last ten minutes, or without a key
    a sign-in to the app in the last ten minutes.

    Raises StepUpNeeded, AppSignInNeeded, FreshSignInNeeded.
    """
    row = (await db.execute(_PROOFS, {"user_id": scope.user_id, "session_id": scope.session_id})).one()
    if row.key_is_fresh:
        return
    if row.has_keys:
        raise StepUpNeeded(PHONE_CHANGE_AGE)
    if row.client_kind != "app":
        raise AppSignInNeeded
    if not row.sign_in_is_fresh:
        raise FreshSignInNeeded(PHONE_CHANGE_AGE)


async def change_phone(
    db: AsyncConnection,
    cipher: Cipher,
    scope: UserScope,
    *,
    phone: str,
    given: GivenCode,
    given_by_old_phone: GivenCode,
) -> CodeRefused | OldPhoneCodeRefused | None:
    """Change the phone of the account, and end all sessions, including this one. One code proves the new phone, and one
    the present phone.

    A refusal of a code is returned, not raised, so that the transaction commits and a wrong code is counted.

    Raises PhoneTaken, the errors of `require_recent_proof`, and Unauthorized if the session ended or the account was
    closed or suspended before the lock.
    """
    await require_recent_proof(db, scope)
    old_phone = await get_phone(db, cipher, scope.user_id)
    of_old = PhoneProof(old_phone, Purpose.LEAVE_PHONE, given_by_old_phone)
    of_new = PhoneProof(phone, Purpose.CHANGE_PHONE, given)
    wrong = await find_wrong_code(db, cipher, scope.actor, (of_old, of_new), bound_to=str(scope.user_id))
    if wrong is not None:
        return OldPhoneCodeRefused() if wrong is of_old else CodeRefused()
    await lock_index_key(db, cipher)
    await lock_account(db, scope)
    await replace_phone(db, cipher, scope.actor, scope.user_id, phone, reason="phone-changed")
    await record(db, scope.actor, "user.phone_changed", subject=("user", scope.user_id))
    return None


async def replace_phone(
    db: AsyncConnection,
    cipher: Cipher,
    actor: Actor,
    user_id: UUID,
    phone: str,
    *,
    reason: str,
) -> int:
    """Give an account another phone, end all its sessions and bring its rows in line. Return the number of sessions.
    Open recoveries that would give it yet another phone are stopped.

    Raises PhoneTaken. Raises Unauthorized if the account is closed.
    """
    indexer = await lock_index_key(db, cipher)
    changed = {"phone_index": indexer.index_phone(phone), "phone_cipher": cipher.encrypt(phone, user_id)}
    with on_constraint(("users_phone_index_key", PhoneTaken)):
        changing = update(User).where(User.id == user_id, User.status != "closed")
        replaced = (await db.execute(changing.values(changed).returning(_OLD_PHONE_INDEX))).one_or_none()
    if replaced is None:
        raise Unauthorized
    before = replaced[0]
    ended = await end_sessions(db, actor, user_id, reason=reason)
    await end_recoveries(db, actor, RecoveryState.STOPPED, reason, _touches(user_id))
    await lock_phones(db, changed["phone_index"], before)
    await consent_to_own_rows(db, user_id)
    await activate_user(db, cipher, user_id, before)
    await add_account_message(db, user_id, MessageKind.PHONE_CHANGED)
    return ended


class AccountUsed(Exception):
    """The account is not silent any more."""


async def give_up_phone(db: AsyncConnection, actor: Actor, user_id: UUID) -> None:
    """Take the phone from an account, whose number another person has by now. Its points and offices stay, its sessions
    end, and its rows become inactive. Its owner gets back in by the real name.

    The caller has locked the index key and the account. Locks the phone and the rows. Raises AccountUsed if the owner
    has used a session meanwhile.
    """
    await end_sessions(db, actor, user_id, reason="phone-recycled")
    # A session that is used at the same time does not lock the account. It has been used by now, or has ended unused.
    if not await is_account_silent(db, user_id):
        raise AccountUsed
    nothing = {"phone_index": None, "phone_cipher": None}
    before = await db.scalar(update(User).where(User.id == user_id).values(nothing).returning(_OLD_PHONE_INDEX))
    assert before is not None, "the account is found by its phone"
    await lock_phones(db, before)
    await consent_to_own_rows(db, user_id)
    await unlink_lost_phone(db, actor, user_id, before)
    await record(db, actor, "user.phone_given_up", subject=("user", user_id))


async def close_account(db: AsyncConnection, cipher: Cipher, scope: UserScope, given: GivenCode) -> CodeRefused | None:
    """Erase the data that identifies the person. The point ledger remains under an id that identifies no person (S20).

    Rows in the directories of orgs belong to the orgs and become inactive. The phone and the ID card are free for a
    new account. Points that arrive later for a phone that the account had are added to no account. CodeRefused is
    returned as in `change_phone`. Raises StepUpNeeded, IsOperator, StillAdmin, and Unauthorized if the session
    ended before the lock.
    """
    await _require_fresh_key_proof(db, scope)
    if await db.scalar(select(exists().where(Operator.user_id == scope.user_id, Operator.removed_at.is_(None)))):
        raise IsOperator
    phone = await get_phone(db, cipher, scope.user_id)
    purpose = Purpose.CLOSE_ACCOUNT
    if (
        await check_phone_code(db, cipher, scope.actor, phone=phone, purpose=purpose, given=given)
        is not CodeCheck.RIGHT
    ):
        return CodeRefused()
    # This deletes the codes before it locks the user's row, because a sign-in locks its code first and then the user.
    await db.execute(delete(PhoneCode).where(PhoneCode.phone_index.in_(cipher.list_phone_indexes(phone))))
    await lock_account(db, scope)
    await erase_account(db, cipher, scope.actor, scope.user_id)
    return None


def _touches(user_id: UUID) -> ColumnElement[bool]:
    return or_(AccountRecovery.account_id == user_id, AccountRecovery.requester_id == user_id)


async def erase_account(db: AsyncConnection, cipher: Cipher, actor: Actor, user_id: UUID) -> None:
    """Close an account that the caller has locked FOR UPDATE, as `close_account` does. Raises StillAdmin."""
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
    # The database ensures both: an admin cannot be closed, and a closed user cannot become an admin.
    with on_constraint(("users_admin_verified", StillAdmin)):
        closed = update(User).where(User.id == user_id).values(erased).returning(_OLD_PHONE_INDEX)
        before = await db.scalar(closed)
    await end_sessions(db, actor, user_id, reason="account-closed")
    await end_recoveries(db, actor, RecoveryState.STOPPED, "account-closed", _touches(user_id))
    await activate_user(db, cipher, user_id, before)
    await withdraw_user_requests(db, user_id, actor)
    await _erase_traces(db, user_id)
    await erase_messages(db, user_id)
    await record(db, actor, "user.closed", subject=("user", user_id))


async def _erase_traces(db: AsyncConnection, user_id: UUID) -> None:
    sessions = select(Session.id).where(Session.user_id == user_id)
    await db.execute(delete(RefreshToken).where(RefreshToken.session_id.in_(sessions)))
    await db.execute(delete(SecurityKeyChallenge).where(SecurityKeyChallenge.session_id.in_(sessions)))
    await db.execute(delete(SecurityKey).where(SecurityKey.user_id == user_id))
    await db.execute(delete(OrgBlock).where(OrgBlock.user_id == user_id))
    await db.execute(delete(DataCopy).where(DataCopy.user_id == user_id))
    await db.execute(delete(Verification).where(Verification.user_id == user_id))
    await db.execute(delete(UserPhone).where(UserPhone.user_id == user_id, IN_NO_DIRECTORY))
    await db.execute(update(Session).where(Session.user_id == user_id).values(device=None, address=None))
