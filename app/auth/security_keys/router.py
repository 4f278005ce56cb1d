"""The user's security keys, and the proof of a key in the current session."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Path, Request, Response
from fastapi.responses import JSONResponse

from app.auth.accounts.accounts import get_phone
from app.auth.accounts.queries import get_me
from app.auth.errors import EnrolmentNeeded, FreshSignInNeeded, NoSecurityKey, SecurityKeyRefused, SecurityKeyTaken
from app.auth.phone_codes.sms import send_notice
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
from app.authz.access import AsOwner, AsPerson, SignedIn
from app.authz.errors import StepUpNeeded
from app.authz.step_up import KEY_PROOF_LIFETIME
from app.core.cipher import CipherDep
from app.core.phones import mask
from app.core.services import SETTINGS
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.sms.messages import Template
from app.web.errors import NotFound, TooManyRequests, build_problem_response, problems
from app.web.locations import set_location

router = APIRouter(route_class=TransactionalRoute, tags=["me"])

KeyId = Annotated[UUID, Path(description="The key.")]


def _build_relying_party(request: Request) -> RelyingParty:
    return RelyingParty.from_issuer(SETTINGS.get(request).issuer)


@router.post(
    "/v1/me/security-key-challenges",
    summary="Ask for a challenge for a security key",
    responses=problems(NoSecurityKey, TooManyRequests),
)
async def create_challenge(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsPerson, body: SecurityKeyChallengeCreate
) -> SecurityKeyChallengeOut:
    """Create a challenge. This is the first step of registering or proving a security key. Give the options of the
    answer to the browser's `navigator.credentials` (WebAuthn).

    The challenge is valid for five minutes, for this session and for one attempt. A user gets some thirty at once, then
    three a minute: after a 429, wait for the seconds of `Retry-After`. Next, call `POST
    /v1/me/security-keys` to register a key, or `PUT /v1/me/security-key-check` to prove one.
    """
    me = await get_me(db, cipher, scope)
    challenge = await make_challenge(db, scope, _build_relying_party(request), body.purpose, mask(me.phone))
    return SecurityKeyChallengeOut.model_validate(challenge)


@router.post(
    "/v1/me/security-keys",
    status_code=201,
    summary="Register a security key",
    response_model=SecurityKeyOut,
    responses=problems(StepUpNeeded, FreshSignInNeeded, EnrolmentNeeded, SecurityKeyRefused, SecurityKeyTaken),
)
async def create_security_key(
    request: Request,
    response: Response,
    db: WriteDb,
    cipher: CipherDep,
    scope: AsOwner,
    body: SecurityKeyCreate,
    tasks: BackgroundTasks,
) -> SecurityKeyOut | JSONResponse:
    """Register a security key. This is the second step: send the result of the browser's
    `navigator.credentials.create`. Register two keys, so that you can still sign in after you have lost one.

    The first key needs a sign-in in the last 15 minutes; an operator's first key also needs the enrolment code. For
    each further key, prove a registered key first; that proof is valid for 15 minutes. A challenge can be used once:
    if the new key is refused, request a new challenge. A message and an SMS tell the user of the new key.
    """
    answer = KeyAnswer(body.challenge_id, body.credential.model_dump())
    result = await register_key(
        db, scope, _build_relying_party(request), answer, name=body.name, enrolment_code=body.enrolment_code
    )
    if isinstance(result, SecurityKeyRefused):
        return build_problem_response(request, result)
    send_notice(request, tasks, await get_phone(db, cipher, scope.user_id), Template.KEY_ADDED)
    set_location(response, f"/v1/me/security-keys/{result.id}")
    return result


@router.get("/v1/me/security-keys", summary="My security keys")
async def list_security_keys(
    db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[SecurityKeyOut]:
    """List the security keys of the user, with their names and the time of their last use. Remove a key that is lost.
    The call changes nothing."""
    return await keys.list_security_keys(db, scope, paging)


@router.get("/v1/me/security-keys/{key_id}", summary="Read a security key", responses=problems(NotFound))
async def read_security_key(db: ReadDb, scope: SignedIn, key_id: KeyId) -> SecurityKeyOut:
    """Read one security key of the user, with its name and the time of its last use. The call changes nothing."""
    return await keys.get_security_key(db, scope, key_id)


@router.patch("/v1/me/security-keys/{key_id}", summary="Rename a security key", responses=problems(NotFound))
async def update_security_key(db: WriteDb, scope: AsOwner, key_id: KeyId, body: SecurityKeyUpdate) -> SecurityKeyOut:
    """Give a key another name, so that its owner recognises it. Only the owner sees the name."""
    return await rename_key(db, scope, key_id, body.name)


@router.delete(
    "/v1/me/security-keys/{key_id}",
    status_code=204,
    summary="Remove a security key",
    responses=problems(NotFound, StepUpNeeded),
)
async def delete_security_key(db: WriteDb, scope: AsOwner, key_id: KeyId) -> None:
    """Remove a key that is lost or no longer used. The key can prove nothing from now on, and what it has proved ends:
    such a session needs the proof of another key.

    Prove one of your keys first; the proof is valid for 15 minutes. After the last key is removed, sign in again
    before you register another one.
    """
    await remove_key(db, scope, key_id)


@router.put(
    "/v1/me/security-key-check",
    summary="Prove a security key in this session",
    response_model=SecurityKeyCheckOut,
    responses=problems(SecurityKeyRefused),
)
async def put_check(
    request: Request, db: WriteDb, scope: AsPerson, body: SecurityKeyCheckPut
) -> SecurityKeyCheckOut | JSONResponse:
    """Call this when another call has answered 401 `security-key-needed` (`acr_values="urn:xuezu:acr:security-key"`,
    RFC 9470). Get a challenge first, and send what the browser got from the key.

    The session counts as proved from now on: repeat the call that was refused. Where the key is refused, get a new
    challenge and use a registered key.
    """
    answer = KeyAnswer(body.challenge_id, body.credential.model_dump())
    checked = await check_key(db, scope, _build_relying_party(request), answer)
    if isinstance(checked, SecurityKeyRefused):
        return build_problem_response(request, checked)
    return SecurityKeyCheckOut(checked_at=checked, good_until=checked + KEY_PROOF_LIFETIME)
