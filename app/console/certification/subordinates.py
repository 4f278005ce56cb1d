"""The orgs certified directly under this one (认证): found by name, released."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification import queries
from app.certification.schemas import SubordinateOut
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.console.frame.words import words_of
from app.core.text import has_unshowable
from app.database.db import ReadableDb, ReadDb
from app.database.paging import Page, Paging, paged_by
from app.org_lifecycle.release import release_subordinate

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/subordinates", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
SubordinateId = Annotated[UUID, Path()]


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


@confirmed(router, "/{subordinate_id}/release")
async def release(request: Request, db: ReadableDb, scope: Writer, subordinate_id: SubordinateId) -> Confirmation:
    """Ends the certification, the org's name having been typed."""
    one, words = await queries.get_subordinate(db, scope.org_id, subordinate_id), words_of(request)
    return Confirmation(
        title=words("解除认证"),
        says=words(
            "“{name}”连同它的全部下级不再在本组织之下，您看不到它们的概况；过去的记录不变。要恢复需重新邀请、申请和确认。",
            name=one.name,
        ),
        button=words("解除认证"),
        act=lambda db, _: release_subordinate(db, scope, subordinate_id),
        said=words("已解除“{name}”的认证", name=one.name),
        name=one.name,
    )
