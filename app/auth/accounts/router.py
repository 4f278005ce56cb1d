"""Calls that change the user's phone or close the account."""

from fastapi import APIRouter, BackgroundTasks, Request, Response
from fastapi.responses import JSONResponse

from app.auth.accounts.accounts import change_phone, close_account, get_phone
from app.auth.accounts.schemas import ClosurePut, PhonePut
from app.auth.errors import (
    AppSignInNeeded,
    CodeRefused,
    FreshSignInNeeded,
    IsOperator,
    OldPhoneCodeRefused,
    PhoneCodesUnavailable,
    PhoneTaken,
    StillAdmin,
)
from app.auth.phone_codes.codes import Purpose
from app.auth.phone_codes.delivery import send_phone_code
from app.auth.phone_codes.schemas import PhoneCodeCreate, PhoneCodeOut
from app.auth.phone_codes.sms import require_gateway, send_notice
from app.authz.access import AsOwner
from app.authz.errors import StepUpNeeded
from app.core.cipher import CipherDep
from app.database.db import TransactionalRoute, WriteDb
from app.sms.messages import Template
from app.web.errors import TooManyRequests, build_problem_response, problems

router = APIRouter(route_class=TransactionalRoute, tags=["me"])

_CODE_PROBLEMS = problems(TooManyRequests, PhoneCodesUnavailable)


@router.post("/v1/me/phone-codes", status_code=202, summary="Send a code to my new phone", responses=_CODE_PROBLEMS)
async def create_phone_change_code(
    request: Request, db: WriteDb, scope: AsOwner, body: PhoneCodeCreate, tasks: BackgroundTasks
) -> PhoneCodeOut:
    """Send a code of six digits to the new phone. This is the first step of changing the phone. Next, send a code to
    the present phone with `POST /v1/me/old-phone-codes`.

    Nothing is changed yet. The code is valid for this account only.
    """
    bound_to = str(scope.user_id)
    return await send_phone_code(
        request, db, tasks, scope.actor, phone=body.phone, purpose=Purpose.CHANGE_PHONE, bound_to=bound_to
    )


@router.post(
    "/v1/me/old-phone-codes", status_code=202, summary="Send a code to my present phone", responses=_CODE_PROBLEMS
)
async def create_old_phone_code(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOwner, tasks: BackgroundTasks
) -> PhoneCodeOut:
    """Send a code of six digits to the present phone of the account. This is the second step of changing the phone:
    who has a stolen session does not have the phone. Then send both codes with `PUT /v1/me/phone`.

    Nothing is changed yet.
    """
    phone, bound_to = await get_phone(db, cipher, scope.user_id), str(scope.user_id)
    return await send_phone_code(
        request, db, tasks, scope.actor, phone=phone, purpose=Purpose.LEAVE_PHONE, bound_to=bound_to
    )


@router.put(
    "/v1/me/phone",
    status_code=204,
    summary="Change my phone",
    response_model=None,
    responses=problems(
        CodeRefused,
        OldPhoneCodeRefused,
        PhoneTaken,
        StepUpNeeded,
        AppSignInNeeded,
        FreshSignInNeeded,
        TooManyRequests,
        PhoneCodesUnavailable,
    ),
)
async def put_phone(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOwner, body: PhonePut, tasks: BackgroundTasks
) -> JSONResponse | None:
    """Change the phone of the account. This is the third step: send the new phone, the code that it has received and
    the code that the present phone has received, each with its handle. From now on the account has the new phone, and
    the old phone gets a message.

    The call needs a sign-in to the app in the last ten minutes: otherwise sign in again. A user who has a security key
    proves it in the last ten minutes instead, with the app or the console.

    All sessions end, so sign in with the new phone. A phone that has an account of its own is refused (409
    `phone-taken`): close that account first, or use another phone.
    """
    require_gateway(request)
    old_phone = await get_phone(db, cipher, scope.user_id)
    refused = await change_phone(
        db, cipher, scope, phone=body.phone, given=body.given, given_by_old_phone=body.given_by_old_phone
    )
    if refused is not None:
        return build_problem_response(request, refused)
    send_notice(request, tasks, old_phone, Template.PHONE_CHANGED)
    return None


@router.post(
    "/v1/me/closing-codes", status_code=202, summary="Send a code for closing my account", responses=_CODE_PROBLEMS
)
async def create_closing_code(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOwner, tasks: BackgroundTasks
) -> PhoneCodeOut:
    """Send a code of six digits to the phone of the account. This is the first step of closing the account. Then send
    the code with its handle: `PUT /v1/me/closure`.

    Nothing is changed yet.
    """
    phone = await get_phone(db, cipher, scope.user_id)
    return await send_phone_code(request, db, tasks, scope.actor, phone=phone, purpose=Purpose.CLOSE_ACCOUNT)


@router.put(
    "/v1/me/closure",
    status_code=204,
    summary="Close my account",
    response_class=Response,
    response_model=None,
    responses=problems(CodeRefused, StillAdmin, IsOperator, StepUpNeeded, TooManyRequests),
)
async def put_closure(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOwner, body: ClosurePut
) -> JSONResponse | None:
    """Close the account. This is the second step: send the code with its handle. It cannot be undone. Phone, name and
    verification are erased, and the points remain under an id that identifies no person.

    The member rows in the directories of orgs remain there and become inactive. An admin is refused (409
    `still-admin`): resign first, and hand over each org of which you are the main admin.
    """
    refused = await close_account(db, cipher, scope, body.given)
    return None if refused is None else build_problem_response(request, refused)
