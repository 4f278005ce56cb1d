"""The return of a phone: an account that was taken over gets its former phone back, with a code to that phone."""

from fastapi import APIRouter, BackgroundTasks, Request, Response
from pydantic import ValidationError

from app.auth.operators.phone_returns import make_return_code, return_phone
from app.auth.operators.schemas import PhoneReturnCreate
from app.auth.phone_codes.delivery import deliver_phone_code
from app.auth.phone_codes.schemas import PhoneCodeCreate
from app.auth.phone_codes.sms import send_notice
from app.authz.access import AsOperator
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.phone_fields import read_phone
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.cipher import CipherDep
from app.core.phones import mask
from app.database.db import WriteDb
from app.sms.messages import Template
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/operators/phone-returns", route_class=ConsoleRoute, include_in_schema=False)


class PhoneReturnPage(FormContext, FrameContext, template="operators/phone_return.html"):
    """The first step, the form of the former phone. `is_missing`: no account had this phone in the last days."""

    is_missing: bool = False


class PhoneReturnCodePage(FormContext, FrameContext, template="operators/phone_return_code.html"):
    """The second step, the form of the code that the former phone (`phone`, masked as `masked`) has received. `handle`:
    what goes with the code."""

    phone: str
    masked: str
    handle: str


class PhoneReturnedPage(FrameContext, template="operators/phone_returned.html"):
    """The result. `keys`: the number of removed security keys."""

    masked: str
    keys: int


@router.get("")
async def show_form(request: Request, scope: AsOperator) -> Response:
    """Show the form of the former phone."""
    return render_page(request, PhoneReturnPage(frame=build_operator_frame(scope)))


@router.post("/codes")
async def send_code(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, form: PageForm, tasks: BackgroundTasks
) -> Response:
    """Send a code to the former phone, and show the form for it."""
    frame = build_operator_frame(scope)
    body = validate_fields(PhoneCodeCreate, read_phone(form))
    if isinstance(body, ValidationError):
        return render_page(request, PhoneReturnPage(frame=frame, form=form, outcome=body))
    sent = await catch_problem(db, make_return_code(db, cipher, scope, body.phone))
    if isinstance(sent, NotFound):
        return render_page(request, PhoneReturnPage(frame=frame, form=form, is_missing=True))
    if isinstance(sent, Problem):
        return render_page(request, PhoneReturnPage(frame=frame, form=form, outcome=sent))
    handle = deliver_phone_code(request, tasks, body.phone, sent).handle
    page = PhoneReturnCodePage(frame=frame, phone=body.phone, masked=mask(body.phone), handle=handle)
    return render_page(request, page)


@router.post("")
async def complete(
    request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, form: PageForm, tasks: BackgroundTasks
) -> Response:
    """Give the account its former phone back. A wrong code is counted, and the form is shown again."""
    frame = build_operator_frame(scope)
    body = validate_fields(PhoneReturnCreate, form.get_filled("phone", "code", "handle"))
    if isinstance(body, ValidationError):
        phone = validate_fields(PhoneCodeCreate, form.get_filled("phone"))
        if isinstance(phone, ValidationError):
            return render_page(request, PhoneReturnPage(frame=frame, form=form, outcome=phone))
        again = PhoneReturnCodePage(
            frame=frame, outcome=body, phone=phone.phone, masked=mask(phone.phone), handle=form.get("handle", "")
        )
        return render_page(request, again)
    masked = mask(body.phone)
    returned = await catch_problem(db, return_phone(db, cipher, scope, phone=body.phone, given=body.given))
    if isinstance(returned, Problem):
        again = PhoneReturnCodePage(frame=frame, outcome=returned, phone=body.phone, masked=masked, handle=body.handle)
        return render_page(request, again)
    send_notice(request, tasks, returned.replaced_phone, Template.PHONE_CHANGED)
    return render_page(request, PhoneReturnedPage(frame=frame, masked=masked, keys=returned.keys_removed))
