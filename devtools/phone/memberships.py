"""The directories in which the user is, on the phone."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from app.authz.access import SignedIn
from app.console.frame.templates import Context, render_page
from app.database.db import ReadDb
from app.database.paging import Paging
from app.members.own.queries import list_memberships
from app.members.own.schemas import MembershipOut
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/memberships", route_class=PhoneRoute, include_in_schema=False)

_ALL = Paging(200, None)


class MembershipsPage(Context, template="phone/memberships.html"):
    memberships: Sequence[MembershipOut]


@router.get("")
async def show_memberships(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """Show the orgs and units in which the user is."""
    found = await list_memberships(db, scope.user_id, _ALL)
    return render_page(request, MembershipsPage(memberships=found.items))
