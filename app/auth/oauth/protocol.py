"""The parts that all OAuth endpoints share: form bodies, errors and client authentication.

Standard clients do not accept problem+json here. An error is `{"error", "error_description"}` in application/json
(RFC 6749 §5.2), and no cache may store a response.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Depends, Request, Response
from pydantic import Field
from sqlalchemy import bindparam, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from app.authz.origin import is_foreign_origin
from app.authz.person_address import adopt_person_address, is_app_back_end, is_confidential
from app.authz.scopes import OWN_SCOPES
from app.core.cipher import hash_secret
from app.core.i18n import gettext_in
from app.core.text import contains_refused_characters
from app.database.db import Handler, TransactionalRoute
from app.schema.sign_in import ClientSecret, OAuthClient
from app.web.errors import BadRequest, Problem
from app.web.request_state import get_request_state
from app.web.schemas import Out

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MAX_LENGTH = 16_384
_FORM = "application/x-www-form-urlencoded"
_PENDING_ERRORS = {"authorization_pending", "slow_down"}  # Answers to a client that waits; they are no refusals.


class OAuthErrorOut(Out):
    """An OAuth error (RFC 6749 §5.2)."""

    error: str = Field(description="Stable code.", examples=["invalid_grant"])
    error_description: str = Field(description="For the developer, in English.")
    proof_token: str | None = Field(
        default=None, description="Only with `real_name_needed`: the secret for the proof and the real-name grant."
    )


class OAuthError(Exception):
    """An error of an OAuth endpoint, with further `members` of its body. If it is raised, the transaction is rolled
    back. If the transaction must commit, return its `build_response()` instead."""

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        **members: str,
    ) -> None:
        super().__init__(error)
        self.members = members
        self.error = error
        self.description = description
        self.status = status
        self.headers = dict(headers or {})

    def build_response(self) -> "OAuthErrorResponse":
        return OAuthErrorResponse(self)


class OAuthErrorResponse(JSONResponse):
    """The response of an OAuthError, with its error code."""

    def __init__(self, error: OAuthError) -> None:
        body = {"error": error.error, "error_description": error.description} | error.members
        super().__init__(body, error.status, NO_STORE | error.headers)
        self.error = error.error


def build_invalid_request(description: str) -> OAuthError:
    return OAuthError("invalid_request", description)


def build_invalid_grant(description: str) -> OAuthError:
    return OAuthError("invalid_grant", description)


def build_invalid_scope() -> OAuthError:
    return OAuthError("invalid_scope", "the scope is unknown, or the client does not have it")


class OAuthRoute(TransactionalRoute):
    """A route that answers every error in the form of OAuth (RFC 6749 §5.2)."""

    def wrap_handler(self, handler: Handler) -> Handler:
        handler = super().wrap_handler(handler)

        async def answer_in_oauth_form(request: Request) -> Response:
            try:
                response: Response = await handler(request)
            except OAuthError as error:
                response = error.build_response()
            except Problem as problem:
                code = "temporarily_unavailable" if problem.status in (429, 503) else "invalid_request"
                title = gettext_in("en", problem.title)
                status = 400 if problem.status in (415, 422) else problem.status
                response = OAuthError(code, title, status=status, headers=problem.headers).build_response()
            except HTTPException as error:
                status = 413 if error.status_code == 413 else 400
                response = OAuthError("invalid_request", "unreadable", status=status).build_response()
            if isinstance(response, OAuthErrorResponse) and response.error not in _PENDING_ERRORS:
                get_request_state(request).refusal = response.error
            return response

        return answer_in_oauth_form


async def _read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the form body, including unknown ones (RFC 6749 §3.2).

    An empty parameter counts as absent. Raises OAuthError for a repeated parameter or an unreadable body.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise build_invalid_request(f"the body must be {_FORM}")
    if request.url.query:
        raise build_invalid_request("parameters go into the body")
    body = await request.body()
    if len(body) > _MAX_LENGTH:
        raise OAuthError("invalid_request", "the body is too large", status=413)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise build_invalid_request("the body is not a form of UTF-8") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise build_invalid_request("a parameter is given twice")
    if any(contains_refused_characters(text) for pair in pairs for text in pair):
        raise build_invalid_request("a parameter contains control characters")
    return {name: value for name, value in form.items() if value}


Form = Annotated[dict[str, str], Depends(_read_form)]


async def _read_plain_form(request: Request) -> dict[str, str]:
    """Return the parameters of the form body. Raises BadRequest where `_read_form` raises OAuthError."""
    try:
        return await _read_form(request)
    except OAuthError:
        raise BadRequest from None


PlainForm = Annotated[dict[str, str], Depends(_read_plain_form)]
"""A form body of a route outside OAuth: an unreadable body is a problem (BadRequest)."""


def require_parameter(form: Mapping[str, str], name: str) -> str:
    """Return a parameter of the form. Raises OAuthError (invalid_request) if it is missing."""
    value = form.get(name)
    if value is None:
        raise build_invalid_request(f"{name} is missing")
    return value


def describe_form(*required: str, **properties: str) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads a Form: parameter names with their descriptions."""
    shown = {name: {"type": "string", "maxLength": 4000, "description": about} for name, about in properties.items()}
    schema = {"type": "object", "properties": shown, "required": list(required)}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema}}}}


