"""The orgs certified directly under this one (认证): search and release."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from app.admins.recovery_offers import offer_recovery
from app.admins.schemas import RecoveryOfferCreate
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification import queries
from app.certification.schemas import SubordinateOut
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.phone_fields import read_phone
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.text import contains_refused_characters
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.org_lifecycle.release import release_subordinate
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/subordinates", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
MainAdmin = Annotated[OrgScope, Can(Permission.ADMINS_WRITE)]
SubordinateId = Annotated[UUID, Path()]


class SubordinatesPage(FrameContext, template="certification/subordinates.html"):
    subordinates: Page[SubordinateOut]
    wanted: str


class NewRecoveryOffer(FormContext, FrameContext, template="certification/recovery_offer.html"):
    subordinate: SubordinateOut


@router.get("")
async def show_subordinates(
    request: Request,
    db: ReadDb,
    scope: Reader,
    paging: Annotated[Paging, paged_by(str, UUID)],
    wanted: Annotated[str, Query(max_length=50)] = "",
) -> Response:
    """Show all direct subordinates by name, or those that match the search."""
    wanted = wanted.strip()
    found = Page[SubordinateOut](items=[])
    if not contains_refused_characters(wanted):
        found = await queries.list_subordinates(db, scope.org_id, paging, wanted or None)
    frame = build_org_frame(scope, "certification")
    return render_page(request, SubordinatesPage(frame=frame, subordinates=found, wanted=wanted))


@router.get("/{subordinate_id}/recovery-offers/new")
async def show_recovery_offer(
    request: Request, db: ReadDb, scope: MainAdmin, subordinate_id: SubordinateId
) -> Response:
    """Show the form that nominates a main admin for a subordinate without admins."""
    subordinate = await queries.get_subordinate(db, scope.org_id, subordinate_id)
    return render_part(
        request, NewRecoveryOffer(frame=build_org_frame(scope, "certification"), subordinate=subordinate)
    )


@router.post("/{subordinate_id}/recovery-offers")
async def create_recovery_offer(
    request: Request, db: WriteDb, cipher: CipherDep, scope: MainAdmin, subordinate_id: SubordinateId, form: PageForm
) -> Response:
    """Offer the office of main admin to the user with this phone. The answer does not reveal whether such a user
    exists."""
    subordinate = await queries.get_subordinate(db, scope.org_id, subordinate_id)
    body: Any = validate_fields(RecoveryOfferCreate, {**read_phone(form), **form.get_filled("reason")})
    outcome = body
    if not isinstance(body, ValidationError):
        offering = offer_recovery(db, cipher, scope, subordinate_id, body.phone, body.reason)
        outcome = await catch_problem(db, offering)
    if isinstance(outcome, ValidationError | Problem):
        frame = build_org_frame(scope, "certification")
        return render_part(request, NewRecoveryOffer(frame=frame, form=form, outcome=outcome, subordinate=subordinate))
    return show_message(request, gettext("已提名，等待对方答复"), PAGE_CHANGED)


@add_confirmation_routes(router, "/{subordinate_id}/release")
async def confirm_release(
    request: Request, db: ReadableDb, scope: Writer, subordinate_id: SubordinateId
) -> Confirmation:
    """End the certification. The user types the subordinate's name to confirm."""
    subordinate = await queries.get_subordinate(db, scope.org_id, subordinate_id)
    return Confirmation(
        title=gettext("解除认证"),
        explanation=gettext(
            "“{name}”连同其全部下级不再隶属本组织，您不能再查看其概况；以往记录不变。如需恢复，须重新邀请、申请和确认。",
            name=subordinate.name,
        ),
        button=gettext("解除认证"),
        operation=lambda db, _: release_subordinate(db, scope, subordinate_id),
        message=gettext("已解除“{name}”的认证", name=subordinate.name),
        name=subordinate.name,
    )
