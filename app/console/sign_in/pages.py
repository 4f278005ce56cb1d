"""Signing in to the console: its QR code, the states of its wait, and the session that an approved scan begins.

The page is a client of the device flow as any other (RFC 8628); its secret stays with the server (`sign_in_code`).
"""

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from app.auth.device_flow.authorizations import redeem_device_code
from app.auth.device_flow.events import stream_sign_in_events
from app.auth.device_flow.tickets import WaitingConsoleRow, find_by_device_code
from app.auth.device_flow.watch import WATCH
from app.auth.oauth.protocol import Client, OAuthError, get_public_client
from app.auth.oauth.token_requests import build_token_request
from app.auth.sessions import TokenOut, end_session
from app.authz.access import Public, SignedIn
from app.authz.cookies import CookieSession, clear_session_cookie, set_session_cookie
from app.authz.tokens import VERIFIER
from app.console.frame.route import ConsoleRoute
from app.console.frame.sign_in_code import CLIENT, PATH, offer_code, secret_of, wait_name
from app.console.frame.templates import page
from app.database.db import ENGINE, Readable, ReadDb, WriteDb
from app.web.errors import NotFound
from app.web.event_stream import STREAMS, EventStream

# Half an hour of waiting; then a person is asked whether anybody is still there.
_RENEWALS = 10

UserCode = Annotated[str, Path(max_length=20)]


router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])
signed_in_router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)


@router.get("/sign-in/code")
async def renew_code(request: Request, renewals: int = 0) -> Response:
    """A new code in place of one that expired or was refused."""
    return await offer_code(request, "sign_in/sign_in_card.html", renewals=min(max(renewals, 0) + 1, _RENEWALS))


@router.get("/sign-in/{user_code}")
async def read_state(request: Request, db: ReadDb, user_code: UserCode, renewals: int = 0) -> Response:
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
    return page(request, "sign_in/sign_in_card.html", **shown)


@router.get("/sign-in/{user_code}/events")
async def stream_state(request: Request, db: ReadDb, user_code: UserCode) -> Response:
    """Events by the name of each state, as they come."""
    row = await _waiting(request, db, user_code)
    return EventStream(stream_sign_in_events(ENGINE.of(request), WATCH.of(request), row.id), STREAMS.of(request))


@router.post("/sign-in/{user_code}")
async def begin_session(request: Request, db: WriteDb, user_code: UserCode) -> Response:
    """The session of an approved scan; the page that stood behind the sign-in is loaded."""
    form = {"client_id": CLIENT, "device_code": secret_of(request, user_code)}
    client = await get_public_client(db, CLIENT)
    outcome = await redeem_device_code(build_token_request(request, db, client, form))
    if isinstance(outcome, OAuthError):
        return page(
            request, "sign_in/sign_in_card.html", state="expired", user_code=user_code, renewals=0, renews=False
        )
    response = Response(status_code=204, headers={"HX-Refresh": "true"})
    set_session_cookie(request, response, ConsoleRoute.cookie, await carried(request, client, outcome))
    response.delete_cookie(wait_name(request), path=f"{PATH}/{user_code}", httponly=True, samesite="strict")
    return response


@signed_in_router.post("/sign-out")
async def end_my_session(request: Request, db: WriteDb, scope: SignedIn) -> Response:
    """Ends the session itself, and takes the cookie along."""
    await end_session(db, scope.actor, scope.session_id, reason="signed-out", of_user=scope.user_id)
    response = Response(status_code=303, headers={"Location": ConsoleRoute.home})
    clear_session_cookie(request, response, ConsoleRoute.cookie)
    return response


async def carried(request: Request, client: Client, tokens: TokenOut) -> CookieSession:
    """What a page's cookie keeps of a session just begun; its tokens are not needed and never leave."""
    token = await VERIFIER.of(request).verify(tokens.access_token)
    now = int(time.time())
    return CookieSession(
        user_id=token.subject,
        session_id=token.session_id,
        client_id=client.id,
        idle_seconds=client.refresh_seconds,
        renewed_at=now,
        ends_at=now + client.session_seconds,
    )


async def _waiting(request: Request, db: Readable, user_code: str) -> WaitingConsoleRow:
    row = await find_by_device_code(db, secret_of(request, user_code))
    if row is None or row.user_code != user_code:
        raise NotFound
    return row


def _veiled(name: str | None) -> str | None:
    """Enough of a name to know one's own by, for whoever looks at the screen."""
    return None if not name else name[0] + "*" * (len(name) - 1)
