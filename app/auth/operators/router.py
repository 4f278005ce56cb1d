"""Calls of platform operators: reviews of ID cards, key recovery, suspensions, clients. They need a security key."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from app.auth import clients
from app.auth.errors import (
    AlreadyVerified,
    BuiltInClient,
    CodeRefused,
    IdNumberTaken,
    IsOperator,
    NotYourReview,
    OwnVerification,
    PhoneCodesUnavailable,
    PhoneTaken,
    UnusableScopes,
)
from app.auth.operators import operators
from app.auth.operators.account_search import search_account_by_phone
from app.auth.operators.phone_returns import make_return_code, return_phone
from app.auth.operators.schemas import (
    AccountSearchCreate,
    AccountSearchOut,
    ClientCreate,
    ClientOut,
    ClientSecretCreate,
    ClientSecretOut,
    KeyRecoveryCreate,
    KeyRecoveryOut,
    PhoneReturnCreate,
    PhoneReturnOut,
    RejectionPut,
    ReviewOut,
    SuspensionCreate,
    SuspensionOut,
)
from app.auth.phone_codes.delivery import deliver_phone_code
from app.auth.phone_codes.schemas import PhoneCodeCreate, PhoneCodeOut
from app.auth.phone_codes.sms import require_gateway, send_notice
from app.auth.verification import pictures, reviews
from app.auth.verification.pictures import Side
from app.auth.verification.schemas import ReviewItemOut
from app.authz.access import AsOperator
from app.core.cipher import CipherDep
from app.database.db import ENGINE, ReadDb, TransactionalRoute, WriteDb
from app.database.paging import ItemList, Page, Paging, paged_by
from app.idempotency.replay import without_stored_answer
from app.sms.messages import Template
from app.web.downloads import build_picture_response
from app.web.errors import NotFound, TooManyRequests, build_problem_response, problems
from app.web.locations import set_location

router = APIRouter(
    prefix="/v1/operator", route_class=TransactionalRoute, tags=["operator"], responses=problems(NotFound)
)

VerificationId = Annotated[UUID, Path(description="The verification.")]
ClientId = Annotated[str, Path(min_length=1, max_length=100, description="The client.")]


_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}, "description": "The picture."}
}


@router.get("/verifications", summary="ID cards to review")
async def list_reviews(
    db: ReadDb,
    scope: AsOperator,
    paging: Annotated[Paging, paged_by(UUID)],
    state: Annotated[
        Literal["submitted", "under-review"], Query(description="Those that wait, or those under review.")
    ] = "submitted",
) -> Page[ReviewItemOut]:
    """List the verifications by ID card that wait, the oldest first, or those that are being reviewed. Names and ID
    numbers are not in the list: begin the review to read them.

    The call changes nothing.
    """
    return await reviews.list_reviews(db, state, paging)


@router.put("/verifications/{verification_id}/review", summary="Begin a review", responses=problems(OwnVerification))
async def put_review(db: WriteDb, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId) -> ReviewOut:
    """Show the name and the number of one ID card. The caller is now the one who decides; an operator who began before
    can no longer decide.

    An operator cannot review their own verification: leave it to another operator.
    """
    return ReviewOut.model_validate(await reviews.begin_review(db, cipher, scope, verification_id))


@router.get(
    "/verifications/{verification_id}/pictures/{side}",
    summary="See a picture of an ID card",
    response_class=Response,
    responses={**_JPEG, **problems(NotYourReview)},
)
async def read_picture(
    request: Request,
    cipher: CipherDep,
    scope: AsOperator,
    verification_id: VerificationId,
    side: Annotated[Side, Path(description="`front` has the face, `back` the emblem.")],
) -> Response:
    """Show one side of the card as a JPEG. Begin the review first: only the operator who reviews the card sees it,
    until the decision. Then the pictures are deleted. No cache may store the answer.

    The card is not changed. Each call writes an audit entry with the caller.
    """
    return build_picture_response(
        await pictures.read_picture(ENGINE.get(request), cipher, scope, verification_id, side)
    )


@router.put(
    "/verifications/{verification_id}/approval",
    status_code=204,
    summary="Approve an ID card",
    responses=problems(NotYourReview, IdNumberTaken, AlreadyVerified),
)
async def approve_verification(
    db: WriteDb, cipher: CipherDep, scope: AsOperator, verification_id: VerificationId
) -> None:
    """The operator states that the name and the ID number belong to this person. The user's real name is now verified.
    One ID card verifies one account.

    Begin the review first. If the card has verified another account (409 `id-number-taken`), reject the verification.
    """
    await reviews.approve_verification(db, cipher, scope, verification_id)


@router.put(
    "/verifications/{verification_id}/rejection",
    status_code=204,
    summary="Reject an ID card",
    responses=problems(NotYourReview),
)
async def put_rejection(db: WriteDb, scope: AsOperator, verification_id: VerificationId, body: RejectionPut) -> None:
    """The operator states that the card does not verify the person. The user can read the reason and try again. The ID
    number and the pictures are erased.

    Begin the review first.
    """
    await reviews.reject_verification(db, scope, verification_id, body.reason)


@router.post("/account-searches", summary="Find an account by its phone")
async def search_account(
    response: Response, db: WriteDb, cipher: CipherDep, scope: AsOperator, body: AccountSearchCreate
) -> AccountSearchOut:
    """Find the account that has a phone, before it is suspended, let in again or recovered. Of its data the answer has
    only what confirms that it is the right one: the name and the phone are masked.

    Nothing is changed. Each call writes an audit entry with the caller, also if no account has the phone; the number is
    not in it.
    """
    response.headers["Cache-Control"] = "no-store"
    found = await search_account_by_phone(db, cipher, scope, body.phone)
    return AccountSearchOut(items=[] if found is None else [found])


@router.post("/key-recoveries", summary="Recover from lost security keys", responses=problems(IsOperator))
async def create_key_recovery(
    request: Request,
    db: WriteDb,
    cipher: CipherDep,
    scope: AsOperator,
    body: KeyRecoveryCreate,
    tasks: BackgroundTasks,
) -> KeyRecoveryOut:
    """Remove all security keys of a user who has lost them. The user's sessions end, and a
    message and an SMS tell the user. The user signs in by phone again
    and registers a first key.

    First check, outside the service, that the request comes from this user. For an operator's own keys use `xuezu
    operators`.
    """
    user_id = await operators.lock_user_by_phone(db, cipher, body.phone)
    recovery = await operators.recover_keys(db, scope, user_id, reason=body.reason)
    send_notice(request, tasks, body.phone, Template.KEYS_RECOVERED)
    return KeyRecoveryOut.model_validate(recovery)


@router.post(
    "/phone-return-codes",
    status_code=202,
    summary="Send a code to a former phone",
    responses=problems(IsOperator, TooManyRequests, PhoneCodesUnavailable),
)
async def create_phone_return_code(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, body: PhoneCodeCreate, tasks: BackgroundTasks
) -> PhoneCodeOut:
    """Send a code of six digits to the phone that an account had until seven days ago at most. This is the first step
    of giving the account its former phone back. The person reads the code to the operator.

    Nothing is changed yet.
    """
    require_gateway(request)
    return deliver_phone_code(request, tasks, body.phone, await make_return_code(db, cipher, scope, body.phone))


@router.post(
    "/phone-returns",
    summary="Give an account its former phone back",
    response_model=PhoneReturnOut,
    responses=problems(CodeRefused, IsOperator, PhoneTaken, TooManyRequests),
)
async def create_phone_return(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, body: PhoneReturnCreate, tasks: BackgroundTasks
) -> PhoneReturnOut | JSONResponse:
    """Undo a change of the phone that the person did not make. This is the second step: send the code that the former
    phone has received, with its handle. The account's sessions end and its security keys are removed. The phone that
    loses the account gets an SMS.

    First check, outside the service, that the request comes from this user. It is possible for seven days after the
    change. Where the former phone has an account of its own by now, the person closes that one first.
    """
    returned = await return_phone(db, cipher, scope, phone=body.phone, given=body.given)
    if isinstance(returned, CodeRefused):
        return build_problem_response(request, returned)
    send_notice(request, tasks, returned.replaced_phone, Template.PHONE_CHANGED)
    return PhoneReturnOut.model_validate(returned)


@router.post("/suspensions", summary="Suspend a user", responses=problems(IsOperator))
async def create_suspension(db: WriteDb, cipher: CipherDep, scope: AsOperator, body: SuspensionCreate) -> SuspensionOut:
    """Shut a user out, for example when the account was misused. Their sessions end, and from the next call on they
    are refused.

    Rows and points stay. `DELETE /v1/operator/suspensions/{user_id}` lets them in again. An operator is removed
    with `xuezu operators` first.
    """
    user_id = await operators.lock_user_by_phone(db, cipher, body.phone)
    await operators.suspend_user(db, cipher, scope, user_id, reason=body.reason)
    return SuspensionOut(user_id=user_id)


@router.delete("/suspensions/{user_id}", status_code=204, summary="End a suspension")
async def delete_suspension(
    db: WriteDb, cipher: CipherDep, scope: AsOperator, user_id: Annotated[UUID, Path(description="The user.")]
) -> None:
    """Let a suspended user in again. They sign in again, because the suspension ended their sessions."""
    await operators.restore_user(db, cipher, scope, user_id)


@router.get("/clients", summary="List clients")
async def list_clients(db: ReadDb, scope: AsOperator) -> ItemList[ClientOut]:
    """List all programs and services that may request tokens, including revoked ones. Secrets are never shown. The call
    changes nothing."""
    return ItemList(items=[ClientOut.model_validate(row) for row in await clients.list_clients(db)])


@router.get("/clients/{client_id}", summary="Read a client")
async def read_client(db: ReadDb, scope: AsOperator, client_id: ClientId) -> ClientOut:
    """Read one program or service that may request tokens, even if it is revoked. Secrets are never shown. The call
    changes nothing."""
    return ClientOut.model_validate(await clients.get_client(db, client_id))


@router.post("/clients", status_code=201, summary="Register a client", responses=problems(UnusableScopes))
@without_stored_answer
async def create_client(response: Response, db: WriteDb, scope: AsOperator, body: ClientCreate) -> ClientSecretOut:
    """Register a service or the back end of an app, which get their first secret, or a public program that signs in by
    scan. Note the secret now: it is shown only in this answer.

    Give a client only the scopes that it needs. `point-events:write` is for services. A program that signs in by scan
    needs at least one of the others, and a person sees its scopes before they approve its sign-in. Register an app only
    for the operator of this service: it signs people in by the codes of their phones, and its back end names their
    addresses (`Xuezu-Person-Address`), by which they are limited.
    """
    client = await clients.create_client(db, scope.actor, name=body.name, kind=body.kind, scopes=body.scopes)
    set_location(response, f"/v1/operator/clients/{client.client_id}")
    return ClientSecretOut(client_id=client.client_id, client_secret=client.secret)


@router.post("/clients/{client_id}/secrets", summary="Rotate the secret of a client")
@without_stored_answer
async def create_client_secret(
    db: WriteDb, scope: AsOperator, client_id: ClientId, body: ClientSecretCreate
) -> ClientSecretOut:
    """Make a new secret for a service or an app, shown only in this answer. The old ones work for `overlap_hours` more,
    so that the program can change to the new one without a pause.

    Where an old secret has leaked, give 0 hours.
    """
    overlap = timedelta(hours=body.overlap_hours)
    try:
        secret = await clients.rotate_secret(db, scope.actor, client_id, overlap=overlap)
    except clients.NoSuchClient:
        raise NotFound from None
    return ClientSecretOut(client_id=client_id, client_secret=secret)


@router.delete("/clients/{client_id}", status_code=204, summary="Revoke a client", responses=problems(BuiltInClient))
async def delete_client(db: WriteDb, scope: AsOperator, client_id: ClientId) -> None:
    """Revoke a client. Its secrets, tokens and sessions end at once, and it cannot get new ones until `PUT
    …/restoration`. The app and the console cannot be revoked."""
    try:
        await clients.revoke_client(db, scope.actor, client_id)
    except clients.NoSuchClient:
        raise NotFound from None


@router.put("/clients/{client_id}/restoration", summary="Restore a client")
async def put_client_restoration(db: WriteDb, scope: AsOperator, client_id: ClientId) -> ClientOut:
    """Undo the revocation of a client. Its secrets that have not expired are valid again; its sessions stay ended, so
    people sign in again. Where a secret has leaked, make a new one with 0 hours of overlap afterwards.

    A client that is not revoked stays as it is.
    """
    try:
        await clients.restore_client(db, scope.actor, client_id)
    except clients.NoSuchClient:
        raise NotFound from None
    return ClientOut.model_validate(await clients.get_client(db, client_id))
