"""Sign-in by OAuth: discovery, keys, tokens, revocation. Errors have the form of OAuth."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.auth.oauth.grant_types import GRANTS, GrantType
from app.auth.oauth.protocol import (
    Form,
    OAuthRoute,
    authenticate_client,
    describe_form,
    describe_oauth_errors,
    refuse_foreign_origin,
    require_parameter,
)
from app.auth.oauth.token_requests import build_token_request
from app.auth.sessions import TokenOut, revoke_token
from app.auth.token_endpoint.grants import issue_tokens
from app.authz.access import Public, build_actor
from app.authz.scopes import describe_scopes
from app.authz.step_up import SECURITY_KEY_ACR
from app.authz.tokens import SIGNING_KEYS, VERIFIER, build_audience
from app.core.services import SETTINGS
from app.database.db import WriteDb
from app.web.errors import RESOURCE_METADATA

router = APIRouter(route_class=OAuthRoute, tags=["sign-in"], dependencies=[Public])

_GRANT_FORM = {
    "grant_type": "One of: " + ", ".join(f"`{kind}`" for kind in GrantType),
    "client_id": "Public clients name themselves here; services may use HTTP Basic.",
    "client_secret": "Services only, where they do not use HTTP Basic.",
    "phone": "Phone-code grant: the phone.",
    "code": "Phone-code grant: the six digits it was sent.",
    "handle": "Phone-code grant: the `handle` of the answer of `POST /v1/phone-codes`.",
    "proof_token": "Real-name grant: the secret of the answer `real_name_needed`.",
    "new_account": "Real-name grant: `true` begins an account of the person's own. The other one loses the phone.",
    "device_code": "Device grant: the secret of the device authorization.",
    "refresh_token": "Refresh grant: the newest refresh token.",
    "scope": "Only these of the client's scopes, with blanks between them. Refresh grant: only these of the session's.",
}


@router.get(
    "/.well-known/oauth-authorization-server",
    summary="Addresses for an OAuth client (RFC 8414)",
    responses=describe_oauth_errors(),
)
async def metadata(request: Request) -> dict[str, Any]:
    """Read this once, before the first sign-in: it names every other address. A standard OAuth client needs nothing
    but this address and its client id.

    The call changes nothing, and no token is needed.
    """
    issuer = SETTINGS.get(request).issuer
    methods = ["none", "client_secret_basic", "client_secret_post"]
    # A claim without values is omitted (RFC 8414 §3.2), and so is `response_types_supported`: no page signs people in.
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth/token",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "grant_types_supported": sorted({kind for kinds in GRANTS.values() for kind in kinds}),
        "scopes_supported": sorted(describe_scopes()),
        "acr_values_supported": [SECURITY_KEY_ACR],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "service_documentation": f"{issuer}/docs",
    }


@router.get(
    RESOURCE_METADATA,
    summary="Addresses for a caller of the API (RFC 9728)",
    responses=describe_oauth_errors(),
)
async def resource_metadata(request: Request) -> dict[str, Any]:
    """Read this to find out where tokens for the API come from and which scopes they can have.

    Nothing is changed, and no token is needed.
    """
    issuer = SETTINGS.get(request).issuer
    return {
        "resource": build_audience(issuer),
        "resource_name": "Xuezu 学组",
        "authorization_servers": [issuer],
        "jwks_uri": f"{issuer}/oauth/jwks",
        "scopes_supported": sorted(describe_scopes()),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer}/docs",
    }


@router.get("/oauth/jwks", summary="Public keys of the access tokens (RFC 7517)", responses=describe_oauth_errors())
async def jwks(request: Request, response: Response) -> dict[str, list[dict[str, str]]]:
    """List the public keys with which a service checks access tokens. They are the key that signs now, the key that
    will sign next, and each earlier key until its last token has expired.

    Cache the answer as long as `Cache-Control` allows. If a token names a key that you do not have, read the list
    again.
    """
    keys = SIGNING_KEYS.get(request)
    response.headers["Cache-Control"] = "public, max-age=60"
    return await keys.build_jwks()


@router.post(
    "/oauth/token",
    summary="Get tokens (RFC 6749)",
    response_model=TokenOut,
    responses=describe_oauth_errors(
        401,
        413,
        429,
        503,
        bad_requests=(
            *("invalid_grant", "unsupported_grant_type", "unauthorized_client", "invalid_scope"),
            *("authorization_pending", "slow_down", "access_denied", "expired_token", "real_name_needed"),
        ),
    ),
    openapi_extra=describe_form("grant_type", **_GRANT_FORM),
)
async def token(request: Request, db: WriteDb, form: Form) -> Response:
    """Get tokens. Every sign-in ends with this call: send the code of a phone with its handle, the secret of an
    approved scan, a refresh token, or a service's own credentials. The answer is an access token and, for a person, a
    refresh token.

    - A phone's code starts a session. The first time, it also registers the phone.
    - A scan's secret is polled every `interval` seconds: `authorization_pending` means that the person has not
      decided.
    - A refresh token works once and is replaced by the one in the answer. If an answer is lost, repeat the call within
      ten seconds from the same address. A used refresh token that is sent later, or from elsewhere, ends the session.

    The answer's `scope` names the scopes of the token. An unknown scope is `invalid_scope`.

    If the answer is `invalid_grant`, do not repeat the call: begin the sign-in again.
    """
    refuse_foreign_origin(request)
    client = await authenticate_client(db, request, form)
    return await issue_tokens(build_token_request(request, db, client, form))


@router.post(
    "/oauth/revoke",
    summary="Sign out by a token (RFC 7009)",
    responses=describe_oauth_errors(401, 413, 503, bad_requests=["unsupported_token_type"]),
    openapi_extra=describe_form(
        "token",
        token="A refresh or access token: its whole session ends.",
        token_type_hint="Not needed.",
        client_id=_GRANT_FORM["client_id"],
        client_secret=_GRANT_FORM["client_secret"],
    ),
)
async def revoke(request: Request, db: WriteDb, form: Form) -> Response:
    """Call this when the person signs out: it ends the whole session of the token, with all of its tokens. The next
    call with any of them answers 401.

    A token that is unknown, expired or ended already is answered 200 as well, so the call can be repeated.
    """
    refuse_foreign_origin(request)
    client = await authenticate_client(db, request, form)
    actor = build_actor(request, client_id=client.id)
    await revoke_token(db, VERIFIER.get(request), actor, client, require_parameter(form, "token"))
    return Response(status_code=200)
