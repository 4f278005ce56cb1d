"""Sign-ins with the phone of an account that was not used for a long time: the number may have a new owner.

The person with the phone proves the real name of the account, or begins an account of their own. Until then they have
a secret, the proof token, and learn nothing but that the phone has such an account.
"""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.rate_limits import take_token
from app.auth.recoveries.recoveries import USER_LIMIT
from app.auth.recovery_states import RecoveryKind, RecoveryState, end_proofs, end_recoveries
from app.auth.verification.schemas import VerificationCreate
from app.auth.verification.verifications import ONLINE_LIFETIME, begin_proof
from app.core.cipher import Cipher, create_secret, hash_secret
from app.core.ids import make_id
from app.database.rows import fetch_row, one_or_404
from app.schema.auth import AccountRecovery

REVIEW_TIME = timedelta(days=7)
"""How long a proof token waits for the review of an ID card."""


class SignIn(NamedTuple):
    """A sign-in that waits for a proof of the name. `expired`: it can no longer be ended."""

    id: UUID
    state: str
    account_id: UUID
    phone_cipher: bytes
    expired: bool


_FIND = select(
    AccountRecovery.id,
    AccountRecovery.state,
    AccountRecovery.account_id,
    AccountRecovery.phone_cipher,
    (AccountRecovery.expires_at <= func.now()).label("expired"),
).where(
    AccountRecovery.secret_hash == bindparam("secret_hash"),
    AccountRecovery.kind == RecoveryKind.SIGN_IN,
    AccountRecovery.phone_cipher.is_not(None),
)
_LOCK_PROVING = (
    select(AccountRecovery.id, AccountRecovery.account_id)
    .where(
        AccountRecovery.secret_hash == bindparam("secret_hash"),
        AccountRecovery.kind == RecoveryKind.SIGN_IN,
        AccountRecovery.state == RecoveryState.PROVING,
        AccountRecovery.expires_at > func.now(),
    )
    .with_for_update()
)
_CLAIM = (
    update(AccountRecovery)
    .where(
        AccountRecovery.id == bindparam("of_recovery"),
        AccountRecovery.state == bindparam("of_state"),
        AccountRecovery.secret_hash.is_not(None),
    )
    .values(
        state=RecoveryState.DONE,
        ended_at=func.now(),
        phone_cipher=None,
        secret_hash=None,
    )
    .returning(AccountRecovery.id)
)


async def start_sign_in(db: AsyncConnection, cipher: Cipher, actor: Actor, account_id: UUID, phone: str) -> str:
    """Store that a person with this phone, who has proved it, must prove the real name of the account. Return the proof
    token. Earlier ones of the account end. The caller has locked the account."""
    earlier = (AccountRecovery.account_id == account_id, AccountRecovery.kind == RecoveryKind.SIGN_IN)
    await end_recoveries(db, actor, RecoveryState.STOPPED, "another-sign-in", *earlier)
    secret, sign_in_id = create_secret(), make_id()
    values = {
        "id": sign_in_id,
        "kind": RecoveryKind.SIGN_IN,
        "account_id": account_id,
        "phone_cipher": cipher.encrypt(phone, sign_in_id),
        "secret_hash": hash_secret(secret),
        "expires_at": func.now() + ONLINE_LIFETIME,
    }
    await db.execute(insert(AccountRecovery).values(values))
    after = {"kind": RecoveryKind.SIGN_IN}
    await record(db, actor, "account_recovery.requested", subject=("account_recovery", sign_in_id), after=after)
    return secret


async def prove_sign_in(
    db: AsyncConnection, cipher: Cipher, actor: Actor, secret: str, proof: VerificationCreate
) -> str | None:
    """Begin the proof of the name for a sign-in. Return the reference of the proof at a provider, None for an ID
    card.

    The answer does not depend on the account. Raises NotFound for an unknown or ended sign-in, VerificationOpen,
    TooManyRequests.
    """
    found = await one_or_404(db, _LOCK_PROVING, parameters={"secret_hash": hash_secret(secret)})
    assert found.account_id is not None, "a sign-in has an account"
    await take_token(db, USER_LIMIT, str(found.account_id))
    lifetime = REVIEW_TIME if proof.by_card else ONLINE_LIFETIME
    later = func.greatest(AccountRecovery.expires_at, func.now() + lifetime)
    await db.execute(update(AccountRecovery).where(AccountRecovery.id == found.id).values(expires_at=later))
    return (await begin_proof(db, cipher, actor, found.account_id, proof, found.id)).reference


async def find_sign_in(db: AsyncConnection, secret: str) -> SignIn | None:
    """Return the sign-in of a proof token that has not been redeemed."""
    return await fetch_row(db, _FIND, SignIn, {"secret_hash": hash_secret(secret)})


async def finish_sign_in(db: AsyncConnection, actor: Actor, sign_in: SignIn, outcome: str) -> bool:
    """End a sign-in that is still as it was found, with its proof if that waits for a review. Return False if another
    call has ended it. The caller has locked the account."""
    await end_proofs(db, outcome, AccountRecovery.id == sign_in.id)
    if await db.scalar(_CLAIM, {"of_recovery": sign_in.id, "of_state": sign_in.state}) is None:
        return False
    after = {"outcome": outcome}
    await record(db, actor, "account_recovery.done", subject=("account_recovery", sign_in.id), after=after)
    return True
