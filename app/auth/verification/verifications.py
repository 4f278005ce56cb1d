"""Real-name verification (S1): by Alipay immediately, or by ID card after a review."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.errors import AlreadyVerified, IdNumberTaken, VerificationOpen
from app.auth.rate_limits import Limit, take_token
from app.auth.verification.alipay import Consent
from app.auth.verification.schemas import VerificationOut
from app.authz.access import UserScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher, create_secret
from app.core.ids import make_id
from app.database.db import on_constraint
from app.members.activation import activate_user
from app.schema.auth import User, Verification

ALIPAY_LIFETIME = timedelta(minutes=30)
# The answer shows whether an ID number is in use (S1). The limit prevents a search through many numbers.
USER_LIMIT = Limit("verification-user", burst=5, every=timedelta(hours=2))

VERIFICATION_COLUMNS = (
    Verification.id,
    Verification.method,
    Verification.state,
    Verification.reason,
    Verification.created_at,
    Verification.decided_at,
)


@dataclass(frozen=True, slots=True)
class VerifiedPerson:
    name: str
    id_number: str


def index_id_number(indexer: BlindIndexer, id_number: str) -> bytes:
    """Return the blind index of an ID number."""
    return indexer.index("id-number", id_number)


async def _require_new_attempt_allowed(db: AsyncConnection, scope: UserScope) -> None:
    if scope.verified_name is not None:
        raise AlreadyVerified
    await take_token(db, USER_LIMIT, str(scope.user_id))


async def begin_alipay_verification(db: AsyncConnection, scope: UserScope) -> tuple[VerificationOut, str]:
    """Start an attempt by Alipay. Return it with the reference that the provider's result will contain.

    Raises AlreadyVerified, TooManyRequests.
    """
    await _require_new_attempt_allowed(db, scope)
    reference = create_secret()
    values = {
        "user_id": scope.user_id,
        "method": "alipay",
        "state": "started",
        "reference": reference,
        "expires_at": func.now() + ALIPAY_LIFETIME,
    }
    row = (await db.execute(insert(Verification).values(values).returning(*VERIFICATION_COLUMNS))).one()
    await record(db, scope.actor, "verification.started", subject=("verification", row.id), after={"method": "alipay"})
    return VerificationOut.model_validate(row), reference


async def submit_id_card(
    db: AsyncConnection, cipher: Cipher, scope: UserScope, person: VerifiedPerson
) -> VerificationOut:
    """Submit name and ID number for an operator's review.

    Raises AlreadyVerified, TooManyRequests, VerificationOpen, and IdNumberTaken if another account has the card.
    """
    await _require_new_attempt_allowed(db, scope)
    index = index_id_number(await lock_index_key(db, cipher), person.id_number)
    # An early answer for the user. The unique index decides at the approval.
    if await db.scalar(select(exists().where(User.id_number_index == index))):
        raise IdNumberTaken
    verification_id = make_id()
    values = {
        "id": verification_id,
        "user_id": scope.user_id,
        "method": "id-card",
        "state": "submitted",
        "name": person.name,
        "id_number_index": index,
        "id_number_cipher": cipher.encrypt(person.id_number, verification_id),
    }
    with on_constraint(("verifications_open_key", VerificationOpen)):
        row = (await db.execute(insert(Verification).values(values).returning(*VERIFICATION_COLUMNS))).one()
    await record(
        db, scope.actor, "verification.submitted", subject=("verification", row.id), after={"method": "id-card"}
    )
    return VerificationOut.model_validate(row)


async def complete_alipay_verification(db: AsyncConnection, cipher: Cipher, actor: Actor, consent: Consent) -> None:
    """Apply the provider's result to an attempt. A repeated, late or unknown result changes nothing."""
    claimed = (
        update(Verification)
        .where(Verification.reference == consent.reference, Verification.state == "started")
        .where(Verification.expires_at > func.now())
        .values(state="approved", decided_at=func.now())
        .returning(Verification.id, Verification.user_id)
    )
    row = (await db.execute(claimed)).one_or_none()
    if row is None:
        return
    if consent.name is None or consent.id_number is None:
        await reject_attempt(db, actor, row.id, "declined")
        return
    person = VerifiedPerson(consent.name, consent.id_number)
    try:
        async with db.begin_nested():
            await verify_user(db, cipher, row.user_id, person, "alipay")
    except (IdNumberTaken, AlreadyVerified) as refused:
        await reject_attempt(db, actor, row.id, refused.slug)
        return
    await record(db, actor, "verification.approved", subject=("verification", row.id), after={"method": "alipay"})


async def verify_user(db: AsyncConnection, cipher: Cipher, user_id: UUID, person: VerifiedPerson, method: str) -> None:
    """Verify the user's real name: store the name and the blind index of the ID number. Raises AlreadyVerified,
    IdNumberTaken (unique index)."""
    index = index_id_number(await lock_index_key(db, cipher), person.id_number)
    statement = (
        update(User)
        .where(User.id == user_id, User.status == "active", User.verified_at.is_(None))
        .values(
            verified_name=person.name,
            verified_at=func.now(),
            verification_method=method,
            id_number_index=index,
        )
        .returning(User.id)
    )
    with on_constraint(("users_id_number_index_key", IdNumberTaken)):
        if await db.scalar(statement) is None:
            raise AlreadyVerified
    await activate_user(db, cipher, user_id)


async def reject_attempt(db: AsyncConnection, actor: Actor, verification_id: UUID, reason: str) -> None:
    """Reject an attempt and delete its ID number."""
    await db.execute(
        update(Verification)
        .where(Verification.id == verification_id)
        .values(state="rejected", reason=reason, decided_at=func.now(), id_number_cipher=None)
    )
    await record(
        db, actor, "verification.rejected", subject=("verification", verification_id), after={"reason": reason}
    )
