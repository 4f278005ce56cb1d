"""The grants of the token endpoint."""

from dataclasses import replace

from fastapi import Response
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse

from app.auth.accounts.registration import find_or_register_user
from app.auth.device_flow.authorizations import redeem_device_code
from app.auth.oauth.grant_types import GRANTS, GrantType
from app.auth.oauth.protocol import NO_STORE, OAuthError, build_invalid_grant, build_invalid_request, require_parameter
from app.auth.oauth.token_requests import TokenRequest
from app.auth.phone_codes.codes import CodeCheck, Purpose, check_phone_code
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
        code=require_parameter(request.form, "code"),
    )
    if checked is not CodeCheck.RIGHT:
        return build_invalid_grant("the code is wrong, used or expired")
    account = await find_or_register_user(request.db, request.cipher, request.actor, phone)
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
