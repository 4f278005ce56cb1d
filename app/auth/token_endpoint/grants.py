"""The grants of the token endpoint."""

from dataclasses import replace

from fastapi import Response
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse

from app.auth.accounts.accounts import AccountUsed, give_up_phone
from app.auth.accounts.registration import UserAccount, find_or_register_user
from app.auth.device_flow.authorizations import redeem_device_code
from app.auth.oauth.grant_types import GRANTS, GrantType
from app.auth.oauth.protocol import NO_STORE, OAuthError, build_invalid_grant, build_invalid_request, require_parameter
from app.auth.oauth.token_requests import TokenRequest
from app.auth.phone_codes.codes import CodeCheck, GivenCode, Purpose, check_phone_code
from app.auth.recoveries.sign_ins import find_sign_in, finish_sign_in, start_sign_in
from app.auth.recovery_states import RecoveryState
from app.auth.sessions import TokenOut, refresh_session, start_session
from app.core.phones import Phone

_PHONE: TypeAdapter[str] = TypeAdapter(Phone)


async def issue_tokens(request: TokenRequest) -> Response:
    """Return the tokens for the requested grant type.

    An OAuth error is raised, or is the returned response if the transaction must commit.
    """
    try:
        kind = GrantType(require_parameter(request.form, "grant_type"))
    except ValueError:
        raise OAuthError("unsupported_grant_type", "this grant type is not known") from None
    if kind not in GRANTS[request.client.kind]:
        raise OAuthError("unauthorized_client", "this client may not use this grant type")
    match kind:
        case GrantType.PHONE_CODE:
            outcome = await redeem_phone_code(request)
        case GrantType.REAL_NAME:
            outcome = await redeem_proof_token(request)
        case GrantType.DEVICE_CODE:
            outcome = await redeem_device_code(request)
        case GrantType.REFRESH_TOKEN:
            outcome = await refresh_session(
                request.db,
                request.issuer,
                request.actor,
                request.client,
                require_parameter(request.form, "refresh_token"),
                wanted=request.form.get("scope", ""),
            )
        case GrantType.CLIENT_CREDENTIALS:
            outcome = await _issue_service_token(request)
    if isinstance(outcome, OAuthError):
        return outcome.build_response()
    return JSONResponse(outcome.model_dump(exclude_none=True), headers=NO_STORE)


async def redeem_phone_code(request: TokenRequest) -> TokenOut | OAuthError:
    """Return tokens for the code of a phone, and register an unknown phone.

    A refusal is returned, not raised, so that the attempt counts. Raises OAuthError for an invalid form.
    """
    try:
        phone = _PHONE.validate_python(require_parameter(request.form, "phone"))
    except ValidationError:
        raise build_invalid_request("phone is not a mobile number") from None
    scopes = request.client.choose_scopes(request.form)
    checked = await check_phone_code(
        request.db,
        request.cipher,
        request.actor,
        phone=phone,
        purpose=Purpose.SIGN_IN,
        given=GivenCode(require_parameter(request.form, "handle"), require_parameter(request.form, "code")),
    )
    if checked is not CodeCheck.RIGHT:
        return build_invalid_grant("the code is wrong, used or expired")
    account = await find_or_register_user(request.db, request.cipher, request.actor, phone)
    if account.status == "active" and account.is_silent:
        token = await start_sign_in(request.db, request.cipher, request.actor, account.id, phone)
        description = "the account was not used for a long time: prove its real name, or begin another account"
        return OAuthError("real_name_needed", description, proof_token=token)
    return await _start_session(request, account, scopes)


async def redeem_proof_token(request: TokenRequest) -> TokenOut | OAuthError:
    """Return tokens for a sign-in whose real name was proved, or with `new_account` for a new account of the person
    with the phone. The account that had the phone then loses it.

    Raises OAuthError if the proof waits or was refused, or if the phone belongs to another account by now.
    """
    db, cipher, scopes = request.db, request.cipher, request.client.choose_scopes(request.form)
    sign_in = await find_sign_in(db, require_parameter(request.form, "proof_token"))
    if sign_in is None:
        raise build_invalid_grant("the proof token is unknown or used")
    if sign_in.expired:
        raise OAuthError("expired_token", "the proof token has expired")
    begins_own = request.form.get("new_account") == "true"
    if sign_in.state == RecoveryState.REFUSED and not begins_own:
        raise OAuthError("access_denied", "the real name is not that of the account, or the proof was refused")
    if sign_in.state == RecoveryState.PROVING and not begins_own:
        raise OAuthError("authorization_pending", "the real name is not proved yet")
    phone = cipher.decrypt_text(sign_in.phone_cipher, sign_in.id)
    account = await find_or_register_user(db, cipher, request.actor, phone)
    if account.status != "active":
        raise build_invalid_grant("the account is disabled")
    has_changed = build_invalid_grant("the account of this phone has changed: begin the sign-in again")
    outcome = "own-account" if begins_own else "same-person"
    if account.id != sign_in.account_id or not await finish_sign_in(db, request.actor, sign_in, outcome):
        raise has_changed
    if begins_own:
        try:
            await give_up_phone(db, request.actor, account.id)
        except AccountUsed:
            raise has_changed from None
        account = await find_or_register_user(db, cipher, request.actor, phone)
    return await _start_session(request, account, scopes)


async def _start_session(request: TokenRequest, account: UserAccount, scopes: frozenset[str]) -> TokenOut | OAuthError:
    if account.status != "active":
        return build_invalid_grant("the account is disabled")
    actor = replace(request.actor, user_id=account.id)
    return await start_session(
        request.db,
        request.issuer,
        actor,
        request.client,
        account.id,
        methods=["sms"],
        device=request.device,
        scopes=scopes,
    )


async def _issue_service_token(request: TokenRequest) -> TokenOut:
    wanted = request.client.choose_scopes(request.form)
    token = await request.issuer.issue(request.client.id, client_id=request.client.id, scopes=wanted)
    return TokenOut(access_token=token, scope=" ".join(sorted(wanted)))
