"""The session of a page: the same kind of session as that of a token, named by an encrypted, HttpOnly cookie.

Only page routes read the cookie (they call `accept_session_cookie`), so a form or script of another site cannot use
the API with the browser's session. The cookie contains no token. It contains the session id, and each call looks the
session up in the database. The cookie expires when the browser has been idle for the lifetime of a refresh token.
"""

import base64
import binascii
import time
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from app.authz.scopes import OWN_SCOPES
from app.authz.tokens import AccessToken
from app.core.cipher import CIPHER, Undecryptable
from app.core.services import SETTINGS
from app.web.errors import Unauthorized
from app.web.request_state import get_request_state

_MAX_LENGTH = 1000
_RENEW_AFTER = 0.05  # of the idle time


class CookieSession(BaseModel):
    """The decrypted cookie. Times are seconds since 1970; `idle_seconds` is the lifetime without use."""

    user_id: UUID
    session_id: UUID
    client_id: str
    idle_seconds: int
    renewed_at: int
    ends_at: int

    @property
    def expires_at(self) -> int:
        return min(self.renewed_at + self.idle_seconds, self.ends_at)


def accept_session_cookie(request: Request, name: str) -> None:
    """Accept the cookie of this name, and no other credential, as the authentication of a page's request."""
    get_request_state(request).session_cookie = name


def accepts_session_cookie(request: Request) -> bool:
    return get_request_state(request).session_cookie is not None


def find_cookie_session(request: Request) -> CookieSession | None:
    """Return the session of the request's cookie; None if the cookie is absent, expired or not encrypted by us."""
    name = get_request_state(request).session_cookie
    assert name is not None
    encrypted = request.cookies.get(build_cookie_name(request, name), "")
    if not encrypted or len(encrypted) > _MAX_LENGTH:
        return None
    cipher = CIPHER.get(request)
    try:
        raw = base64.urlsafe_b64decode(encrypted + "=" * (-len(encrypted) % 4))
        session = CookieSession.model_validate_json(cipher.decrypt(raw, name))
    except (binascii.Error, ValueError, ValidationError, IndexError, Undecryptable):
        return None
    return session if session.expires_at > time.time() else None


def read_cookie_token(request: Request) -> AccessToken:
    """Return the cookie's session as an AccessToken with all scopes, the input of every authorization. Raises
    Unauthorized."""
    session = find_cookie_session(request)
    if session is None:
        raise Unauthorized
    return AccessToken(session.user_id, session.session_id, session.client_id, OWN_SCOPES, session.expires_at)


def is_renewal_due(session: CookieSession) -> bool:
    """Return whether enough of the idle time has passed to set the cookie again."""
    return time.time() - session.renewed_at > session.idle_seconds * _RENEW_AFTER


def set_session_cookie(request: Request, response: Response, name: str, session: CookieSession) -> None:
    """Encrypt the session into the cookie, which expires after the idle time or at the end of the session."""
    session = session.model_copy(update={"renewed_at": int(time.time())})
    cipher = CIPHER.get(request)
    encrypted = base64.urlsafe_b64encode(cipher.encrypt(session.model_dump_json(), name)).rstrip(b"=").decode()
    response.set_cookie(
        build_cookie_name(request, name),
        encrypted,
        max_age=session.expires_at - session.renewed_at,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


def clear_session_cookie(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(
        build_cookie_name(request, name), path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )


def build_cookie_name(request: Request, name: str) -> str:
    """Add `__Host-`, which binds a cookie to this host over https. On http://localhost browsers refuse the prefix."""
    return f"__Host-{name}" if is_secure(request) else name


def is_secure(request: Request) -> bool:
    issuer: str = SETTINGS.get(request).issuer
    return issuer.startswith("https:")
