"""The orgs certified directly under this one (认证): found by name, released."""

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
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, confirmed
from app.console.frame.forms import Form, PageForm, checked, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.text import has_unshowable
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

_RECOVERY = "certification/recovery_offer.html"


@router.get("")
async def show_subordinates(
    request: Request,
    db: ReadDb,
    scope: Reader,
    paging: Annotated[Paging, paged_by(str, UUID)],
    wanted: Annotated[str, Query(max_length=50)] = "",
) -> Response:
    """All of them by name, or those that are searched for."""
    wanted = wanted.strip()
    found = Page[SubordinateOut](items=[])
    if not has_unshowable(wanted):
        found = await queries.list_subordinates(db, scope.org_id, paging, wanted or None)
    shown = {**in_org(scope, "certification"), "subordinates": found, "wanted": wanted}
    return page(request, "certification/subordinates.html", **shown)


@router.get("/{subordinate_id}/recovery-offers/new")
async def show_recovery_offer(
    request: Request, db: ReadDb, scope: MainAdmin, subordinate_id: SubordinateId
) -> Response:
    """The form that names a main admin for a subordinate in which no admin is left."""
    one = await queries.get_subordinate(db, scope.org_id, subordinate_id)
    return show_form(request, _RECOVERY, Form([]), **in_org(scope, "certification"), one=one)


@router.post("/{subordinate_id}/recovery-offers")
async def create_recovery_offer(
    request: Request, db: WriteDb, cipher: CipherDep, scope: MainAdmin, subordinate_id: SubordinateId, form: PageForm
) -> Response:
    """Offers it to the person; the answer is the same whoever has the phone."""
    one = await queries.get_subordinate(db, scope.org_id, subordinate_id)
    body: Any = checked(RecoveryOfferCreate, form.given("phone", "reason"))
    outcome = body
    if not isinstance(body, ValidationError):
        offering = offer_recovery(db, cipher, scope, subordinate_id, body.phone, body.reason)
        outcome = await refusal_of(db, offering)
    if isinstance(outcome, ValidationError | Problem):
        return show_form(request, _RECOVERY, form, outcome, **in_org(scope, "certification"), one=one)
    return done(request, gettext("已提名，等待对方答复"), PAGE_CHANGED)


@confirmed(router, "/{subordinate_id}/release")
async def release(request: Request, db: ReadableDb, scope: Writer, subordinate_id: SubordinateId) -> Confirmation:
    """Ends the certification, the org's name having been typed."""
    one = await queries.get_subordinate(db, scope.org_id, subordinate_id)
    return Confirmation(
        title=gettext("解除认证"),
        says=gettext(
            "“{name}”连同其全部下级不再隶属本组织，您不能再查看其概况；以往记录不变。如需恢复，须重新邀请、申请和确认。",
            name=one.name,
        ),
        button=gettext("解除认证"),
        act=lambda db, _: release_subordinate(db, scope, subordinate_id),
        said=gettext("已解除“{name}”的认证", name=one.name),
        name=one.name,
    )
