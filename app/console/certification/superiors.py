"""The org's superiors (认证): apply with an invitation, with a check of the direction (S6, S14)."""

from collections.abc import Awaitable, Sequence
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
from app.certification.schemas import ApplicationCreate, CertificationOut, SuperiorOut
from app.certification.transfers import create_transfer
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, is_name_typed, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.calendar import SHANGHAI
from app.core.i18n import gettext
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.orgs.advice import list_edge_advice
from app.orgs.names import Advice
from app.orgs.queries import list_user_orgs
from app.reports import visible_reports
from app.schema.approvals import CertificationState
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}/certification", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
Act = Literal["applications", "transfers"]
ApplicationId = Annotated[UUID, Path()]
OptionalDay = Annotated[
    date | None,
    BeforeValidator(lambda given: given or None),
    AfterValidator(lambda day: day if day is None or 1900 < day.year < 9000 else None),
]


def _start_of_day(day: date | None, after: int = 0) -> datetime | None:
    """Return the start of the day in Asia/Shanghai, plus `after` days."""
    return None if day is None else datetime.combine(day, time.min, SHANGHAI) + timedelta(days=after)


class SuperiorsPage(FrameContext, template="certification/above.html"):
    chain: Sequence[SuperiorOut]
    waiting: CertificationOut | None
    history: Page[CertificationOut]
    since: date | None
    until: date | None


class RequestForm(FormContext, FrameContext):
    """A step of an application, or of the request for a transfer."""

    act: Act

    @property
    def to(self) -> str:
        """Return the address of the steps."""
        assert self.org is not None
        return f"/console/orgs/{self.org.id}/certification/{self.act}"


class LinkForm(RequestForm, template="certification/apply.html"):
    administers_more: bool


@dataclass(frozen=True, slots=True)
class MovingFigures:
    """What a transfer moves. `people` and `points` are None if reports withhold them."""

    orgs: int
    people: int | None
    points: int | None
    from_name: str


class DirectionForm(RequestForm, template="certification/apply_check.html"):
    card: queries.LiveInvitation
    is_own: bool
    advice: Sequence[Advice]
    preview: MovingFigures | None


@router.get("")
async def show_superiors(
    request: Request,
    db: ReadDb,
    scope: Reader,
    paging: Annotated[Paging, paged_by(UUID)],
    since: OptionalDay = None,
    until: OptionalDay = None,
) -> Response:
    """Show the superiors, the pending application, and the certifications of a period with their time ranges."""
    during = queries.TimeRange(_start_of_day(since), _start_of_day(until, after=1))
    found = await queries.list_certifications(db, scope.org_id, paging, during)
    newest = found if during == queries.TimeRange() else await queries.list_certifications(db, scope.org_id, paging)
    page = SuperiorsPage(
        frame=build_org_frame(scope, "certification"),
        chain=await queries.list_superiors(db, scope.org_id),
        waiting=next(
            (certification for certification in newest.items if certification.state is CertificationState.PENDING), None
        ),
        history=found,
        since=since,
        until=until,
    )
    return render_page(request, page)


@router.get("/applications/new")
async def show_new_application(request: Request, db: ReadDb, scope: Writer) -> Response:
    """Show the form in which the admin enters the link of the invitation that the org has received."""
    return await show_link_form(request, db, scope, "applications", Form([]))


