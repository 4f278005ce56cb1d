"""The user's own account, sessions and verifications."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.auth.accounts import queries
from app.auth.accounts.accounts import declare_party_member
from app.auth.accounts.schemas import MeOut, MeUpdate, SessionOut
from app.auth.errors import (
    AlreadyVerified,
    IdNumberTaken,
    MethodNotOffered,
    PartyOrgsAdministered,
    PictureRefused,
    VerificationOpen,
)
from app.auth.sessions import end_session, end_sessions
from app.auth.verification.methods import build_redirect_url, require_method
from app.auth.verification.schemas import MAX_PROOF_BYTES, VerificationCreate, VerificationOut
from app.auth.verification.verifications import begin_verification
from app.authz.access import AsOwner, SignedIn
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, TooManyRequests, problems
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
    max_body_size=MAX_PROOF_BYTES,
    responses=problems(
        AlreadyVerified, IdNumberTaken, VerificationOpen, TooManyRequests, MethodNotOffered, PictureRefused
    ),
)
async def create_verification(
    request: Request, response: Response, db: WriteDb, cipher: CipherDep, scope: AsOwner, body: VerificationCreate
) -> VerificationOut:
    """Call this before creating an org or becoming an admin; other users need no verification. `GET
    /v1/verification-methods` lists the ways.

    - A provider, such as `alipay`: open `redirect_url` for the person in a browser within 30 minutes. There they prove
      that the name and the number are theirs. The result is there as soon as they have.
    - `id-card`: a platform operator compares name and number with the pictures `front` and `back`: each a JPEG or PNG
      of at most 2 MB and 20 million pixels, in base64. Scale them to 2000 pixels a side first. They are stored
      encrypted, shown to the reviewer alone, and deleted with the decision.

    Read the verification until it is approved or rejected. One ID card verifies one account. A rejected attempt can be
    repeated.
    """
    require_method(request, body)
    made, reference = await begin_verification(db, cipher, scope, body)
    set_location(response, f"/v1/me/verifications/{made.id}")
    return made.model_copy(update={"redirect_url": build_redirect_url(request, reference)})


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