_BAD_REQUESTS: Mapping[str, str] = {
    "invalid_request": "A parameter is missing, given twice or not readable. Correct what `error_description` names.",
    "invalid_grant": "The code, secret or token is wrong, used or expired. Begin the sign-in again.",
    "unsupported_grant_type": "The service does not know this `grant_type`. Use one that the metadata lists.",
    "unsupported_token_type": "A service's token ends by itself. Let an operator revoke the client instead.",
    "unauthorized_client": "The client may not use this grant type. Use the one that its program is registered for.",
    "invalid_scope": "The client does not have the scope. Request fewer, or ask a platform operator to grant it.",
    "authorization_pending": "The person has not decided yet, or their real name is not proved yet. Ask again after "
    "`interval` seconds (of a real name: five).",
    "real_name_needed": "The account of this phone is verified and was not used for 180 days. With the `proof_token` "
    "prove the real name (`POST /v1/sign-in-proofs`), or begin another account; then use the real-name grant.",
    "slow_down": "The client asks too often. Wait five seconds longer from now on.",
    "access_denied": "The person has refused the sign-in, or their real name is not that of the account. Show a new "
    "code only if the person wants one.",
    "expired_token": "The code or the proof token has expired. Begin the sign-in again.",
}
_OTHERS: Mapping[int, str] = {
    401: "- `invalid_client`: The client is unknown or revoked, or its secret is wrong. Check both.",
    413: "- `invalid_request`: The body is too large. Send only the parameters that are listed here.",
    429: "- `temporarily_unavailable`: Too many requests. Wait for the seconds of `Retry-After`.",
    503: "- `temporarily_unavailable`: The service cannot answer now. Try again after `Retry-After`.",
}
"""The meaning of each error and the reaction of the client (RFC 6749 §5.2, RFC 7009 §2.2.1, RFC 8628 §3.5)."""


