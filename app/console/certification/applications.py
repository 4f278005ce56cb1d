"""Applications to be certified under this org (认证, S6): approve, or refuse with a reason."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification import queries
from app.certification.operations import approve_application, refuse_application
from app.certification.schemas import ReceivedApplicationOut
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.i18n import gettext
from app.database.db import ReadableDb, ReadDb
from app.database.paging import Page, Paging, paged_by
from app.schema.approvals import CertificationState

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/applications", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
ApplicationId = Annotated[UUID, Path()]


class ApplicationsPage(FrameContext, template="certification/applications.html"):
    applications: Page[ReceivedApplicationOut]
    chosen: str


@router.get("")
async def show_applications(
    request: Request,
    db: ReadDb,
    scope: Reader,
    paging: Annotated[Paging, paged_by(UUID)],
    state: Literal["pending", "live", "declined", "all"] = "pending",
) -> Response:
    """Show the pending applications, or those of another state."""
    wanted = None if state == "all" else CertificationState(state)
    applications = await queries.list_received_applications(db, scope.org, wanted, paging)
    frame = build_org_frame(scope, "certification")
    return render_page(request, ApplicationsPage(frame=frame, applications=applications, chosen=state))


@add_confirmation_routes(router, "/{application_id}/approval")
async def confirm_approval(
    request: Request, db: ReadableDb, scope: Writer, application_id: ApplicationId
) -> Confirmation:
    """Approve the application: the applicant becomes a subordinate."""
    application = await queries.get_received_application(db, scope.org, application_id)
    return Confirmation(
        title=gettext("通过认证"),
        explanation=gettext(
            "“{subordinate}”将成为“{superior}”的下级：您可以查看其自身及全部下级的概况，不能查看人员名单。以后可以解除。",
            subordinate=application.subordinate_name,
            superior=scope.org.name,
        ),
        button=gettext("通过"),
        operation=lambda db, _: approve_application(db, scope, application_id),
        message=gettext("认证已通过"),
        danger=False,
    )


@add_confirmation_routes(router, "/{application_id}/refusal")
async def confirm_refusal(
    request: Request, db: ReadableDb, scope: Writer, application_id: ApplicationId
) -> Confirmation:
    """Refuse the application with a reason. The user types the applicant's name to confirm."""
    application = await queries.get_received_application(db, scope.org, application_id)
    return Confirmation(
        title=gettext("拒绝“{name}”的申请", name=application.subordinate_name),
        explanation=gettext("对方的管理员会看到理由，并可以重新申请。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_application(db, scope, application_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=application.subordinate_name,
        reason=gettext("拒绝的理由"),
    )
