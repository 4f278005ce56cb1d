"""Decisions on several applications at once: approve the ticked ones, or refuse them with one reason."""

from collections.abc import Sequence
from typing import Annotated, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter, ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification.application_decisions import approve_applications, describe_outcomes, refuse_applications
from app.certification.queries import list_received_by_id
from app.certification.schemas import ApplicationDecisionsOut, ReceivedApplicationOut
from app.console.frame.confirmations import PAGE_CHANGED
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, read_ids
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_part
from app.core.text import Reason
from app.database.db import WriteDb
from app.web.errors import Invalid, Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/application-decisions",
    route_class=ConsoleRoute,
    include_in_schema=False,
)

Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
Act = Literal["approval", "refusal"]
_reason: TypeAdapter[str] = TypeAdapter(Reason)


class DecisionsForm(FormContext, FrameContext, template="certification/application_decisions.html"):
    """The ticked applications and what is to become of them."""

    act: Act
    application_ids: Sequence[UUID]
    applications: Sequence[ReceivedApplicationOut]


class DecisionsResult(Context, template="certification/applications_decided.html"):
    """How many were decided, and why the others could not be."""

    act: Act
    decisions: ApplicationDecisionsOut


@router.post("")
async def show_decisions(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """List the ticked applications, and ask for the reason of a refusal."""
    acts: dict[str, Act] = {act: act for act in get_args(Act)}
    if form.get("act", "") not in acts:
        raise Invalid
    return await _show(request, db, scope, acts[form["act"]], form)


@router.post("/{act}")
async def decide(request: Request, db: WriteDb, scope: Writer, act: Act, form: PageForm) -> Response:
    """Decide the applications. Say of each that could not be decided why; the others take effect."""
    application_ids = read_ids(form, "application_id")
    wrong = set()
    reason = ""
    if act == "refusal":
        try:
            reason = _reason.validate_python(form.get("reason", ""))
        except ValidationError:
            wrong.add("reason")
        if form.get("count", "").strip() != str(len(application_ids)):
            wrong.add("count")
    if wrong:
        return await _show(request, db, scope, act, form, wrong)
    deciding = (
        approve_applications(db, scope, application_ids)
        if act == "approval"
        else refuse_applications(db, scope, application_ids, reason)
    )
    outcomes = await catch_problem(db, deciding)
    if isinstance(outcomes, Problem):
        return await _show(request, db, scope, act, form, outcomes)
    result = DecisionsResult(act=act, decisions=await describe_outcomes(db, scope, outcomes))
    response = render_part(request, result)
    response.headers["HX-Trigger"] = PAGE_CHANGED
    return response


async def _show(
    request: Request, db: WriteDb, scope: OrgScope, act: Act, form: Form, outcome: Outcome = None
) -> Response:
    application_ids = read_ids(form, "application_id")
    found = await list_received_by_id(db, scope.org, application_ids)
    dialog = DecisionsForm(
        frame=build_org_frame(scope, "certification"),
        form=form,
        outcome=outcome,
        act=act,
        application_ids=application_ids,
        applications=[found[each] for each in application_ids if each in found],
    )
    return render_part(request, dialog)