def describe_oauth_errors(*statuses: int, bad_requests: Sequence[str] = ()) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of an OAuth route that answers errors with these statuses, and with these codes as 400.

    Each route answers `invalid_request`.
    """
    described = [f"- `{code}`: {_BAD_REQUESTS[code]}" for code in ("invalid_request", *bad_requests)]
    texts = {400: "\n".join(described)} | {status: _OTHERS[status] for status in statuses}
    return {status: {"model": OAuthErrorOut, "description": text} for status, text in texts.items()}


@dataclass(frozen=True, slots=True)
class Client:
    """The authenticated client. Public clients authenticate with their id, confidential ones also with a secret."""

    id: str
    name: str
    kind: str
    scopes: frozenset[str]
    refresh_seconds: int
    session_seconds: int

    @property
    def has_all_scopes(self) -> bool:
        """Return whether the client is an app or the console, which have all scopes of a person."""
        return self.kind in ("app", "console")

    def choose_scopes(self, form: Mapping[str, str]) -> frozenset[str]:
        """Return the scopes that the form requests, or all scopes of the client if it requests none (RFC 6749 §3.3).

        Raises OAuthError (invalid_scope) for an unknown scope and for one that the client does not have.
        """
        allowed = OWN_SCOPES if self.has_all_scopes else self.scopes
        wanted = frozenset(form.get("scope", "").split()) or allowed
        if not wanted <= allowed:
            raise build_invalid_scope()
        return wanted


_has_valid_secret = exists().where(
    ClientSecret.client_id == OAuthClient.id,
    ClientSecret.secret_hash == bindparam("secret_hash"),
    or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > func.now()),
)
_LIVE_CLIENT = select(
    OAuthClient.id,
    OAuthClient.name,
    OAuthClient.kind,
    OAuthClient.scopes,
    OAuthClient.refresh_seconds,
    OAuthClient.session_seconds,
    _has_valid_secret.label("proved"),
).where(OAuthClient.id == bindparam("client_id"), OAuthClient.revoked_at.is_(None))


async def _find_client(db: AsyncConnection, client_id: str, secret: str | None) -> Client | None:
    given = {"client_id": client_id, "secret_hash": hash_secret(secret or "")}
    row = (await db.execute(_LIVE_CLIENT, given)).one_or_none()
    if row is None:
        return None
    # A confidential client needs its secret. A public one has none, so one that authenticates is refused, also with an
    # empty secret: a client that does not know where its id belongs (golang.org/x/oauth2) tries HTTP Basic before the
    # body.
    confidential = is_confidential(row.id, row.kind)
    if row.proved != confidential or (not confidential and secret is not None):
        return None
    return Client(row.id, row.name, row.kind, frozenset(row.scopes), row.refresh_seconds, row.session_seconds)


async def authenticate_client(db: AsyncConnection, request: Request, form: Mapping[str, str]) -> Client:
    """Authenticate the client of the request and return it (RFC 6749 §2.3.1).

    A public client sends only its `client_id`. Any other client also sends its secret, in HTTP Basic or in the body.
    The address that the back end of an app names is that of the request from now on. Raises OAuthError, and
    UnreadablePersonAddress.
    """
    authorization = request.headers.get("authorization")
    headers: dict[str, str] = {}
    secret: str | None
    if authorization is not None:
        headers = {"WWW-Authenticate": 'Basic realm="xuezu", charset="UTF-8"'}
        if "client_secret" in form:
            raise build_invalid_request("the client authenticates in two ways at once")
        client_id, secret = _parse_basic_credentials(authorization)
        if form.get("client_id", client_id) != client_id:
            raise build_invalid_request("two client ids")
    else:
        client_id, secret = require_parameter(form, "client_id"), form.get("client_secret")
    client = await _find_client(db, client_id, secret)
    if client is None:
        raise OAuthError(
            "invalid_client", "the client is not known by this name and secret", status=401, headers=headers
        )
    if is_app_back_end(client.id, client.kind):
        adopt_person_address(request)
    return client


async def get_public_client(db: AsyncConnection, client_id: str) -> Client:
    """Return a client without a secret by its id. Raises OAuthError."""
    client = await _find_client(db, client_id, None)
    if client is None:
        raise OAuthError("invalid_client", "the client is not known by this name", status=401)
    return client


def _parse_basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        client_id, client_secret = (unquote_plus(part, errors="strict") for part in (name, secret))
    except (binascii.Error, ValueError):
        raise build_invalid_request("the Authorization header cannot be read") from None
    if not colon or contains_refused_characters(client_id + client_secret):
        raise build_invalid_request("the Authorization header cannot be read")
    return client_id, client_secret


def refuse_foreign_origin(request: Request) -> None:
    """Raise OAuthError for a browser's cross-origin request: pages of other sites may not use these endpoints."""
    if is_foreign_origin(request):
        raise build_invalid_request("requests of other origins are refused")
