"""The user's own account, sessions and verifications."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.auth.accounts import queries
from app.auth.accounts.accounts import declare_party_member
from app.auth.accounts.schemas import MeOut, MeUpdate, SessionOut
from app.auth.errors import (
    AlipayUnavailable,
    AlreadyVerified,
    BadSignature,
    IdNumberTaken,
    PartyOrgsAdministered,
    VerificationOpen,
)
from app.auth.oauth.protocol import PlainForm, describe_form
from app.auth.sessions import end_session, end_sessions
from app.auth.verification.alipay import ALIPAY
from app.auth.verification.schemas import AlipayVerificationCreate, VerificationCreate, VerificationOut
from app.auth.verification.verifications import (
    VerifiedPerson,
    begin_alipay_verification,
    complete_alipay_verification,
    submit_id_card,
)
from app.authz.access import AsOwner, Public, SignedIn, build_actor
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import BadRequest, NotFound, TooManyRequests, problems
from app.web.locations import set_location

router = APIRouter(route_class=TransactionalRoute, tags=["me"])


@router.get("/v1/me", summary="My account")
async def read_me(db: ReadDb, cipher: CipherDep, scope: SignedIn) -> MeOut:
    """Read this after each sign-in: it shows the person who is signed in, with the phone in full and the verified
    name, where there is one. The call changes nothing.
    """
    return await queries.get_me(db, cipher, scope)


@router.patch("/v1/me", summary="Declare my party membership", responses=problems(PartyOrgsAdministered))
async def update_me(db: WriteDb, cipher: CipherDep, scope: SignedIn, body: MeUpdate) -> MeOut:
    """The user declares whether they are a member of the party. Only the user can declare it, and the service does not
    check it.

    Only a member of the party can create an org of the party or become an admin of one, so make the declaration before
    either.

    A user who declares that they have left the party may not be an admin of an org of the party. If the user is one,
    the answer is 409 `party-orgs-administered` with the list of these orgs: hand over or leave each of them first.
    """
    await declare_party_member(db, scope, body.party_member)
    return await queries.get_me(db, cipher, scope)


@router.get("/v1/me/sessions", summary="Where I am signed in")
async def list_sessions(db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]) -> Page[SessionOut]:
    """List the live sessions of the user, the newest first, with the program, device and address of each. If one of
    them is not yours, end it with `DELETE /v1/me/sessions/{session_id}`.

    The call changes nothing.
    """
    return await queries.list_sessions(db, scope, paging)


@router.delete("/v1/me/sessions/{session_id}", status_code=204, summary="Sign out one device")
async def delete_session(db: WriteDb, scope: AsOwner, session_id: Annotated[UUID, Path()]) -> None:
    """End one session, for example of a device that was lost. Its tokens are refused from the next call on.

    It may be the session of this call: then sign in again. A session that has ended already answers 404.
    """
    if not await end_session(db, scope.actor, session_id, reason="signed-out", of_user=scope.user_id):
        raise NotFound


@router.delete("/v1/me/sessions", status_code=204, summary="Sign out everywhere")
async def delete_sessions(
    db: WriteDb,
    scope: AsOwner,
    keep_current: Annotated[bool, Query(description="Leave the session of this call.")] = False,
) -> None:
    """End all sessions of the user at once, for example when a stranger may have signed in. `keep_current` leaves the
    session of this call.

    All tokens of the ended sessions are refused from the next call on.
    """
    current = scope.session_id if keep_current else None
    await end_sessions(db, scope.actor, scope.user_id, reason="signed-out", except_session=current)


@router.post(
    "/v1/me/verifications",
    status_code=201,
    summary="Verify my real name",
    responses=problems(AlreadyVerified, IdNumberTaken, VerificationOpen, TooManyRequests, AlipayUnavailable),
)
async def create_verification(
    request: Request, response: Response, db: WriteDb, cipher: CipherDep, scope: AsOwner, body: VerificationCreate
) -> VerificationOut:
    """Call this before creating an org or becoming an admin; other users need no verification. There are two ways.

    - `alipay`: open `redirect_url` within 30 minutes. The result is there as soon as the person has consented.
    - `id-card`: a platform operator reviews name and number. Read the verification until it is approved or
      rejected.

    One ID card verifies one account. A rejected attempt can be repeated.
    """
    if isinstance(body, AlipayVerificationCreate):
        provider = ALIPAY.get(request)
        if provider is None:
            raise AlipayUnavailable
        started, reference = await begin_alipay_verification(db, scope)
        made = started.model_copy(update={"redirect_url": provider.build_redirect_url(reference)})
    else:
        made = await submit_id_card(db, cipher, scope, VerifiedPerson(body.name, body.id_number))
    set_location(response, f"/v1/me/verifications/{made.id}")
    return made


@router.get("/v1/me/verifications", summary="My verifications")
async def list_verifications(
    db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[VerificationOut]:
    """List all attempts to verify the user's real name, the newest first, each with its state. The call changes
    nothing."""
    return await queries.list_verifications(db, scope, paging)


@router.get("/v1/me/verifications/{verification_id}", summary="One of my verifications")
async def read_verification(db: ReadDb, scope: SignedIn, verification_id: Annotated[UUID, Path()]) -> VerificationOut:
    """Read this until the attempt is decided. Its state is `started`, `submitted`, `under-review`, `approved` or
    `rejected`; a rejected one has a reason.

    The call changes nothing. After a rejection begin a new one with `POST /v1/me/verifications`.
    """
    return await queries.get_verification(db, scope, verification_id)


@router.post(
    "/v1/verifications/alipay-callback",
    summary="Result from Alipay",
    dependencies=[Public],
    response_model=None,
    responses=problems(BadRequest, BadSignature, AlipayUnavailable),
    openapi_extra=describe_form(
        "out_request_no",
        "passed",
        "sign",
        out_request_no="Our reference of the verification.",
        passed="`T` or `F`.",
        cert_name="The person's name.",
        cert_no="Their ID number.",
        sign_type="How it is signed.",
        sign="The signature over all other fields.",
    ),
)
async def alipay_callback(request: Request, db: WriteDb, cipher: CipherDep, form: PlainForm) -> dict[str, str]:
    """Alipay reports the result of a verification: the person has consented or declined. Only Alipay makes this call.
    A call without a valid signature is refused.

    The result approves or rejects the verification. A result that arrives twice counts once.
    """
    provider = ALIPAY.get(request)
    if provider is None:
        raise AlipayUnavailable
    await complete_alipay_verification(db, cipher, build_actor(request), provider.read_notification(form))
    return {"result": "success"}
