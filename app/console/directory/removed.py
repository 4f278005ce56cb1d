"""People removed from the directory in the last thirty days, who can be restored."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED
from app.console.frame.confirmations import PAGE_CHANGED
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import PageForm, catch_problem, read_ids
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.cipher import CipherDep
from app.core.i18n import gettext, ngettext
from app.database.db import ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.restoration import list_removed_members, restore_member
from app.members.schemas import RemovedMemberOut
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/removed", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


class RemovedPage(FrameContext, template="directory/removed.html"):
    removed: Page[RemovedMemberOut]


@router.get("")
async def show_removed(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the people who can be restored."""
    removed = await list_removed_members(db, cipher, scope.org_id, paging)
    return render_page(request, RemovedPage(frame=build_org_frame(scope, "removed"), removed=removed))


@router.post("/{member_id}/restoration")
async def restore_person(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: Annotated[UUID, Path()]
) -> Response:
    """Restore a person with their former units."""
    member = await restore_member(db, cipher, scope, member_id)
    return show_message(request, gettext("已恢复 {name}", name=member.name), PAGE_CHANGED, CHANGED)


@router.post("/restorations")
async def restore_people(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Restore several people, and report how many could not be restored."""
    members = read_ids(form, "member_id")
    outcomes = [await catch_problem(db, restore_member(db, cipher, scope, member)) for member in members]
    count = sum(not isinstance(outcome, Problem) for outcome in outcomes)
    message = ngettext("已恢复 {count} 人", count)
    if count < len(outcomes):
        message = gettext(
            "已恢复 {count} 人，{left} 人未能恢复：可能已恢复，或号码又在通讯录中",
            count=count,
            left=len(outcomes) - count,
        )
    return show_message(request, message, PAGE_CHANGED, CHANGED)
