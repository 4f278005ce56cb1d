"""Signing in to the console: its QR code, the states of its wait, and the session that an approved scan begins.

The page is a client of the device flow as any other (RFC 8628), but for one thing: its secret never reaches the
script. It lies sealed in a cookie for the path of its own code, so that two tabs wait for two scans.
"""

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from markupsafe import Markup

from app.auth.access import Public, SignedIn, actor_of
from app.auth.device_authorizations import Started, redeem_device_code, start_device_authorization
from app.auth.device_router import scan_uri
from app.auth.device_tickets import find_waiting
from app.auth.devices import device_of
from app.auth.oauth import Client, OAuthError, get_public_client
from app.auth.session_cookies import CarriedSession, clear_session_cookie, is_secure, set_session_cookie
from app.auth.sessions import TokenOut, end_session
from app.auth.sign_in_events import sign_in_events
from app.auth.token_requests import token_request
from app.cipher import Cipher, Undecryptable
from app.console.page_route import PageRoute
from app.console.rendering import page
from app.db import Db
from app.errors import NotFound
from app.qr import draw_svg

CLIENT = "xuezu-console"
WAIT = "xuezu-console-wait"
_PATH = "/console/sign-in"
# Half an hour of waiting; then a person is asked whether anybody is still there.
_RENEWALS = 10

UserCode = Annotated[str, Path(max_length=20)]


class ConsoleRoute(PageRoute):
    cookie = "xuezu-console"
    home = "/console/"

    @staticmethod
    async def sign_in(request: Request) -> Response:
        return await _offer_code(request, "sign_in.html", renewals=0)


router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])
signed_in_router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)


async def _offer_code(request: Request, template: str, *, renewals: int) -> Response:
    """A new code to scan, shown; its secret in the cookie."""
    async with request.app.state.engine.begin() as db:
        client = await get_public_client(db, CLIENT)
        actor = actor_of(request, client_id=client.id)
        started = await start_device_authorization(db, actor, client, device_of(request))
    picture = await draw_svg(scan_uri(request.app.state.settings.issuer, started.user_code))
    shown = {
        "state": "pending",
        "user_code": started.user_code,
        "qr": Markup(picture.decode()),  # noqa: S704 — drawn here
        "renewals": renewals,
        "supported": _is_supported(request),
    }
    response = page(request, template, **shown)
    _keep_secret(request, response, started)
    return response


@router.get("/sign-in/code")
async def renew_code(request: Request, renewals: int = 0) -> Response:
    """A new code in place of one that expired or was refused."""
    return await _offer_code(request, "sign_in_card.html", renewals=min(max(renewals, 0) + 1, _RENEWALS))


@router.get("/sign-in/{user_code}")
async def read_state(request: Request, db: Db, user_code: UserCode, renewals: int = 0) -> Response:
    """The card as the wait stands now."""
    row = await _waiting(request, db, user_code)
    if row.state == "pending":
        return Response(status_code=204)
    shown: Mapping[str, Any] = {
        "state": row.state,
        "user_code": row.user_code,
        "match_number": row.match_number,
        "scanner": _veiled(row.scanner),
        "renewals": renewals,
        "renews": renewals < _RENEWALS,
    }
    return page(request, "sign_in_card.html", **shown)


@router.get("/sign-in/{user_code}/events")
async def stream_state(request: Request, db: Db, user_code: UserCode) -> Response:
    """Events by the name of each state, as they come."""
    row = await _waiting(request, db, user_code)
    state = request.app.state
    return sign_in_events(state.engine, state.sign_in_watch, row.id)


@router.post("/sign-in/{user_code}")
async def begin_session(request: Request, db: Db, user_code: UserCode) -> Response:
    """The session of an approved scan; the page that stood behind the sign-in is loaded."""
    form = {"client_id": CLIENT, "device_code": _secret(request, user_code)}
    client = await get_public_client(db, CLIENT)
    outcome = await redeem_device_code(token_request(request, db, client, form))
    if isinstance(outcome, OAuthError):
        return page(request, "sign_in_card.html", state="expired", user_code=user_code, renewals=0, renews=False)
    response = Response(status_code=204, headers={"HX-Refresh": "true"})
    set_session_cookie(request, response, ConsoleRoute.cookie, await carried(request, client, outcome))
    response.delete_cookie(_wait_name(request), path=f"{_PATH}/{user_code}", httponly=True, samesite="strict")
    return response


@signed_in_router.post("/sign-out")
async def end_my_session(request: Request, db: Db, scope: SignedIn) -> Response:
    """Ends the session itself, and takes the cookie along."""
    await end_session(db, scope.actor, scope.session_id, reason="signed-out", of_user=scope.user_id)
    response = Response(status_code=303, headers={"Location": ConsoleRoute.home})
    clear_session_cookie(request, response, ConsoleRoute.cookie)
    return response


async def carried(request: Request, client: Client, tokens: TokenOut) -> CarriedSession:
    """What a page's cookie keeps of a session just begun; its tokens are not needed and never leave."""
    token = await request.app.state.tokens.verify(tokens.access_token)
    now = int(time.time())
    return CarriedSession(
        user_id=token.subject,
        session_id=token.session_id,
        client_id=client.id,
        idle_seconds=client.refresh_seconds,
        renewed_at=now,
        ends_at=now + client.session_seconds,
    )


async def _waiting(request: Request, db: Db, user_code: str) -> Any:
    row = await find_waiting(db, _secret(request, user_code))
    if row is None or row.user_code != user_code:
        raise NotFound
    return row


def _wait_name(request: Request) -> str:
    # Not `__Host-`: it holds for the path of its own code alone.
    return f"__Secure-{WAIT}" if is_secure(request) else WAIT


def _keep_secret(request: Request, response: Response, started: Started) -> None:
    cipher: Cipher = request.app.state.cipher
    sealed = cipher.encrypt(started.device_code, f"{WAIT} {started.user_code}")
    response.set_cookie(
        _wait_name(request),
        base64.urlsafe_b64encode(sealed).decode(),
        max_age=started.expires_in + 60,
        path=f"{_PATH}/{started.user_code}",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )


def _secret(request: Request, user_code: str) -> str:
    cipher: Cipher = request.app.state.cipher
    try:
        sealed = base64.urlsafe_b64decode(request.cookies.get(_wait_name(request), ""))
        return cipher.decrypt_text(sealed, f"{WAIT} {user_code}")
    except (binascii.Error, ValueError, IndexError, Undecryptable):
        raise NotFound from None


def _veiled(name: str | None) -> str | None:
    """Enough of a name to know one's own by, for whoever looks at the screen."""
    return None if not name else name[0] + "*" * (len(name) - 1)


def _is_supported(request: Request) -> bool:
    """Whether the browser is one that the console works in: none of Internet Explorer's."""
    agent = request.headers.get("user-agent", "")
    return "MSIE" not in agent and "Trident/" not in agent
