"""The client's calls: requesting a code, showing it and waiting for the scan."""

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Cookie, Depends, Path, Request, Response

from app.auth.device_flow.authorizations import PICTURE_LIMIT, start_device_authorization
from app.auth.device_flow.events import stream_sign_in_events
from app.auth.device_flow.schemas import (
    AuthorizationState,
    DeviceAuthorizationOut,
    SignInStepOut,
    TicketCreate,
    WaitOut,
)
from app.auth.device_flow.tickets import find_by_ticket, find_scan_code, open_ticket
from app.auth.device_flow.watch import WATCH
from app.auth.devices import describe_device
from app.auth.oauth.grant_types import GRANTS, GrantType
from app.auth.oauth.protocol import (
    NO_STORE,
    Form,
    OAuthError,
    OAuthRoute,
    authenticate_client,
    describe_form,
    describe_oauth_errors,
    refuse_foreign_origin,
)
from app.auth.rate_limits import take_token_by_network
from app.authz.access import Public, build_actor
from app.authz.errors import ForeignOrigin
from app.authz.origin import SameOrigin
from app.core.app_links import SCAN_PATH, build_scan_link
from app.core.qr import draw_png, draw_svg
from app.core.services import SETTINGS
from app.database.db import ENGINE, Readable, ReadDb, TransactionalRoute, WriteDb
from app.web.errors import NotFound, TooManyRequests, problems
from app.web.event_stream import STREAMS, EventStream, describe_events

oauth_router = APIRouter(route_class=OAuthRoute, tags=["sign-in"], dependencies=[Public])
router = APIRouter(route_class=TransactionalRoute, tags=["sign-in"], dependencies=[Public])

TICKET = "xuezu_ticket"
_PATH = "/v1/device-authorizations/{user_code}"
UserCode = Annotated[str, Path(min_length=1, max_length=40, description="The public code.", examples=["WDJB-MJHT"])]
Ticket = Annotated[str | None, Cookie(alias=TICKET, max_length=200, description="Set by PUT …/ticket.")]


@oauth_router.post(
    "/oauth/device_authorization",
    summary="Ask for a code to be scanned (RFC 8628)",
    responses=describe_oauth_errors(401, 413, 429, 503, bad_requests=["unauthorized_client", "invalid_scope"]),
    openapi_extra=describe_form(
        "client_id",
        client_id="A client of kind `device`. The console has no part in this: its pages sign people in themselves.",
        scope="Only these of the client's scopes, with blanks between them. The person sees them before the approval.",
    ),
)
async def create_device_authorization(
    request: Request, response: Response, db: WriteDb, form: Form
) -> DeviceAuthorizationOut:
    """Begin the sign-in of a desktop client. The answer has the content of a QR code, and the secret with
    which the client polls `POST /oauth/token`. Both are valid for three minutes.

    1. Show the QR code (`verification_uri_complete`, or the picture at `…/qr.svg`) and the `user_code` beside it. After
       the scan the app asks the person for its last four letters, which are not in the QR code; where nothing can be
       scanned, the person types all of it into the app.
    2. Poll `POST /oauth/token` with the secret every `interval` seconds. After `slow_down`, wait five seconds more
       between polls.
    3. When the code expires, make this call again and show the new code.
    """
    refuse_foreign_origin(request)
    client = await authenticate_client(db, request, form)
    if GrantType.DEVICE_CODE not in GRANTS[client.kind]:
        raise OAuthError("unauthorized_client", "this client may not use the device flow")
    scopes = client.choose_scopes(form)
    started = await start_device_authorization(
        db, build_actor(request, client_id=client.id), client, describe_device(request), scopes
    )
    response.headers.update(NO_STORE)
    issuer = SETTINGS.get(request).issuer
    return DeviceAuthorizationOut(
        device_code=started.device_code,
        user_code=started.user_code,
        verification_uri=f"{issuer}{SCAN_PATH}",
        verification_uri_complete=build_scan_link(issuer, started.scan_code),
        expires_in=started.expires_in,
        interval=started.interval,
    )


