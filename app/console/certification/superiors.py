"""The org and those above it (认证): applying with an invitation, guarded against the wrong direction (S6, S14)."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator, BeforeValidator, ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.certification import queries
from app.certification.errors import InvitationUnknown
from app.certification.operations import create_application, withdraw_application
from app.certification.previews import count_transfer_figures
from app.certification.schemas import ApplicationCreate
from app.certification.transfers import create_transfer
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, confirmed
from app.console.frame.forms import Form, Outcome, PageForm, checked, is_typed, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.calendar import SHANGHAI
from app.core.i18n import gettext
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.orgs.queries import list_user_orgs
from app.orgs.regions import Level, get_region_level
from app.schema.approvals import CertificationState
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/certification", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
Act = Literal["applications", "transfers"]
ApplicationId = Annotated[UUID, Path()]
MaybeDay = Annotated[
    date | None,
    BeforeValidator(lambda given: given or None),
    AfterValidator(lambda day: day if day is None or 1900 < day.year < 9000 else None),
]


def _midnight(day: date | None, after: int = 0) -> datetime | None:
    """When the day begins in Shanghai, or one so many days after it."""
    return None if day is None else datetime.combine(day, time.min, SHANGHAI) + timedelta(days=after)


@router.get("")
async def show_superiors(
    request: Request,
    db: ReadDb,
    scope: Reader,
    paging: Annotated[Paging, paged_by(UUID)],
    since: MaybeDay = None,
    until: MaybeDay = None,
) -> Response:
    """The chain above, the application that waits, and every edge there was, or of some days, with its time range."""
    during = queries.TimeRange(_midnight(since), _midnight(until, after=1))
    found = await queries.list_certifications(db, scope.org_id, paging, during)
    newest = found if during == queries.TimeRange() else await queries.list_certifications(db, scope.org_id, paging)
    shown = {
        "chain": await queries.list_superiors(db, scope.org_id),
        "waiting": next((one for one in newest.items if one.state is CertificationState.PENDING), None),
        "history": found,
        "since": since,
        "until": until,
    }
    return page(request, "certification/above.html", **in_org(scope, "certification"), **shown)


@router.get("/applications/new")
async def show_new_application(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Where the invitation's link is put in."""
    return await show_link_form(request, db, scope, "applications", Form([]))


@router.post("/applications/check")
async def check_application(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Who invites, and which way round it would be."""
    return await show_direction(request, db, scope, "applications", form)


@router.post("/applications")
async def apply(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Applies to be certified under the org that invited."""
    return await send(request, db, scope, "applications", form)


@confirmed(router, "/applications/{application_id}/withdrawal")
async def withdraw(request: Request, db: ReadableDb, scope: Writer, application_id: ApplicationId) -> Confirmation:
    """Takes the application back, the name of the org that it was made to having been typed."""
    one = await queries.get_certification(db, scope.org_id, application_id)
    return Confirmation(
        title=gettext("撤回对“{name}”的申请", name=one.superior_name),
        says=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        act=lambda db, _: withdraw_application(db, scope, application_id),
        said=gettext("申请已撤回"),
        name=one.superior_name,
    )


def token_in(given: str) -> str:
    """The token of a pasted link, or what was given as it is."""
    given = given.strip()
    return parse_qs(urlsplit(given).query).get("invitation", [""])[0] if "invitation=" in given else given


_LEVELS = list(Level)


@dataclass(frozen=True, slots=True)
class Direction:
    """The org that invites, and what speaks for the two being the wrong way round (S14)."""

    card: Any
    mine: bool
    lower: bool

    def is_confirmed(self, form: Form) -> bool:
        return not (self.mine or self.lower) or is_typed(self.card.org_name, form)


async def _direction(db: WriteDb, scope: OrgScope, form: Form) -> Direction | Problem:
    body = checked(ApplicationCreate, {"invitation_token": token_in(form.get("link", ""))})
    if isinstance(body, ValidationError):
        return InvitationUnknown()
    try:
        card = await queries.get_live_invitation(db, body.invitation_token)
    except Problem as problem:
        return problem
    administered = {
        org.id for org in await list_user_orgs(db, scope.user.user_id) if set(org.roles) & {"main_admin", "admin"}
    }
    above, below = (_LEVELS.index(get_region_level(code)) for code in (card.region_code, scope.org.region_code))
    return Direction(card, card.org_id in administered, above > below)


async def show_link_form(
    request: Request, db: Readable, scope: OrgScope, act: Act, form: Form, outcome: Outcome = None
) -> Response:
    """The first step: an invitation's link."""
    also = len([org for org in await list_user_orgs(db, scope.user.user_id) if "admin" in org.roles]) > 1
    return show_form(request, "certification/apply.html", form, outcome, **_at(scope, act), also=also)


async def show_direction(
    request: Request, db: WriteDb, scope: OrgScope, act: Act, form: Form, outcome: Outcome = None
) -> Response:
    """The second step: both orgs, the one above the other."""
    found = await _direction(db, scope, form)
    if isinstance(found, Problem):
        return await show_link_form(request, db, scope, act, form, found)
    shown = {
        **_at(scope, act),
        "card": found.card,
        "mine": found.mine,
        "lower": found.lower,
        "preview": await _preview(request, db, scope) if act == "transfers" else None,
    }
    return show_form(request, "certification/apply_check.html", form, outcome, **shown)


async def send(request: Request, db: WriteDb, scope: OrgScope, act: Act, form: Form) -> Response:
    """The last step: the application or the transfer is asked for, the direction having been confirmed."""
    found = await _direction(db, scope, form)
    if isinstance(found, Problem):
        return await show_link_form(request, db, scope, act, form, found)
    if not found.is_confirmed(form):
        return await show_direction(request, db, scope, act, form, {"name"})
    body = ApplicationCreate(invitation_token=token_in(form["link"]))
    asked: Awaitable[Any]
    if act == "transfers":
        asked = create_transfer(db, scope, body.invitation_token)
    else:
        asked = create_application(db, scope, body)
    outcome = await refusal_of(db, asked)
    if isinstance(outcome, Problem):
        return await show_direction(request, db, scope, act, form, outcome)
    return done(request, gettext("申请已提交"), PAGE_CHANGED)


async def _preview(request: Request, db: WriteDb, scope: OrgScope) -> dict[str, Any] | None:
    above = await queries.list_superiors(db, scope.org_id)
    if not above:
        return None
    moving = await count_transfer_figures(db, scope.org_id)
    told = moving.people >= SETTINGS.of(request).withhold_below
    points = moving.points if told else None
    return {"orgs": moving.orgs, "people": moving.people, "points": points, "from_name": above[0].name}


def _at(scope: OrgScope, act: Act) -> dict[str, Any]:
    return {
        **in_org(scope, "certification"),
        "act": act,
        "to": f"/console/orgs/{scope.org_id}/certification/{act}",
    }
