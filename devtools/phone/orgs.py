"""Orgs on the phone: create one, apply to a superior by invitation, and see the ranking."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgCard, OrgScope, SignedIn
from app.authz.permissions import Permission
from app.certification.operations import create_application
from app.certification.queries import LiveInvitation, get_live_invitation
from app.certification.schemas import ApplicationCreate
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.regions import RegionChoices
from app.console.frame.templates import Context, ProblemContext, render_page
from app.core.cipher import CipherDep
from app.database.db import ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.org_lifecycle.operations import create_org
from app.orgs.advice import list_name_advice
from app.orgs.names import Advice
from app.orgs.queries import UserOrgRow, list_user_orgs
from app.orgs.schemas import OrgCreate
from app.reports.rankings import RankingFilter
from app.reports.schemas import RankBy, RankingOut
from app.reports.visible_reports import get_ranking_page
from app.web.errors import NotFound, Problem
from devtools.phone.regions import find_phone_region_choices
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)


class NewOrg(FormContext, template="phone/new_org.html"):
    same_name: Sequence[Advice] = ()
    """Advice that the region has an org of this name, which the user can ask to join."""

    @property
    def region_choices(self) -> RegionChoices:
        return find_phone_region_choices(self.form)


class JoinPage(ProblemContext, template="phone/join.html"):
    """The invitation, and the orgs of the user that may apply with its token."""

    card: LiveInvitation | None
    own_orgs: Sequence[UserOrgRow]
    token: str


class AppliedPage(ProblemContext, template="phone/applied.html"):
    org: OrgCard


class RankingPage(Context, template="phone/ranking.html"):
    org: OrgCard
    ranking: RankingOut
    by: RankBy


@router.get("/orgs/new")
async def show_new_org(request: Request, scope: SignedIn) -> Response:
    """Show the form for a new org."""
    return render_page(request, NewOrg())


@router.post("/orgs")
async def add_org(request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm) -> Response:
    """Create an org (S2). If the region has an org of this name, show the way to join it first."""
    body = validate_fields(OrgCreate, form.get_filled("name", "region_code", "kind"))
    if isinstance(body, OrgCreate) and form.get("anyway") != form["name"]:
        advice = await list_name_advice(db, body.name, body.region_code)
        if same_name := [suggestion for suggestion in advice if suggestion.code == "name-exists"]:
            return render_page(request, NewOrg(form=form, same_name=same_name))
    outcome = (
        body if isinstance(body, ValidationError) else await catch_problem(db, create_org(db, cipher, scope, body))
    )
    if isinstance(outcome, ValidationError | Problem):
        return render_page(request, NewOrg(form=form, outcome=outcome))
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


@router.get("/join")
async def show_invitation(
    request: Request, db: ReadDb, scope: SignedIn, invitation: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Show the inviting org and the user's orgs that may apply."""
    own_orgs = [org for org in await list_user_orgs(db, scope.user_id) if set(org.roles) & {"main-admin", "admin"}]
    try:
        found = await get_live_invitation(db, invitation)
    except Problem as problem:
        return render_page(request, JoinPage(card=None, own_orgs=own_orgs, token="", problem=problem))
    return render_page(request, JoinPage(card=found, own_orgs=own_orgs, token=invitation))


@router.post("/orgs/{org_id}/applications")
async def send_application(
    request: Request, db: WriteDb, scope: Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)], form: PageForm
) -> Response:
    """Apply for this org to be certified under the inviting org."""
    body = validate_fields(ApplicationCreate, {"invitation_token": form.get("invitation_token", "")})
    if isinstance(body, ValidationError):
        raise NotFound
    outcome = await catch_problem(db, create_application(db, scope, body))
    problem = outcome if isinstance(outcome, Problem) else None
    return render_page(request, AppliedPage(org=scope.org, problem=problem))


@router.get("/orgs/{org_id}/ranking")
async def show_ranking(
    request: Request,
    db: ReadDb,
    scope: Annotated[OrgScope, Can(Permission.RANKINGS_READ)],
    paging: Annotated[Paging, paged_by(int, UUID)],
    by: RankBy = RankBy.LAST_7_DAYS,
) -> Response:
    """Show the org's people by points, with the user's own rank (S13)."""
    ranking = await get_ranking_page(db, RankingFilter(scope.org_id, by), scope.user.user_id, paging)
    return render_page(request, RankingPage(org=scope.org, ranking=ranking, by=by))
