"""A page's session: the same session a token speaks for, carried by a sealed, HttpOnly cookie.

Only the routes of pages look at it (they say so with `accept_session_cookie`), so that no other site's form or
script can speak for a browser to the API. The cookie holds no token: it names the session, which is looked up at each
call as any other is, and it lapses when the browser has been idle for as long as the client's refresh tokens last.
"""

import base64
import binascii
import time
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from app.authz.tokens import AccessToken
from app.core.cipher import CIPHER, Undecryptable
from app.core.services import SETTINGS
from app.web.errors import Unauthorized
from app.web.request_state import request_state

_MAXIMUM = 1000
_RENEW_AFTER = 0.05  # of the idle time


class CarriedSession(BaseModel):
    """What the cookie says. Times are seconds since 1970."""

    user_id: UUID
    session_id: UUID
    client_id: str
    idle_seconds: int
    renewed_at: int
    ends_at: int

    @property
    def lapses_at(self) -> int:
        return min(self.renewed_at + self.idle_seconds, self.ends_at)


def accept_session_cookie(request: Request, name: str) -> None:
    """Say of a page's request that its caller may be known by the cookie of this name, and by nothing else."""
    request_state(request).session_cookie = name


def accepts_session_cookie(request: Request) -> bool:
    return request_state(request).session_cookie is not None


def carried_session(request: Request) -> CarriedSession | None:
    """The session that the request's cookie names; None without one, or where it lapsed or is not of ours."""
    name = request_state(request).session_cookie
    assert name is not None
    sealed = request.cookies.get(cookie_name(request, name), "")
    if not sealed or len(sealed) > _MAXIMUM:
        return None
    cipher = CIPHER.of(request)
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        carried = CarriedSession.model_validate_json(cipher.decrypt(raw, name))
    except (binascii.Error, ValueError, ValidationError, IndexError, Undecryptable):
        return None
    return carried if carried.lapses_at > time.time() else None


def token_of_cookie(request: Request) -> AccessToken:
    """What the cookie stands for, in the form that every route is authorized by. Raises Unauthorized."""
    carried = carried_session(request)
    if carried is None:
        raise Unauthorized
    return AccessToken(carried.user_id, carried.session_id, carried.client_id, frozenset(), carried.lapses_at)


def needs_renewal(carried: CarriedSession) -> bool:
    """Whether so much of the idle time has passed that the cookie is to be set anew."""
    return time.time() - carried.renewed_at > carried.idle_seconds * _RENEW_AFTER


def set_session_cookie(request: Request, response: Response, name: str, carried: CarriedSession) -> None:
    """Seal the session into the cookie, for as long as it lasts when nothing more is heard of the browser."""
    carried = carried.model_copy(update={"renewed_at": int(time.time())})
    cipher = CIPHER.of(request)
    sealed = base64.urlsafe_b64encode(cipher.encrypt(carried.model_dump_json(), name)).rstrip(b"=").decode()
    response.set_cookie(
        cookie_name(request, name),
        sealed,
        max_age=carried.lapses_at - carried.renewed_at,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


def clear_session_cookie(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(
        cookie_name(request, name), path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )


def cookie_name(request: Request, name: str) -> str:
    """`__Host-` binds a cookie to this very host over https; on http://localhost browsers refuse the prefix."""
    return f"__Host-{name}" if is_secure(request) else name


def is_secure(request: Request) -> bool:
    issuer: str = SETTINGS.of(request).issuer
    return issuer.startswith("https:")
