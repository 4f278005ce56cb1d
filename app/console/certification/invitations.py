"""Inviting subordinates (认证, S6): a link and a QR code to send, save or print, with expiry, uses and revocation."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from markupsafe import Markup
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification import queries
from app.certification import router as calls
from app.certification.operations import create_invitation, revoke_invitation
from app.certification.schemas import InvitationCreate, InvitationOut
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.forms import Form, PageForm, checked, refusal_of, show_form
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.qr import draw_png, draw_svg
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/invitations", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
InvitationId = Annotated[UUID, Path()]
_FORM = "certification/new_invitation.html"


def state_of(one: InvitationOut) -> str:
    """`live`, or why it cannot be used any more."""
    if one.revoked_at is not None:
        return "revoked"
    if one.expires_at <= datetime.now(UTC):
        return "expired"
    return "used-up" if one.uses >= one.max_uses else "live"


@router.get("")
async def show_invitations(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """The org's invitations, newest first."""
    invitations = await calls.list_invitations(request, scope, db, cipher, paging)
    shown = {**in_org(scope, "certification"), "invitations": invitations, "state_of": state_of}
    return page(request, "certification/invitations.html", **shown)


@router.get("/new")
async def show_new_invitation(request: Request, scope: Writer) -> Response:
    """How long it holds, and for how many."""
    return show_form(request, _FORM, Form([]), **in_org(scope, "certification"))


@router.post("")
async def invite(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Makes an invitation, and goes to its page."""
    body = checked(InvitationCreate, form.given("expires_in_hours", "max_uses"))
    if isinstance(body, ValidationError):
        return show_form(request, _FORM, form, body, **in_org(scope, "certification"))
    made = await refusal_of(db, create_invitation(db, cipher, scope, body))
    if isinstance(made, Problem):
        return show_form(request, _FORM, form, made, **in_org(scope, "certification"))
    return Response(
        status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/certification/invitations/{made.id}"}
    )


@router.get("/{invitation_id}")
async def show_invitation(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, invitation_id: InvitationId
) -> Response:
    """One invitation with its link and its code, fit to be printed."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    one = calls.invitation_out(request, cipher, row)
    picture = Markup((await draw_svg(one.link)).decode())  # noqa: S704 — our own drawing
    shown = {**in_org(scope, "certification"), "one": one, "state": state_of(one), "qr": picture}
    return page(request, "certification/invitation.html", **shown)


@router.get("/{invitation_id}/qr.png")
async def read_picture(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, invitation_id: InvitationId
) -> Response:
    """The code as a picture to save and send."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    picture = await draw_png(calls.invitation_out(request, cipher, row).link)
    headers = {"Content-Disposition": 'attachment; filename="invitation.png"'}
    return Response(picture, media_type="image/png", headers=headers)


@confirmed(router, "/{invitation_id}/revocation")
async def revoke(request: Request, db: ReadableDb, scope: Writer, invitation_id: InvitationId) -> Confirmation:
    """Ends an invitation."""
    await queries.get_invitation(db, scope.org_id, invitation_id)
    return Confirmation(
        title=gettext("撤销邀请"),
        says=gettext("链接和二维码立即失效，不能恢复，需要时可以重新创建；已经提交的申请不受影响。"),
        button=gettext("撤销"),
        act=lambda db, _: revoke_invitation(db, scope, invitation_id),
        said=gettext("邀请已撤销"),
        name=scope.org.name,
    )
