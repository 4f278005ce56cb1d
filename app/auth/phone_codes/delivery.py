"""The request for a code: it is made in the transaction of the call and sent after the commit."""

from fastapi import BackgroundTasks, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth.phone_codes.codes import LIFETIME, MAX_TRIES, Purpose, SentCode, make_phone_code
from app.auth.phone_codes.limits import find_refusal_of_new_phone
from app.auth.phone_codes.schemas import PhoneCodeOut
from app.auth.phone_codes.sms import require_gateway
from app.authz.access import build_actor
from app.core.cipher import CIPHER
from app.sms.gateway import deliver_message
from app.web.errors import TooManyRequests


async def send_phone_code(
    request: Request,
    db: AsyncConnection,
    tasks: BackgroundTasks,
    actor: Actor,
    *,
    phone: str,
    purpose: Purpose,
    bound_to: str = "",
) -> PhoneCodeOut:
    """Make a code, send it after the commit, and return the answer with its handle.

    Raises PhoneCodesUnavailable, and the errors of `make_phone_code`.
    """
    require_gateway(request)
    sent = await make_phone_code(db, CIPHER.get(request), actor, phone=phone, purpose=purpose, bound_to=bound_to)
    return deliver_phone_code(request, tasks, phone, sent)


async def send_sign_in_code(
    request: Request, db: AsyncConnection, tasks: BackgroundTasks, phone: str
) -> PhoneCodeOut | TooManyRequests:
    """Send a sign-in code as `send_phone_code` does. A refusal of a new phone is returned, not raised
    (`find_refusal_of_new_phone`).
    """
    require_gateway(request)
    actor = build_actor(request)
    refused = await find_refusal_of_new_phone(db, CIPHER.get(request), actor, phone)
    if refused is not None:
        return refused
    return await send_phone_code(request, db, tasks, actor, phone=phone, purpose=Purpose.SIGN_IN)


def deliver_phone_code(request: Request, tasks: BackgroundTasks, phone: str, sent: SentCode) -> PhoneCodeOut:
    """Send a code that was made, after the commit. Return the answer with its handle. Raises PhoneCodesUnavailable."""
    tasks.add_task(deliver_message, require_gateway(request), phone, sent.message)
    return PhoneCodeOut(handle=sent.handle, expires_in=int(LIFETIME.total_seconds()), tries=MAX_TRIES)
