"""The page with the directories in which the user is."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.context import FrameContext, build_user_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.database.db import ReadDb
from app.database.paging import Page, Paging, paged_by
from app.members.own.queries import list_memberships
from app.members.own.schemas import MembershipOut

router = APIRouter(prefix="/console/memberships", route_class=ConsoleRoute, include_in_schema=False)


class MembershipsPage(FrameContext, template="account/memberships.html"):
    memberships: Page[MembershipOut]


@router.get("")
async def show_memberships(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the orgs and units in which the user is, as each org has it."""
    found = await list_memberships(db, scope.user_id, paging)
    return render_page(request, MembershipsPage(frame=build_user_frame(scope, "memberships"), memberships=found))
