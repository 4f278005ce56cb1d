"""What platform operators do: review ID cards, recover keys, suspend, manage clients. With a security key, audited."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query

from app.auth import clients
from app.auth.errors import AlreadyVerified, IdNumberTaken, IsOperator, NotYourReview, OwnVerification
from app.auth.operators import operators
from app.auth.operators.schemas import (
    ClientCreate,
    ClientOut,
    ClientSecretCreate,
    ClientSecretOut,
    KeyRecoveryCreate,
    KeyRecoveryOut,
    RejectionPut,
    ReviewOut,
    SuspensionCreate,
    SuspensionOut,
)
from app.auth.verification import reviews
from app.auth.verification.schemas import ReviewItemOut
from app.authz.access import AsOperator
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, problems

router = APIRouter(
    prefix="/v1/operator", route_class=TransactionalRoute, tags=["operator"], responses=problems(NotFound)
)

VerificationId = Annotated[UUID, Path(description="The verification.")]
ClientId = Annotated[str, Path(min_length=1, max_length=100, description="The client.")]


@router.get("/verifications", summary="ID cards to review")
async def list_reviews(
    db: ReadDb,
    scope: AsOperator,
    paging: Annotated[Paging, paged_by(UUID)],
    state: Annotated[Literal["submitted", "under_review"], Query(description="Which.")] = "submitted",
) -> Page[ReviewItemOut]:
    """The oldest first; names and numbers are shown to who begins the review."""
    return await reviews.list_reviews(db, state, paging)


@router.put("/verifications/{verification_id}/review", summary="Begin a review", responses=problems(OwnVerification))
async def put_review(db: WriteDb, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId) -> ReviewOut:
    """Shows name and number, and makes the caller the one who decides, in the place of whoever began before."""
    return ReviewOut.model_validate(await reviews.begin_review(db, cipher, scope, verification_id))


@router.put(
    "/verifications/{verification_id}/approval",
    status_code=204,
    summary="The card is theirs",
    responses=problems(NotYourReview, IdNumberTaken, AlreadyVerified),
)
async def put_approval(db: WriteDb, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId) -> None:
    """The user is verified by that name. One ID card verifies one account."""
    await reviews.approve_verification(db, cipher, scope, verification_id)


@router.put(
    "/verifications/{verification_id}/rejection",
    status_code=204,
    summary="The card is not theirs",
    responses=problems(NotYourReview),
)
async def put_rejection(db: WriteDb, scope: AsOperator, verification_id: VerificationId, body: RejectionPut) -> None:
    """The user sees the reason and may try again; the number is erased."""
    await reviews.reject_verification(db, scope, verification_id, body.reason)


@router.post(
    "/key-recoveries", status_code=201, summary="Recover from lost security keys", responses=problems(IsOperator)
)
async def create_key_recovery(
    db: WriteDb, cipher: CipherDep, scope: AsOperator, body: KeyRecoveryCreate
) -> KeyRecoveryOut:
    """Removes the user's keys and ends their sessions: they sign in by phone anew and register a first key."""
    made = await operators.recover_keys(db, cipher, scope, phone=body.phone, reason=body.reason)
    return KeyRecoveryOut.model_validate(made)


@router.post("/suspensions", status_code=201, summary="Suspend a user", responses=problems(IsOperator))
async def create_suspension(db: WriteDb, cipher: CipherDep, scope: AsOperator, body: SuspensionCreate) -> SuspensionOut:
    """Shuts the user out from their next call on."""
    user_id = await operators.suspend_user(db, cipher, scope, phone=body.phone, reason=body.reason)
    return SuspensionOut(user_id=user_id)


@router.delete("/suspensions/{user_id}", status_code=204, summary="Let a suspended user in again")
async def delete_suspension(
    db: WriteDb, cipher: CipherDep, scope: AsOperator, user_id: Annotated[UUID, Path(description="The user.")]
) -> None:
    """They sign in anew: suspending ended their sessions."""
    await operators.restore_user(db, cipher, scope, user_id)


@router.get("/clients", summary="Programs that may ask for tokens")
async def list_clients(db: ReadDb, scope: AsOperator) -> list[ClientOut]:
    """All of them, the revoked ones too."""
    return [ClientOut.model_validate(row) for row in await clients.list_clients(db)]


@router.post("/clients", status_code=201, summary="Make a client")
async def create_client(db: WriteDb, scope: AsOperator, body: ClientCreate) -> ClientSecretOut:
    """A service with its first secret, or a public program that signs in by scan."""
    made = await clients.create_client(db, scope.actor, name=body.name, kind=body.kind, scopes=body.scopes)
    return ClientSecretOut(client_id=made.client_id, client_secret=made.secret)


@router.post("/clients/{client_id}/secrets", status_code=201, summary="Rotate a client's secret")
async def create_client_secret(
    db: WriteDb, scope: AsOperator, client_id: ClientId, body: ClientSecretCreate
) -> ClientSecretOut:
    """A new secret; the old ones live on for `overlap_hours`."""
    overlap = timedelta(hours=body.overlap_hours)
    try:
        secret = await clients.rotate_secret(db, scope.actor, client_id, overlap=overlap)
    except clients.NoSuchClient:
        raise NotFound from None
    return ClientSecretOut(client_id=client_id, client_secret=secret)


@router.delete("/clients/{client_id}", status_code=204, summary="Revoke a client")
async def delete_client(db: WriteDb, scope: AsOperator, client_id: ClientId) -> None:
    """Its secrets, tokens and sessions end at once."""
    try:
        await clients.revoke_client(db, scope.actor, client_id)
    except clients.NoSuchClient:
        raise NotFound from None
