"""The first page, and the first page of an org."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.auth.access import Can, OrgScope, SignedIn
from app.auth.permissions import Permission
from app.console.rendering import page
from app.console.route import ConsoleRoute
from app.console.standing import at_home, over_org
from app.db import Db
from app.orgs.queries import list_my_orgs
from app.paging import Paging
from app.points.days import today
from app.reports.periods import Span
from app.reports.queries import Listing
from app.reports.router import read_overview
from app.reports.schemas import Sort

router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)


@router.get("/")
async def show_home(request: Request, db: Db, scope: SignedIn) -> Response:
    """My orgs."""
    mine = await list_my_orgs(db, scope.user_id)
    administered = [org for org in mine if set(org.roles) & {"main_admin", "admin"}]
    belonging = [org for org in mine if org not in administered]
    return page(request, "home.html", **at_home(scope), administered=administered, belonging=belonging)


@router.get("/orgs/{org_id}")
async def show_overview(request: Request, db: Db, scope: Annotated[OrgScope, Can(Permission.REPORTS_READ)]) -> Response:
    """An org's figures at a glance."""
    listing = Listing(Sort.NAME, descending=False, paging=Paging(1, None))
    report = await read_overview(request, scope, db, Span(today(), 7), listing)
    return page(request, "overview.html", **await over_org(db, scope, "overview"), report=report, today=today())
