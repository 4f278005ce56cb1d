"""Links with which people ask to join the org or a unit: a link and a QR code with expiry, use limit and revocation."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from markupsafe import Markup
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.link_states import Link, find_state
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.qr import draw_png, draw_svg
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.joins import links
from app.members.joins.schemas import JoinLinkCreate, JoinLinkOut
from app.web.downloads import build_download
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/join-links", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
LinkId = Annotated[UUID, Path()]


class JoinLinksPage(FrameContext, template="directory/join_links.html"):
    links: Page[JoinLinkOut]
    find_state: Callable[[Link], str]


class NewJoinLink(FormContext, FrameContext, template="directory/new_join_link.html"):
    picker: UnitPicker


class JoinLinkPage(FrameContext, template="directory/join_link.html"):
    join_link: JoinLinkOut
    state: str
    qr: Markup


@router.get("")
async def show_join_links(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the org's links, newest first."""
    found, address = await links.list_join_links(db, scope.org_id, paging), SETTINGS.get(request).issuer
    page = Page[JoinLinkOut].from_slice(found.map(lambda row: links.build_join_link_out(row, cipher, address)))
    return render_page(request, JoinLinksPage(frame=build_org_frame(scope, "joins"), links=page, find_state=find_state))


@router.get("/new")
async def show_new_join_link(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Show the form for a new join link, with its unit, validity period and number of uses."""
    return await _show_form(request, db, scope, Form([]))


@router.post("")
async def add_join_link(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Create a link and go to its page."""
    body = validate_fields(JoinLinkCreate, form.get_filled("expires_in_hours", "max_uses", "unit_id"))
    if isinstance(body, ValidationError):
        return await _show_form(request, db, scope, form, body)
    created = await catch_problem(db, links.create_join_link(db, cipher, scope, body))
    if isinstance(created, Problem):
        return await _show_form(request, db, scope, form, created)
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/join-links/{created.id}"})


@router.get("/{link_id}")
async def show_join_link(request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, link_id: LinkId) -> Response:
    """Show one link with its QR code, ready to print."""
    row = await links.get_join_link(db, scope.org_id, link_id)
    link = links.build_join_link_out(row, cipher, SETTINGS.get(request).issuer)
    picture = Markup((await draw_svg(link.link)).decode())  # noqa: S704 — the service drew it
    page = JoinLinkPage(frame=build_org_frame(scope, "joins"), join_link=link, state=find_state(link), qr=picture)
    return render_page(request, page)


@router.get("/{link_id}/qr.png")
async def read_picture(request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, link_id: LinkId) -> Response:
    """Return the QR code as an image file."""
    row = await links.get_join_link(db, scope.org_id, link_id)
    picture = await draw_png(links.build_join_link_out(row, cipher, SETTINGS.get(request).issuer).link)
    return build_download(picture, "join-link.png", "image/png")


@add_confirmation_routes(router, "/{link_id}/revocation")
async def confirm_revocation(request: Request, db: ReadableDb, scope: Writer, link_id: LinkId) -> Confirmation:
    """Revoke a link."""
    await links.get_join_link(db, scope.org_id, link_id)
    return Confirmation(
        title=gettext("撤销加入链接"),
        explanation=gettext("链接和二维码立即失效，不能恢复，需要时可以重新创建；已经提交的申请不受影响。"),
        button=gettext("撤销"),
        operation=lambda db, _: links.revoke_join_link(db, scope, link_id),
        message=gettext("加入链接已撤销"),
        name=scope.org.name,
    )


async def _show_form(request: Request, db: Readable, scope: OrgScope, form: Form, outcome: Outcome = None) -> Response:
    picker = await load_picker(db, scope.org_id, form.get_all("unit_id"), kind="radio")
    page = NewJoinLink(frame=build_org_frame(scope, "joins"), picker=picker, form=form, outcome=outcome)
    return render_part(request, page)
