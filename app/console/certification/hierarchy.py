"""The orgs in the caller's subtree, level by level or by search: only their names and totals."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification.queries import OrgNode, list_subordinate_nodes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, is_partial, render_page
from app.core.text import contains_refused_characters
from app.database.db import ReadDb
from app.database.paging import Page, Paging, paged_by
from app.orgs.queries import OrgFilter, OrgFoundRow, search_orgs

router = APIRouter(prefix="/console/orgs/{org_id}/subordinates", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.SUBORDINATES_READ)]


class OrgLevel(FrameContext, template="certification/org_level.html"):
    nodes: Page[OrgNode]


class HierarchyPage(OrgLevel, template="certification/hierarchy.html"):
    pass


class OrgsFound(Context, template="certification/orgs_found.html"):
    """`is_cut`: whether more orgs match than are shown."""

    found: Sequence[OrgFoundRow]
    is_cut: bool
    wanted: str


@router.get("")
async def show_subordinates(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(str, UUID)]
) -> Response:
    """Show the direct subordinates. A partial request gets one org's subordinates or the next page."""
    nodes = Page[OrgNode].from_slice(await list_subordinate_nodes(db, scope.org_id, paging))
    page = OrgLevel if is_partial(request) else HierarchyPage
    return render_page(request, page(frame=build_org_frame(scope, "subordinates"), nodes=nodes))


@router.get("/found")
async def find_orgs(
    request: Request, db: ReadDb, scope: Reader, wanted: Annotated[str, Query(max_length=50)] = ""
) -> Response:
    """Show the orgs visible to the caller whose name, pinyin or initials match the typed text."""
    found, is_cut = list[OrgFoundRow](), False
    if wanted.strip() and not contains_refused_characters(wanted):
        org_filter = OrgFilter(q=wanted.strip(), status="live")
        page = await search_orgs(db, scope.user, org_filter, Paging(30, None))
        found, is_cut = page.rows, page.next_cursor is not None
    return render_page(request, OrgsFound(found=found, is_cut=is_cut, wanted=wanted))
