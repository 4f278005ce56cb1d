"""Recoveries of orgs without a superior (S4): the operator replaces the main admin, or keeps it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.admins.change_decisions import approve_recovery, refuse_recovery
from app.admins.change_queries import get_orphan_recovery, list_orphan_recoveries
from app.admins.schemas import ChangeRequestOut
from app.authz.access import AsOperator
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.i18n import gettext
from app.database.db import ReadableDb, ReadDb
from app.database.paging import Page, Paging, paged_by

router = APIRouter(prefix="/console/operators/recoveries", route_class=ConsoleRoute, include_in_schema=False)

RequestId = Annotated[UUID, Path()]


class RecoveriesPage(FrameContext, template="operators/recoveries.html"):
    recoveries: Page[ChangeRequestOut]


@router.get("")
async def show_recoveries(
    request: Request, db: ReadDb, scope: AsOperator, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the recoveries that wait for an operator, the oldest first."""
    recoveries = await list_orphan_recoveries(db, paging)
    return render_page(request, RecoveriesPage(frame=build_operator_frame(scope), recoveries=recoveries))


@add_confirmation_routes(router, "/{request_id}/approval")
async def confirm_approval(request: Request, db: ReadableDb, scope: AsOperator, request_id: RequestId) -> Confirmation:
    """Replace the main admin. The operator types the org's name to confirm."""
    recovery = await get_orphan_recovery(db, request_id)
    named = recovery.main_admin_after.name if recovery.main_admin_after else None
    return Confirmation(
        title=gettext("更换“{org}”的主管理员", org=recovery.org_name),
        explanation=gettext(
            "{name} 立即成为主管理员，原主管理员仍是管理员，双方都会收到消息。请先另行核实原主管理员确已无法履职。",
            name=named or "",
        ),
        button=gettext("更换主管理员"),
        operation=lambda db, _: approve_recovery(db, scope.actor, request_id),
        message=gettext("已更换主管理员"),
        name=recovery.org_name,
    )


@add_confirmation_routes(router, "/{request_id}/refusal")
async def confirm_refusal(request: Request, db: ReadableDb, scope: AsOperator, request_id: RequestId) -> Confirmation:
    """Keep the main admin, with a reason that the org's admins can read."""
    recovery = await get_orphan_recovery(db, request_id)
    return Confirmation(
        title=gettext("拒绝“{name}”的申请", name=recovery.org_name),
        explanation=gettext("主管理员不变。该组织的管理员会看到理由，并可以重新申请。"),
        button=gettext("拒绝"),
        operation=lambda db, reason: refuse_recovery(db, scope.actor, request_id, reason),
        message=gettext("已拒绝，理由已告知对方"),
        name=recovery.org_name,
        reason=gettext("拒绝的理由"),
    )
