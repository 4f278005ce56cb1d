"""Real-name verification (S1): at a provider immediately, or by ID card after a review."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.errors import AlreadyVerified, IdNumberTaken, VerificationOpen
from app.auth.rate_limits import Limit, take_token
from app.auth.recovery_states import RecoveryState, end_recoveries
from app.auth.verification.pictures import add_pictures, clean_pictures, erase_pictures
from app.auth.verification.recovery_proofs import prove_recovery
from app.auth.verification.schemas import VerificationCreate, VerificationOut
from app.authz.access import UserScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher, create_secret
from app.core.ids import make_id
from app.core.names import make_name_key
from app.database.db import on_constraint
from app.identity.provider import Outcome, Result
from app.members.activation import activate_user
from app.schema.auth import AccountRecovery, User, Verification, VerificationPicture

ONLINE_LIFETIME = timedelta(minutes=30)
"""How long an attempt at a provider is open."""
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


FORGOTTEN = {"id_number_cipher": None, "provider_token": None, "provider_url": None}
"""What is erased of an attempt when it is decided."""
_FORGET = update(Verification).where(Verification.id == bindparam("of_verification")).values(FORGOTTEN)


@dataclass(frozen=True, slots=True)
class VerifiedPerson:
    name: str
    id_number: str


class BegunProof(NamedTuple):
    """An attempt that has begun. `reference` is the secret in the address that the person opens, None for a card."""

    verification: VerificationOut
    reference: str | None


def index_id_number(indexer: BlindIndexer, id_number: str) -> bytes:
    """Return the blind index of an ID number."""
    return indexer.index("id-number", id_number)


async def begin_verification(
    db: AsyncConnection, cipher: Cipher, scope: UserScope, given: VerificationCreate
) -> BegunProof:
    """Begin an attempt to verify the user: at the provider of its method, or with the card for an operator's review.

    Raises AlreadyVerified, TooManyRequests, VerificationOpen, PictureRefused, and IdNumberTaken if another account has
    the card.
    """
    if scope.verified_name is not None:
        raise AlreadyVerified
    await take_token(db, USER_LIMIT, str(scope.user_id))
    index = index_id_number(await lock_index_key(db, cipher), given.id_number)
    # An early answer for the user. The unique index decides at the approval.
    if await db.scalar(select(exists().where(User.id_number_index == index))):
        raise IdNumberTaken
    return await begin_proof(db, cipher, scope.actor, scope.user_id, given, None)


async def begin_proof(
    db: AsyncConnection,
    cipher: Cipher,
    actor: Actor,
    user_id: UUID,
    given: VerificationCreate,
    recovery_id: UUID | None,
) -> BegunProof:
    """Begin an attempt that proves a recovery (None: that verifies the user). The answer does not depend on whether an
    account has the card. Raises VerificationOpen, PictureRefused."""
    pictures = await clean_pictures(given.pictures)
    index = index_id_number(await lock_index_key(db, cipher), given.id_number)
    verification_id = make_id()
    reference = None if given.by_card else create_secret()
    values = {
        "id": verification_id,
        "user_id": user_id,
        "recovery_id": recovery_id,
        "method": given.method,
        "state": "submitted" if given.by_card else "started",
        "reference": reference,
        "name": given.name,
        "id_number_index": index,
        "id_number_cipher": cipher.encrypt(given.id_number, verification_id),
        "expires_at": None if given.by_card else func.now() + ONLINE_LIFETIME,
    }
    with on_constraint(("verifications_open_key", VerificationOpen)):
        row = (await db.execute(insert(Verification).values(values).returning(*VERIFICATION_COLUMNS))).one()
    if pictures:
        await add_pictures(db, cipher, verification_id, pictures)
    action = "verification.submitted" if given.by_card else "verification.started"
    await record(db, actor, action, subject=("verification", row.id), after={"method": given.method})
    return BegunProof(VerificationOut.model_validate(row), reference)


async def complete_attempt(
    db: AsyncConnection, cipher: Cipher, actor: Actor, verification_id: UUID, result: Result
) -> Literal["approved", "rejected"] | None:
    """Apply the result of the provider to an attempt: any that has not passed rejects it. Return its state, None if it
    was decided before or its time is over."""
    claimed = (
        update(Verification)
        .where(Verification.id == verification_id, Verification.state == "started")
        .where(Verification.expires_at > func.now())
        .values(state="approved", decided_at=func.now())
        .returning(
            Verification.user_id,
            Verification.recovery_id,
            Verification.method,
            Verification.name,
            Verification.id_number_cipher,
        )
    )
    row = (await db.execute(claimed)).one_or_none()
    if row is None:
        return None
    if result.outcome is not Outcome.PASSED:
        await reject_attempt(db, actor, verification_id, "declined")
        return "rejected"
    assert row.name is not None, "an attempt under way has a name"
    assert row.id_number_cipher is not None, "an attempt under way has a number"
    person = VerifiedPerson(row.name, cipher.decrypt_text(row.id_number_cipher, verification_id))
    if not _is_same_person(result, person):
        await reject_attempt(db, actor, verification_id, "identity-differs")
        return "rejected"
    try:
        async with db.begin_nested():
            await accept_person(db, cipher, actor, row.user_id, row.recovery_id, person, row.method)
    except (IdNumberTaken, AlreadyVerified) as refused:
        await reject_attempt(db, actor, verification_id, refused.slug)
        return "rejected"
    await db.execute(_FORGET, {"of_verification": verification_id})
    subject = ("verification", verification_id)
    await record(db, actor, "verification.approved", subject=subject, after={"method": row.method})
    return "approved"


def _is_same_person(result: Result, person: VerifiedPerson) -> bool:
    """Return whether the provider has seen the person of the attempt, where it says whom it has seen."""
    if result.id_number is not None and result.id_number.strip().upper() != person.id_number:
        return False
    return result.name is None or make_name_key(result.name) == make_name_key(person.name)


async def accept_person(
    db: AsyncConnection,
    cipher: Cipher,
    actor: Actor,
    user_id: UUID,
    recovery_id: UUID | None,
    person: VerifiedPerson,
    method: str,
) -> None:
    """Do what an approved attempt is for: verify the user, or prove the recovery. Raises AlreadyVerified,
    IdNumberTaken, both only without a recovery."""
    if recovery_id is None:
        await verify_user(db, cipher, user_id, person, method)
    else:
        index = index_id_number(await lock_index_key(db, cipher), person.id_number)
        await prove_recovery(db, actor, recovery_id, person.name, index)


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
    """Reject an attempt and delete its ID number. A recovery that it was to prove is refused."""
    recovery_id = await db.scalar(
        update(Verification)
        .where(Verification.id == verification_id)
        .values(state="rejected", reason=reason, decided_at=func.now(), **FORGOTTEN)
        .returning(Verification.recovery_id)
    )
    await erase_pictures(db, VerificationPicture.verification_id == verification_id)
    await record(
        db, actor, "verification.rejected", subject=("verification", verification_id), after={"reason": reason}
    )
    if recovery_id is not None:
        await end_recoveries(db, actor, RecoveryState.REFUSED, reason, AccountRecovery.id == recovery_id)
