"""Sign-in to the console: the QR code, the states of the wait, and the session of an approved scan.

The page is a client of the device flow (RFC 8628). Its device code stays on the server (`sign_in_code`).
"""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from app.auth.device_flow.authorizations import redeem_device_code
from app.auth.device_flow.events import stream_sign_in_events
from app.auth.device_flow.tickets import WaitingConsoleRow, find_state_by_device_code
from app.auth.device_flow.watch import WATCH
from app.auth.oauth.protocol import Client, OAuthError, get_public_client
from app.auth.oauth.token_requests import build_token_request
from app.auth.sessions import TokenOut, end_session
from app.authz.access import Public, SignedIn
from app.authz.cookies import CookieSession, clear_session_cookie, is_secure, set_session_cookie
from app.authz.tokens import VERIFIER
from app.console.frame.route import ConsoleRoute
from app.console.frame.sign_in_code import (
    CLIENT,
    PATH,
    SignInCard,
    build_wait_cookie_name,
    get_device_code,
    show_new_code,
)
from app.console.frame.templates import render_page
from app.core.names import mask_name
from app.database.db import ENGINE, Readable, ReadDb, WriteDb
from app.web.errors import NotFound
from app.web.event_stream import STREAMS, EventStream

# Codes renew themselves for half an hour. After that a user must request a new one.
_RENEWALS = 10

UserCode = Annotated[str, Path(max_length=20)]


router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])
signed_in_router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)


@router.get("/sign-in/code")
async def renew_code(request: Request, renewals: int = 0) -> Response:
    """Show a new code in place of an expired or refused one."""
    return await show_new_code(request, renewals=min(max(renewals, 0) + 1, _RENEWALS))


@router.get("/sign-in/{user_code}")
async def read_state(request: Request, db: ReadDb, user_code: UserCode, renewals: int = 0) -> Response:
    """Show the sign-in card in the present state of its code."""
    row = await _get_waiting(request, db, user_code)
    if row.state == "pending":
        return Response(status_code=204)
    card = SignInCard(
        state=row.state,
        user_code=row.user_code,
        match_number=row.match_number,
        scanner=mask_name(row.scanner) if row.scanner else None,
        renewals=renewals,
        renews=renewals < _RENEWALS,
    )
    return render_page(request, card)


@router.get("/sign-in/{user_code}/events")
async def stream_state(request: Request, db: ReadDb, user_code: UserCode) -> Response:
    """Stream one event for each change of state."""
    row = await _get_waiting(request, db, user_code)
    return EventStream(stream_sign_in_events(ENGINE.get(request), WATCH.get(request), row.id), STREAMS.get(request))


@router.post("/sign-in/{user_code}")
async def begin_session(request: Request, db: WriteDb, user_code: UserCode) -> Response:
    """Start a session after the scan was approved, and load the requested page again."""
    form = {"client_id": CLIENT, "device_code": get_device_code(request, user_code)}
    client = await get_public_client(db, CLIENT)
    outcome = await redeem_device_code(build_token_request(request, db, client, form))
    if isinstance(outcome, OAuthError):
        return render_page(request, SignInCard(state="expired", user_code=user_code))
    response = Response(status_code=204, headers={"HX-Refresh": "true"})
    set_session_cookie(request, response, ConsoleRoute.cookie, await build_cookie_session(request, client, outcome))
    response.delete_cookie(
        build_wait_cookie_name(request),
        path=f"{PATH}/{user_code}",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


@signed_in_router.post("/sign-out")
async def end_my_session(request: Request, db: WriteDb, scope: SignedIn) -> Response:
    """End the session and clear its cookie."""
    await end_session(db, scope.actor, scope.session_id, reason="signed-out", of_user=scope.user_id)
    response = Response(status_code=303, headers={"Location": ConsoleRoute.home})
    clear_session_cookie(request, response, ConsoleRoute.cookie)
    return response


async def build_cookie_session(request: Request, client: Client, tokens: TokenOut) -> CookieSession:
    """Return the cookie's content for a new session. The session's tokens are not needed and never leave the server."""
    token = await VERIFIER.get(request).verify(tokens.access_token)
    now = int(time.time())
    return CookieSession(
        user_id=token.subject,
        session_id=token.session_id,
        client_id=client.id,
        idle_seconds=client.refresh_seconds,
        renewed_at=now,
        ends_at=now + client.session_seconds,
    )


async def _get_waiting(request: Request, db: Readable, user_code: str) -> WaitingConsoleRow:
    row = await find_state_by_device_code(db, get_device_code(request, user_code))
    if row is None or row.user_code != user_code:
        raise NotFound
    return row