async def _limit_pictures(request: Request) -> None:
    """Take a token of the caller's networks, in a transaction of its own. Raises TooManyRequests."""
    async with ENGINE.get(request).begin() as db:
        await take_token_by_network(db, PICTURE_LIMIT, build_actor(request))


_PICTURE: dict[str, Any] = {
    "response_class": Response,
    "dependencies": [Depends(_limit_pictures)],
    "responses": problems(NotFound, TooManyRequests),
}


async def _get_live_scan_uri(request: Request, db: Readable, user_code: UserCode) -> str:
    """Return the address of a code that can still be scanned. Raises NotFound."""
    found = await find_scan_code(db, user_code)
    if found is None:
        raise NotFound
    return build_scan_link(SETTINGS.get(request).issuer, found)


@router.get(f"{_PATH}/qr.svg", summary="QR code as SVG", **_PICTURE)
async def read_qr_svg(request: Request, db: ReadDb, user_code: UserCode) -> Response:
    """Get the QR code as SVG, for a page that cannot draw it. The picture can be shown until the code expires.

    The call changes nothing. A 404 means that the code has expired: request a new one.
    """
    return Response(
        await draw_svg(await _get_live_scan_uri(request, db, user_code)), media_type="image/svg+xml", headers=NO_STORE
    )


@router.get(f"{_PATH}/qr.png", summary="QR code as PNG", **_PICTURE)
async def read_qr_png(request: Request, db: ReadDb, user_code: UserCode) -> Response:
    """Get the QR code as PNG, for a client that cannot show SVG. The picture can be shown until the code expires.

    The call changes nothing. A 404 means that the code has expired: request a new one.
    """
    return Response(
        await draw_png(await _get_live_scan_uri(request, db, user_code)), media_type="image/png", headers=NO_STORE
    )


@router.put(
    f"{_PATH}/ticket",
    status_code=204,
    summary="Open the stream of a code",
    dependencies=[SameOrigin],
    responses=problems(NotFound, ForeignOrigin),
)
async def put_ticket(
    request: Request, response: Response, db: WriteDb, user_code: UserCode, body: TicketCreate
) -> None:
    """Exchange the secret of the code for an HttpOnly cookie. A browser makes this call once before it opens
    `…/events`, because an EventSource can send no header and a secret must not be in an address.

    The cookie is valid for this one code and expires with it.
    """
    opened = await open_ticket(db, user_code, body.device_code)
    response.set_cookie(
        TICKET,
        opened.ticket,
        max_age=opened.expires_in,
        path=f"/v1/device-authorizations/{opened.user_code}",
        httponly=True,
        samesite="strict",
        secure=SETTINGS.get(request).issuer.startswith("https:"),
    )


@router.get(_PATH, summary="State of a code")
async def read_device_authorization(db: ReadDb, user_code: UserCode, ticket: Ticket = None) -> WaitOut:
    """Read the state of the code. Use this call where the stream cannot be used.

    The call changes nothing. The cookie of `PUT …/ticket` is needed; without it the answer is 404.
    """
    return WaitOut.model_validate(await find_by_ticket(db, user_code, ticket))


@router.get(
    f"{_PATH}/events",
    status_code=200,
    summary="Wait for the scan (SSE)",
    response_class=EventStream,
    responses=describe_events(
        "The present state, then `scanned`, then `approved` or `refused`; or `expired`.",
        SignInStepOut,
        *get_args(AuthorizationState),
    ),
)
async def stream_device_authorization(
    request: Request, db: ReadDb, user_code: UserCode, ticket: Ticket = None
) -> EventStream:
    """Open this stream after `PUT …/ticket`. It reports at once when the code is scanned and when the person decides.
    Each event carries the state of the code; the stream ends with the last one.

    When `approved` comes, send the secret to `POST /oauth/token`. When `refused` or `expired` comes, ask for a new
    code. Where the connection breaks, open the stream again: it begins with the present state.
    """
    found = await find_by_ticket(db, user_code, ticket)
    events = stream_sign_in_events(ENGINE.get(request), WATCH.get(request), found.id)
    return EventStream(events, STREAMS.get(request))
