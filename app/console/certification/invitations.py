"""Invitations for subordinates (认证, S6): a link and a QR code with expiry, use limit and revocation."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from markupsafe import Markup
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification import queries
from app.certification.invitation_links import build_invitation_out
from app.certification.operations import create_invitation, revoke_invitation
from app.certification.schemas import InvitationCreate, InvitationOut
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.link_states import Link, find_state
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.qr import draw_png, draw_svg
from app.core.services import SETTINGS
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.downloads import build_download
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/invitations", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
InvitationId = Annotated[UUID, Path()]


class InvitationsPage(FrameContext, template="certification/invitations.html"):
    invitations: Page[InvitationOut]
    find_state: Callable[[Link], str]


class NewInvitation(FormContext, FrameContext, template="certification/new_invitation.html"):
    pass


class InvitationPage(FrameContext, template="certification/invitation.html"):
    invitation: InvitationOut
    state: str
    qr: Markup


@router.get("")
async def show_invitations(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the org's invitations, newest first."""
    found, address = await queries.list_invitations(db, scope.org_id, paging), SETTINGS.get(request).issuer
    invitations = Page[InvitationOut].from_slice(found.map(lambda row: build_invitation_out(row, cipher, address)))
    page = InvitationsPage(
        frame=build_org_frame(scope, "certification"), invitations=invitations, find_state=find_state
    )
    return render_page(request, page)


@router.get("/new")
async def show_new_invitation(request: Request, scope: Writer) -> Response:
    """Show the form for a new invitation, with its validity period and number of uses."""
    return render_part(request, NewInvitation(frame=build_org_frame(scope, "certification")))


@router.post("")
async def submit_invitation(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm
) -> Response:
    """Create an invitation and go to its page."""
    frame = build_org_frame(scope, "certification")
    body = validate_fields(InvitationCreate, form.get_filled("expires_in_hours", "max_uses"))
    if isinstance(body, ValidationError):
        return render_part(request, NewInvitation(frame=frame, form=form, outcome=body))
    created = await catch_problem(db, create_invitation(db, cipher, scope, body))
    if isinstance(created, Problem):
        return render_part(request, NewInvitation(frame=frame, form=form, outcome=created))
    return Response(
        status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/certification/invitations/{created.id}"}
    )


@router.get("/{invitation_id}")
async def show_invitation(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, invitation_id: InvitationId
) -> Response:
    """Show one invitation with its link and QR code, ready to print."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    invitation = build_invitation_out(row, cipher, SETTINGS.get(request).issuer)
    picture = Markup((await draw_svg(invitation.link)).decode())  # noqa: S704 — the service drew it
    frame = build_org_frame(scope, "certification")
    return render_page(
        request, InvitationPage(frame=frame, invitation=invitation, state=find_state(invitation), qr=picture)
    )


@router.get("/{invitation_id}/qr.png")
async def read_picture(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, invitation_id: InvitationId
) -> Response:
    """Return the QR code as an image file."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    picture = await draw_png(build_invitation_out(row, cipher, SETTINGS.get(request).issuer).link)
    return build_download(picture, "invitation.png", "image/png")


@add_confirmation_routes(router, "/{invitation_id}/revocation")
async def confirm_revocation(
    request: Request, db: ReadableDb, scope: Writer, invitation_id: InvitationId
) -> Confirmation:
    """Revoke an invitation."""
    await queries.get_invitation(db, scope.org_id, invitation_id)
    return Confirmation(
        title=gettext("撤销邀请"),
        explanation=gettext("链接和二维码立即失效，不能恢复，需要时可以重新创建；已经提交的申请不受影响。"),
        button=gettext("撤销"),
        operation=lambda db, _: revoke_invitation(db, scope, invitation_id),
        message=gettext("邀请已撤销"),
        name=scope.org.name,
    )
