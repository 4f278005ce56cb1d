"""The grants of the token endpoint: for what a client gets tokens."""

from dataclasses import replace

from fastapi import Response
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse

from app.auth.accounts.registration import find_or_register_user
from app.auth.device_flow.authorizations import redeem_device_code
from app.auth.oauth.grant_types import GRANTS, GrantType
from app.auth.oauth.protocol import NO_STORE, OAuthError, invalid_grant, invalid_request, require
from app.auth.oauth.token_requests import TokenRequest
from app.auth.phone_codes.codes import CodeCheck, Purpose, check_phone_code
from app.auth.sessions import TokenOut, refresh_session, start_session
from app.core.phones import Phone

_PHONE: TypeAdapter[str] = TypeAdapter(Phone)


async def grant(asked: TokenRequest) -> Response:
    """Tokens by the grant type asked for, or an OAuth error, raised, or returned where its trace must stay."""
    try:
        kind = GrantType(require(asked.form, "grant_type"))
    except ValueError:
        raise OAuthError("unsupported_grant_type", "this grant type is not known") from None
    if kind not in GRANTS[asked.client.kind]:
        raise OAuthError("unauthorized_client", "this client may not use this grant type")
    match kind:
        case GrantType.PHONE_CODE:
            outcome = await redeem_phone_code(asked)
        case GrantType.DEVICE_CODE:
            outcome = await redeem_device_code(asked)
        case GrantType.REFRESH_TOKEN:
            outcome = await refresh_session(
                asked.db, asked.issuer, asked.actor, asked.client, require(asked.form, "refresh_token")
            )
        case GrantType.CLIENT_CREDENTIALS:
            outcome = await _by_client_credentials(asked)
    if isinstance(outcome, OAuthError):
        return outcome.response()
    return JSONResponse(outcome.model_dump(exclude_none=True), headers=NO_STORE)


async def redeem_phone_code(asked: TokenRequest) -> TokenOut | OAuthError:
    """Tokens for a phone's code, which the first time registers it. A refusal is given back, so that it counts."""
    try:
        phone = _PHONE.validate_python(require(asked.form, "phone"))
    except ValidationError:
        raise invalid_request("phone is not a mobile number") from None
    checked = await check_phone_code(
        asked.db,
        asked.cipher,
        asked.actor,
        phone=phone,
        purpose=Purpose.SIGN_IN,
        code=require(asked.form, "code"),
    )
    if checked is not CodeCheck.RIGHT:
        return invalid_grant("the code is wrong, used or expired")
    account = await find_or_register_user(asked.db, asked.cipher, asked.actor, phone)
    if account.status != "active":
        return invalid_grant("the account is disabled")
    actor = replace(asked.actor, user_id=account.id)
    return await start_session(
        asked.db, asked.issuer, actor, asked.client, account.id, methods=["sms"], device=asked.device
    )


async def _by_client_credentials(asked: TokenRequest) -> TokenOut:
    wanted = frozenset(asked.form.get("scope", "").split()) or asked.client.scopes
    if not wanted <= asked.client.scopes:
        raise OAuthError("invalid_scope", "the client does not hold this scope")
    token = await asked.issuer.issue(asked.client.id, client_id=asked.client.id, scopes=wanted)
    return TokenOut(access_token=token, scope=" ".join(sorted(wanted)))
