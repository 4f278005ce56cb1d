"""The request for a sign-in code by SMS."""

from fastapi import APIRouter, BackgroundTasks, Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.errors import PhoneCodesUnavailable, UnknownClient
from app.auth.oauth.protocol import OAuthError, authenticate_client
from app.auth.phone_codes.delivery import send_sign_in_code
from app.auth.phone_codes.schemas import PhoneCodeCreate, PhoneCodeOut
from app.authz import person_address
from app.authz.access import Public
from app.database.db import TransactionalRoute, WriteDb
from app.web.errors import TooManyRequests, build_problem_response, problems

_client = HTTPBasic(
    scheme_name="client",
    description="The `client_id` and the secret of an app's back end, for calls without a token.",
    auto_error=False,
)
router = APIRouter(route_class=TransactionalRoute, tags=["sign-in"])


async def _authenticate_back_end(request: Request, db: AsyncConnection) -> None:
    """Authenticate the back end of an app that names the address of a person, and make it the request's. A call without
    both headers is a person's own. Raises UnknownClient, UnreadablePersonAddress."""
    basic = request.headers.get("authorization", "").lower().startswith("basic ")
    if not basic or person_address.HEADER not in request.headers:
        return
    try:
        await authenticate_client(db, request, {})
    except OAuthError:
        raise UnknownClient from None


@router.post(
    "/v1/phone-codes",
    status_code=202,
    summary="Send a sign-in code to a phone",
    response_model=PhoneCodeOut,
    dependencies=[Public, Depends(_client)],
    responses=problems(TooManyRequests, PhoneCodesUnavailable, UnknownClient),
)
async def create_phone_code(
    request: Request, db: WriteDb, body: PhoneCodeCreate, tasks: BackgroundTasks
) -> PhoneCodeOut | JSONResponse:
    """Send a sign-in code of six digits to a phone. The app begins its sign-in with this call. The code is valid for
    five minutes and five tries: send it to `POST /oauth/token`, with the `handle` of this answer.

    The back end of an app names the address of the person in `Xuezu-Person-Address` and authenticates by HTTP Basic
    with its `client_id` and secret. Otherwise all of its people share the limit of its own address.

    Each call makes a code of its own, which is redeemed with its own handle: remember the handle of the newest call.
    The answer has the same form whether the phone is registered or not. The number of messages is limited by phone, by
    network and overall: after a 429, wait for the seconds of `Retry-After`. Requests of strangers for the same phone do
    not limit a network from which its account has been used. While very many messages are sent, new phones wait.
    """
    await _authenticate_back_end(request, db)
    sent = await send_sign_in_code(request, db, tasks, body.phone)
    return build_problem_response(request, sent) if isinstance(sent, TooManyRequests) else sent
