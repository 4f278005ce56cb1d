"""The operators' review of ID-card verifications (S1)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Update, Uuid, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.auth.errors import NotYourReview, OwnVerification
from app.auth.verification.pictures import Side, erase_pictures, list_sides
from app.auth.verification.schemas import ReviewItemOut
from app.auth.verification.verifications import FORGOTTEN, VerifiedPerson, accept_person, reject_attempt
from app.authz.access import OperatorScope
from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.schema.auth import Verification, VerificationPicture
from app.web.errors import NotFound

OPEN_STATES = ("submitted", "under-review")


@dataclass(frozen=True, slots=True)
class Review:
    """The data that the reviewer compares with the card. It is shown only during a review."""

    id: UUID
    state: str
    created_at: datetime
    proves_recovery: bool
    name: str
    id_number: str
    pictures: list[Side]


_IN_STATE = PagedStatement(
    select(
        Verification.id,
        Verification.state,
        Verification.created_at,
        Verification.recovery_id.is_not(None).label("proves_recovery"),
    ).where(Verification.state == bindparam("state")),
    Verification.id,
    row=ReviewItemOut,
)


class ReviewCounts(NamedTuple):
    """The numbers of the verifications that no operator has decided."""

    submitted: int
    under_review: int


_COUNTS = select(
    func.count().filter(Verification.state == "submitted").label("submitted"),
    func.count().filter(Verification.state == "under-review").label("under_review"),
).where(Verification.state.in_(OPEN_STATES))
_NEXT = (
    select(Verification.id)
    .where(Verification.state == "submitted", Verification.user_id != bindparam("own_id", type_=Uuid()))
    .order_by(Verification.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)


async def list_reviews(
    db: Readable, state: Literal["submitted", "under-review"], paging: Paging
) -> Page[ReviewItemOut]:
    """Return a page of the verifications in this state, the oldest first, without names and numbers."""
    return Page[ReviewItemOut].from_slice(await _IN_STATE.fetch(db, paging, state=state))


async def count_reviews(db: Readable) -> ReviewCounts:
    """Return the number of verifications that wait, and of those under review."""
    return await one_or_404(db, _COUNTS, ReviewCounts)


async def find_next_verification(db: AsyncConnection, scope: OperatorScope) -> UUID | None:
    """Lock the verification that has waited longest, and return its id: none of the operator's own, and none that
    another operator is about to begin. None if none waits."""
    found: UUID | None = await db.scalar(_NEXT, {"own_id": scope.user.user_id})
    return found


async def begin_review(db: AsyncConnection, cipher: Cipher, scope: OperatorScope, verification_id: UUID) -> Review:
    """Make the operator the reviewer, also in place of another reviewer, and return the data to check.

    Raises NotFound, OwnVerification.
    """
    statement = (
        update(Verification)
        .where(Verification.id == verification_id, Verification.state.in_(OPEN_STATES))
        .values(state="under-review", reviewer_id=scope.user.user_id)
        .returning(
            Verification.user_id,
            Verification.state,
            Verification.created_at,
            Verification.recovery_id,
            Verification.name,
            Verification.id_number_cipher,
        )
    )
    row = (await db.execute(statement)).one_or_none()
    if row is None or row.name is None or row.id_number_cipher is None:
        raise NotFound
    if row.user_id == scope.user.user_id:
        raise OwnVerification
    await record(db, scope.actor, "verification.review_begun", subject=("verification", verification_id))
    id_number = cipher.decrypt_text(row.id_number_cipher, verification_id)
    is_proof = row.recovery_id is not None
    sides = await list_sides(db, verification_id)
    return Review(verification_id, row.state, row.created_at, is_proof, row.name, id_number, sides)


async def approve_verification(
    db: AsyncConnection, cipher: Cipher, scope: OperatorScope, verification_id: UUID
) -> None:
    """Verify the user with the card's name and number, or prove the recovery that it was submitted for. Delete the
    stored number and the pictures.

    Raises NotFound, NotYourReview. Raises IdNumberTaken or AlreadyVerified if the verification must be rejected.
    """
    statement = (
        _build_review_update(scope, verification_id)
        .values(state="approved", decided_at=func.now())
        .returning(Verification.user_id, Verification.recovery_id, Verification.name, Verification.id_number_cipher)
    )
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        await _require_repeated(db, scope, verification_id, Verification.state == "approved")
        return
    assert row.name is not None, "a card under review has a name"
    assert row.id_number_cipher is not None, "a card under review has a number"
    person = VerifiedPerson(row.name, cipher.decrypt_text(row.id_number_cipher, verification_id))
    await accept_person(db, cipher, scope.actor, row.user_id, row.recovery_id, person, "id-card")
    await db.execute(update(Verification).where(Verification.id == verification_id).values(FORGOTTEN))
    await erase_pictures(db, VerificationPicture.verification_id == verification_id)
    subject = ("verification", verification_id)
    await record(db, scope.actor, "verification.approved", subject=subject, after={"method": "id-card"})


async def reject_verification(db: AsyncConnection, scope: OperatorScope, verification_id: UUID, reason: str) -> None:
    """Reject a card that is wrong or unreadable. The person may try again. Raises NotFound, NotYourReview."""
    claimed = _build_review_update(scope, verification_id).values(state="rejected").returning(Verification.id)
    if await db.scalar(claimed) is None:
        same = and_(Verification.state == "rejected", Verification.reason == reason)
        await _require_repeated(db, scope, verification_id, same)
        return
    await reject_attempt(db, scope.actor, verification_id, reason)


def _build_review_update(scope: OperatorScope, verification_id: UUID) -> Update:
    return update(Verification).where(
        Verification.id == verification_id,
        Verification.state == "under-review",
        Verification.reviewer_id == scope.user.user_id,
    )


async def _require_repeated(
    db: AsyncConnection, scope: OperatorScope, verification_id: UUID, same: ColumnElement[bool]
) -> None:
    """Check a decision that changed no row: do nothing if this operator decided the verification in the same way before
    (`same`). Otherwise raise NotFound or NotYourReview."""
    is_repeated = and_(same, Verification.reviewer_id == scope.user.user_id)
    by_card = (Verification.id == verification_id, Verification.method == "id-card")
    if not (await one_or_404(db, select(is_repeated).where(*by_card)))[0]:
        raise NotYourReview