@router.post("/applications/check")
async def check_application(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Show the inviting org and the direction of the certification."""
    return await show_direction(request, db, scope, "applications", form)


@router.post("/applications")
async def submit_application(request: Request, db: WriteDb, scope: Writer, form: PageForm) -> Response:
    """Apply to be certified under the inviting org."""
    return await send_request(request, db, scope, "applications", form)


@add_confirmation_routes(router, "/applications/{application_id}/withdrawal")
async def confirm_withdrawal(
    request: Request, db: ReadableDb, scope: Writer, application_id: ApplicationId
) -> Confirmation:
    """Withdraw the application. The user types the name of the superior to confirm."""
    certification = await queries.get_certification(db, scope.org_id, application_id)
    return Confirmation(
        title=gettext("撤回对“{name}”的申请", name=certification.superior_name),
        explanation=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        operation=lambda db, _: withdraw_application(db, scope, application_id),
        message=gettext("申请已撤回"),
        name=certification.superior_name,
    )


def extract_token(given: str) -> str:
    """Return the token of a pasted link, or the text itself if it is not a link."""
    given = given.strip()
    return parse_qs(urlsplit(given).query).get("invitation", [""])[0] if "invitation=" in given else given


@dataclass(frozen=True, slots=True)
class Direction:
    """The inviting org, and what is unusual about the edge: it may be the wrong way round (S14)."""

    card: queries.LiveInvitation
    is_own: bool
    advice: Sequence[Advice]

    def is_confirmed(self, form: Form) -> bool:
        return not (self.is_own or self.advice) or is_name_typed(self.card.org_name, form)


async def _load_direction(db: WriteDb, scope: OrgScope, form: Form) -> Direction | Problem:
    body = validate_fields(ApplicationCreate, {"invitation_token": extract_token(form.get("link", ""))})
    if isinstance(body, ValidationError):
        return InvitationUnknown()
    try:
        card = await queries.get_live_invitation(db, body.invitation_token)
    except Problem as problem:
        return problem
    administered = {
        org.id for org in await list_user_orgs(db, scope.user.user_id) if set(org.roles) & {"main-admin", "admin"}
    }
    return Direction(card, card.org_id in administered, list_edge_advice(card, scope.org))


async def show_link_form(
    request: Request, db: Readable, scope: OrgScope, act: Act, form: Form, outcome: Outcome = None
) -> Response:
    """Show the first step: the form in which the admin enters the link of an invitation."""
    also = len([org for org in await list_user_orgs(db, scope.user.user_id) if "admin" in org.roles]) > 1
    dialog = LinkForm(
        frame=build_org_frame(scope, "certification"), form=form, outcome=outcome, act=act, administers_more=also
    )
    return render_part(request, dialog)


async def show_direction(
    request: Request, db: WriteDb, scope: OrgScope, act: Act, form: Form, outcome: Outcome = None
) -> Response:
    """Show the second step: both orgs, the superior first."""
    found = await _load_direction(db, scope, form)
    if isinstance(found, Problem):
        return await show_link_form(request, db, scope, act, form, found)
    dialog = DirectionForm(
        frame=build_org_frame(scope, "certification"),
        form=form,
        outcome=outcome,
        act=act,
        card=found.card,
        is_own=found.is_own,
        advice=found.advice,
        preview=await _load_preview(request, db, scope) if act == "transfers" else None,
    )
    return render_part(request, dialog)


async def send_request(request: Request, db: WriteDb, scope: OrgScope, act: Act, form: Form) -> Response:
    """Do the last step: create the application or the transfer if the direction is confirmed."""
    found = await _load_direction(db, scope, form)
    if isinstance(found, Problem):
        return await show_link_form(request, db, scope, act, form, found)
    if not found.is_confirmed(form):
        return await show_direction(request, db, scope, act, form, {"name"})
    body = ApplicationCreate(invitation_token=extract_token(form["link"]))
    creation: Awaitable[Any]
    if act == "transfers":
        creation = create_transfer(db, scope, body.invitation_token)
    else:
        creation = create_application(db, scope, body)
    outcome = await catch_problem(db, creation)
    if isinstance(outcome, Problem):
        return await show_direction(request, db, scope, act, form, outcome)
    return show_message(request, gettext("申请已提交"), PAGE_CHANGED)


async def _load_preview(request: Request, db: WriteDb, scope: OrgScope) -> MovingFigures | None:
    superiors = await queries.list_superiors(db, scope.org_id)
    if not superiors:
        return None
    requester = visible_reports.Requester(scope.org_id, scope.user.user_id, True, SETTINGS.get(request).withhold_below)
    moving = await count_transfer_figures(db, requester)
    return MovingFigures(moving.orgs, moving.people, moving.points, superiors[0].name)
