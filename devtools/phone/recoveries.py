"""Recoveries on the phone: by the real name the account gets another phone, or a person gets back their former account.

The proof is at a provider, or by an ID card that an operator reviews.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Path, Request, Response
from pydantic import ValidationError

from app.auth.phone_codes.codes import Purpose
from app.auth.phone_codes.delivery import send_phone_code
from app.auth.phone_codes.schemas import PhoneCodeCreate
from app.auth.recoveries.queries import list_recoveries
from app.auth.recoveries.recoveries import request_lost_account, request_phone_change, stop_recovery
from app.auth.recoveries.schemas import AccountRecoveryOut, LostPhoneRecoveryCreate, PhoneChangeRecoveryCreate
from app.auth.verification.methods import build_redirect_url, list_methods, require_method
from app.auth.verification.schemas import VerificationMethodOut
from app.authz.access import SignedIn, UserScope
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.phone_fields import read_phone
from app.console.frame.templates import render_page
from app.core.cipher import CipherDep
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging
from app.web.errors import Problem
from devtools.phone.proofs import MAX_FORM_BYTES, ProofFormDep, list_method_names, read_proof
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/security/recoveries", route_class=PhoneRoute, include_in_schema=False)

_ALL = Paging(50, None)


class RecoveriesPage(FormContext, template="phone/recoveries.html"):
    """`is_verified`: whether the account has a real name, which proves a change of its phone; otherwise the person gets
    back a former account. `phone` and `handle`: the new phone and the handle of its code, once it was sent."""

    recoveries: Sequence[AccountRecoveryOut]
    is_verified: bool
    phone: str = ""
    handle: str = ""
    since: int = 0
    methods: Sequence[VerificationMethodOut] = ()
    method_names: Mapping[str, str] = field(default_factory=dict)


async def _render(
    request: Request,
    db: ReadableDb,
    scope: UserScope,
    outcome: Outcome = None,
    *,
    form: Form | None = None,
    phone: str = "",
    handle: str = "",
) -> Response:
    found = (await list_recoveries(db, scope, _ALL)).items
    page = RecoveriesPage(
        recoveries=found,
        is_verified=scope.verified_name is not None,
        outcome=outcome,
        form=form or Form([]),
        methods=list_methods(request),
        method_names=list_method_names(),
        phone=phone,
        handle=handle,
        since=int(time.time()),
    )
    return render_page(request, page)


@router.get("")
async def show_recoveries(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show the recoveries of the account and the form for a new one."""
    return await _render(request, db, scope)


@router.post("/codes")
async def send_code(request: Request, db: WriteDb, scope: SignedIn, form: PageForm, tasks: BackgroundTasks) -> Response:
    """Send a code to the new phone."""
    body = validate_fields(PhoneCodeCreate, read_phone(form))
    if not isinstance(body, PhoneCodeCreate):
        return await _render(request, db, scope, body)
    send = partial(send_phone_code, request, db, tasks, scope.actor, purpose=Purpose.CHANGE_PHONE)
    outcome = await catch_problem(db, send(phone=body.phone, bound_to=str(scope.user_id)))
    if isinstance(outcome, Problem):
        return await _render(request, db, scope, outcome)
    return await _render(request, db, scope, phone=body.phone, handle=outcome.handle)


@router.post("", max_body_size=MAX_FORM_BYTES)
async def begin_recovery(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: ProofFormDep
) -> Response:
    """Begin a recovery: go on to the provider, or back to wait for the review."""
    proof = read_proof(form)
    kind: type[LostPhoneRecoveryCreate | PhoneChangeRecoveryCreate]
    if scope.verified_name is None:
        kind, fields = LostPhoneRecoveryCreate, {"kind": "lost-phone", "proof": proof}
        again = partial(_render, request, db, scope, form=form)
    else:
        sent = {name: form.get(name, "").strip() for name in ("phone", "code", "handle")}
        kind, fields = PhoneChangeRecoveryCreate, sent | {"kind": "phone-change", "proof": proof}
        again = partial(_render, request, db, scope, form=form, phone=sent["phone"], handle=sent["handle"])
    body = validate_fields(kind, fields)
    if isinstance(body, ValidationError):
        return await again({str(error["loc"][-1]) for error in body.errors()})
    require_method(request, body.proof)
    if isinstance(body, PhoneChangeRecoveryCreate):
        beginning = request_phone_change(db, cipher, scope, phone=body.phone, given=body.given, proof=body.proof)
        outcome = await catch_problem(db, beginning)
    else:
        outcome = await catch_problem(db, request_lost_account(db, cipher, scope, body.proof))
    if isinstance(outcome, Problem):
        return await again(outcome)
    onward = build_redirect_url(request, outcome[1]) or router.prefix
    return Response(status_code=303, headers={"Location": onward})


@router.post("/{recovery_id}/stop")
async def stop_one_recovery(
    request: Request, db: WriteDb, scope: SignedIn, recovery_id: Annotated[UUID, Path()]
) -> Response:
    """Stop a recovery that has not taken effect. Raises NotFound."""
    outcome = await catch_problem(db, stop_recovery(db, scope, recovery_id))
    if isinstance(outcome, Problem):
        return await _render(request, db, scope, outcome)
    return Response(status_code=303, headers={"Location": router.prefix})
