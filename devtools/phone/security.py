"""The account's security on the phone: the devices that are signed in, a change of the phone, closing the account."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Path, Request, Response

from app.auth.accounts.accounts import change_phone, close_account, get_phone, require_recent_proof
from app.auth.accounts.queries import get_me, list_sessions
from app.auth.accounts.schemas import ClosurePut, PhonePut, SessionOut
from app.auth.phone_codes.codes import Purpose
from app.auth.phone_codes.delivery import send_phone_code
from app.auth.phone_codes.schemas import PhoneCodeCreate
from app.auth.phone_codes.sms import send_notice
from app.auth.sessions import end_session
from app.authz.access import SignedIn, UserScope
from app.console.frame.forms import Form, FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.phone_fields import read_phone
from app.console.frame.templates import ProblemContext, render_page
from app.core.cipher import CipherDep
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging
from app.sms.messages import Template
from app.web.errors import NotFound, Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/security", route_class=PhoneRoute, include_in_schema=False)

HOME = "/phone/security"
_ALL = Paging(200, None)


class SecurityPage(ProblemContext, template="phone/security.html"):
    sessions: Sequence[SessionOut]


class ChangeForm(FormContext, template="phone/change_phone.html"):
    """`phone` is the new phone once both codes were sent, else empty; `old_phone` the present one. `handles`:
    those of the codes, by field."""

    old_phone: str
    phone: str = ""
    handles: Mapping[str, str] = field(default_factory=dict)
    since: int = 0


class ClosureForm(FormContext, template="phone/closure.html"):
    """`handle`: the handle of the code once it was sent to `phone`, else empty."""

    phone: str
    handle: str = ""
    since: int = field(default_factory=lambda: int(time.time()))


@router.get("")
async def show_security(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show the devices that are signed in."""
    return render_page(request, SecurityPage(sessions=(await list_sessions(db, scope, _ALL)).items))


@router.post("/sessions/{session_id}/end")
async def end_one_session(db: WriteDb, scope: SignedIn, session_id: Annotated[UUID, Path()]) -> Response:
    """Sign out another device. Raises NotFound."""
    if not await end_session(db, scope.actor, session_id, reason="signed-out", of_user=scope.user_id):
        raise NotFound
    return Response(status_code=303, headers={"Location": HOME})


@router.get("/phone")
async def show_change(request: Request, db: ReadDb, cipher: CipherDep, scope: SignedIn) -> Response:
    """Show the form for the new phone."""
    return render_page(request, ChangeForm(old_phone=(await get_me(db, cipher, scope)).phone))


@router.post("/phone-codes")
async def send_change_codes(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm, tasks: BackgroundTasks
) -> Response:
    """Send a code to the present phone and one to the new phone."""
    old_phone = await get_phone(db, cipher, scope.user_id)
    body = validate_fields(PhoneCodeCreate, read_phone(form))
    if not isinstance(body, PhoneCodeCreate):
        return render_page(request, ChangeForm(old_phone=old_phone, form=form, outcome=body))
    outcome = await catch_problem(db, _send_change_codes(request, db, scope, tasks, old_phone, body.phone))
    if isinstance(outcome, Problem):
        return render_page(request, ChangeForm(old_phone=old_phone, form=form, outcome=outcome))
    handles = {"old_phone_handle": outcome[0], "handle": outcome[1]}
    return render_page(
        request, ChangeForm(old_phone=old_phone, phone=body.phone, since=int(time.time()), handles=handles)
    )


async def _send_change_codes(
    request: Request, db: WriteDb, scope: UserScope, tasks: BackgroundTasks, old_phone: str, new_phone: str
) -> tuple[str, str]:
    """Send a code to each phone. Return the handles of the old and the new one."""
    await require_recent_proof(db, scope)
    send = partial(send_phone_code, request, db, tasks, scope.actor, bound_to=str(scope.user_id))
    old = await send(phone=old_phone, purpose=Purpose.LEAVE_PHONE)
    new = await send(phone=new_phone, purpose=Purpose.CHANGE_PHONE)
    return old.handle, new.handle


@router.post("/phone")
async def change_my_phone(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm, tasks: BackgroundTasks
) -> Response:
    """Change the phone with both codes. All sessions end, so the sign-in comes next."""
    old_phone = await get_phone(db, cipher, scope.user_id)
    handles = _pick(form, "handle", "old_phone_handle")
    body = validate_fields(PhonePut, _pick(form, "phone", "code", "old_phone_code") | handles)
    if not isinstance(body, PhonePut):
        again = ChangeForm(old_phone=old_phone, phone=form.get("phone", ""), form=form, outcome=body, handles=handles)
        return render_page(request, again)
    changing = change_phone(
        db, cipher, scope, phone=body.phone, given=body.given, given_by_old_phone=body.given_by_old_phone
    )
    outcome = await catch_problem(db, changing)
    if isinstance(outcome, Problem):
        return render_page(request, ChangeForm(old_phone=old_phone, phone=body.phone, outcome=outcome, handles=handles))
    send_notice(request, tasks, old_phone, Template.PHONE_CHANGED)
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


@router.get("/closure")
async def show_closure(request: Request, db: ReadDb, cipher: CipherDep, scope: SignedIn) -> Response:
    """Show what closing the account erases and what remains."""
    return render_page(request, ClosureForm(phone=(await get_me(db, cipher, scope)).phone))


@router.post("/closing-codes")
async def send_closing_code(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, tasks: BackgroundTasks
) -> Response:
    """Send the code that closes the account."""
    phone = await get_phone(db, cipher, scope.user_id)
    sending = send_phone_code(request, db, tasks, scope.actor, phone=phone, purpose=Purpose.CLOSE_ACCOUNT)
    outcome = await catch_problem(db, sending)
    if isinstance(outcome, Problem):
        return render_page(request, ClosureForm(phone=phone, outcome=outcome))
    return render_page(request, ClosureForm(phone=phone, handle=outcome.handle))


@router.post("/closure")
async def close_my_account(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm
) -> Response:
    """Close the account with the code. An admin is refused, and reads what to do first."""
    phone = await get_phone(db, cipher, scope.user_id)
    given = _pick(form, "code", "handle")
    body = validate_fields(ClosurePut, given)
    if not isinstance(body, ClosurePut):
        return render_page(request, ClosureForm(phone=phone, handle=given["handle"], outcome=body))
    outcome = await catch_problem(db, close_account(db, cipher, scope, body.given))
    if isinstance(outcome, Problem):
        return render_page(request, ClosureForm(phone=phone, handle=body.handle, outcome=outcome))
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


def _pick(form: Form, *names: str) -> dict[str, str]:
    return {name: form.get(name, "").strip() for name in names}
