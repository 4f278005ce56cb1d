"""The request for a sign-in code by SMS."""

from fastapi import APIRouter, BackgroundTasks, Request

from app.auth.errors import PhoneCodesUnavailable
from app.auth.phone_codes.codes import LIFETIME, MAX_TRIES, Purpose, make_phone_code
from app.auth.phone_codes.schemas import PhoneCodeCreate, PhoneCodeOut
from app.auth.phone_codes.sms import deliver_message, get_gateway
from app.authz.access import Public, build_actor
from app.core.cipher import CipherDep
from app.database.db import TransactionalRoute, WriteDb
from app.web.errors import TooManyRequests, problems

router = APIRouter(route_class=TransactionalRoute, tags=["sign-in"])


def build_phone_code_out() -> PhoneCodeOut:
    return PhoneCodeOut(expires_in=int(LIFETIME.total_seconds()), tries=MAX_TRIES)


@router.post(
    "/v1/phone-codes",
    status_code=202,
    summary="Send a sign-in code to a phone",
    dependencies=[Public],
    responses=problems(TooManyRequests, PhoneCodesUnavailable),
)
async def create_phone_code(
    request: Request, db: WriteDb, cipher: CipherDep, body: PhoneCodeCreate, tasks: BackgroundTasks
) -> PhoneCodeOut:
    """Send a sign-in code of six digits to a phone. The app begins its sign-in with this call. The code is valid for
    five minutes and five tries: send it to `POST /oauth/token`.

    The answer is the same whether the phone is registered or not. A new code replaces the previous one. The number of
    messages is limited by phone, by address and overall: after a 429, wait for the seconds of `Retry-After`.
    """
    gateway = get_gateway(request)
    message = await make_phone_code(db, cipher, build_actor(request), phone=body.phone, purpose=Purpose.SIGN_IN)
    tasks.add_task(deliver_message, gateway, body.phone, message)
    return build_phone_code_out()
