"""Who was removed from the directory in the last thirty days, brought back where it was a mistake."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import CHANGED
from app.console.frame.confirmations import PAGE_CHANGED
from app.console.frame.forms import PageForm, ids_of, refusal_of
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.cipher import CipherDep
from app.core.i18n import gettext, ngettext
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.members.restoration import list_removed_members, restore_member
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/removed", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.get("")
async def show_removed(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Those who can still be brought back."""
    removed = await list_removed_members(db, cipher, scope.org_id, paging)
    return page(request, "directory/removed.html", **in_org(scope, "removed"), removed=removed)


@router.post("/{member_id}/restoration")
async def restore(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: Annotated[UUID, Path()]
) -> Response:
    """Brings a person back to where they stood."""
    member = await restore_member(db, cipher, scope, member_id)
    return done(request, gettext("已恢复 {name}", name=member.name), PAGE_CHANGED, CHANGED)


@router.post("/restorations")
async def restore_several(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Brings several back, those whom it can."""
    members = ids_of(form, "member_id")
    outcomes = [await refusal_of(db, restore_member(db, cipher, scope, member)) for member in members]
    count = sum(not isinstance(outcome, Problem) for outcome in outcomes)
    said = ngettext("已恢复 {count} 人", count)
    if count < len(outcomes):
        said = gettext(
            "已恢复 {count} 人，{left} 人未能恢复：可能已恢复，或号码又在通讯录中",
            count=count,
            left=len(outcomes) - count,
        )
    return done(request, said, PAGE_CHANGED, CHANGED)
