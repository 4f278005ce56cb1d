"""One's security keys, and proving one in this session."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from app.auth.accounts.queries import get_me
from app.auth.errors import EnrolmentNeeded, FreshSignInNeeded, NoSecurityKey, SecurityKeyRefused, SecurityKeyTaken
from app.auth.security_keys import keys
from app.auth.security_keys.keys import (
    KeyAnswer,
    RelyingParty,
    check_key,
    make_challenge,
    register_key,
    remove_key,
    rename_key,
)
from app.auth.security_keys.schemas import (
    SecurityKeyChallengeCreate,
    SecurityKeyChallengeOut,
    SecurityKeyCheckOut,
    SecurityKeyCheckPut,
    SecurityKeyCreate,
    SecurityKeyOut,
    SecurityKeyUpdate,
)
from app.authz.access import SignedIn
from app.authz.errors import StepUpNeeded
from app.authz.step_up import KEY_LASTS
from app.core.cipher import CipherDep
from app.core.phones import mask
from app.core.services import SETTINGS
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, problem_response, problems

router = APIRouter(route_class=TransactionalRoute, tags=["me"])

KeyId = Annotated[UUID, Path(description="The key.")]


def _party(request: Request) -> RelyingParty:
    return RelyingParty.of(SETTINGS.of(request).issuer)


@router.post(
    "/v1/me/security-key-challenges",
    status_code=201,
    summary="Ask for a security key's challenge",
    responses=problems(NoSecurityKey),
)
async def create_challenge(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, body: SecurityKeyChallengeCreate
) -> SecurityKeyChallengeOut:
    """The options for the browser (WebAuthn). Good for five minutes, for this session and for one answer."""
    me = await get_me(db, cipher, scope)
    challenge = await make_challenge(db, scope, _party(request), body.purpose, mask(me.phone))
    return SecurityKeyChallengeOut.model_validate(challenge)


@router.post(
    "/v1/me/security-keys",
    status_code=201,
    summary="Register a security key",
    response_model=SecurityKeyOut,
    responses=problems(StepUpNeeded, FreshSignInNeeded, EnrolmentNeeded, SecurityKeyRefused, SecurityKeyTaken),
)
async def create_security_key(
    request: Request, db: WriteDb, scope: SignedIn, body: SecurityKeyCreate
) -> SecurityKeyOut | JSONResponse:
    """The first key needs a sign-in not older than 15 minutes, each further one a key proved in that time.

    Register two: with the second one you recover from losing the first.
    """
    answer = KeyAnswer(body.challenge_id, body.credential.model_dump())
    made = await register_key(db, scope, _party(request), answer, name=body.name, enrolment_code=body.enrolment_code)
    return problem_response(request, made) if isinstance(made, SecurityKeyRefused) else made


@router.get("/v1/me/security-keys", summary="My security keys")
async def list_security_keys(
    db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[SecurityKeyOut]:
    """By their names, with when each was last used."""
    return await keys.list_security_keys(db, scope, paging)


@router.patch("/v1/me/security-keys/{key_id}", summary="Rename a security key", responses=problems(NotFound))
async def update_security_key(db: WriteDb, scope: SignedIn, key_id: KeyId, body: SecurityKeyUpdate) -> SecurityKeyOut:
    """The name is for its owner alone."""
    return await rename_key(db, scope, key_id, body.name)


@router.delete(
    "/v1/me/security-keys/{key_id}",
    status_code=204,
    summary="Remove a security key",
    responses=problems(NotFound, StepUpNeeded),
)
async def delete_security_key(db: WriteDb, scope: SignedIn, key_id: KeyId) -> None:
    """Needs any of one's keys to be proved within the last 15 minutes."""
    await remove_key(db, scope, key_id)


@router.put(
    "/v1/me/security-key-check",
    summary="Prove a security key in this session",
    response_model=SecurityKeyCheckOut,
    responses=problems(SecurityKeyRefused),
)
async def put_check(
    request: Request, db: WriteDb, scope: SignedIn, body: SecurityKeyCheckPut
) -> SecurityKeyCheckOut | JSONResponse:
    """What a 401 with `acr_values="urn:xuezu:acr:security-key"` asks for (RFC 9470); then repeat the refused call."""
    answer = KeyAnswer(body.challenge_id, body.credential.model_dump())
    checked = await check_key(db, scope, _party(request), answer)
    if isinstance(checked, SecurityKeyRefused):
        return problem_response(request, checked)
    return SecurityKeyCheckOut(checked_at=checked, good_until=checked + KEY_LASTS)
