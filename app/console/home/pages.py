"""The home page, and the overview page of an org."""

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.auth.operators.operators import is_operator
from app.authz.access import Can, OrgScope, SignedIn
from app.authz.permissions import Permission
from app.console.frame.charts import Chart, draw_chart
from app.console.frame.context import FrameContext, SubjectContext, build_user_frame, load_subject
from app.console.frame.formats import format_month_day
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page, render_part
from app.core.calendar import today
from app.core.i18n import gettext, gettext_noop, join_words, ngettext, number
from app.core.services import SETTINGS
from app.database.db import ReadDb
from app.database.paging import Page, Paging, paged_by
from app.inbox.queries import WaitingRequest, count_waiting_requests, list_waiting_requests
from app.orgs.queries import UserOrgRow, list_user_orgs
from app.reports.overviews import Listing
from app.reports.periods import Span
from app.reports.schemas import FiguresOut, OverviewOut, Sort
from app.reports.visible_reports import Requester, get_overview, get_trend


class LockedGlance(Context, template="home/glance_locked.html"):
    pass


class GlanceRoute(ConsoleRoute):
    """A part of a page that works without a security key. If a key is required, the part alone asks for it (S16)."""

    @staticmethod
    async def show_step_up(request: Request) -> Response:
        return render_page(request, LockedGlance())


router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)
glance_router = APIRouter(prefix="/console", route_class=GlanceRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]
_INBOX_ROWS = 8
_MAX_GLANCES = 6
_ONE = Listing(Sort.NAME, descending=False, paging=Paging(1, None))


# The page on which each kind of request is decided.
_LINKS = {
    "application": "/console/orgs/{org_id}/certification/applications",
    "change-request": "/console/orgs/{org_id}/settings/received",
    "recovery": "/console/orgs/{org_id}/settings",
    "recovery-offer": "/console/orgs/{org_id}/settings/admins",
    "transfer": "/console/orgs/{org_id}/certification/transfers/{id}",
    "admin-invitation": "/console/offers/admin-invitation/{id}",
    "promotion": "/console/offers/promotion/{id}",
    "link-request": "/console/orgs/{org_id}/link-requests",
    "person-transfer": "/console/orgs/{org_id}/person-transfers",
    "group-transfer": "/console/orgs/{org_id}/group-transfers/{id}",
    "merger": "/console/orgs/{org_id}/certification/mergers/{id}",
    "closure": "/console/orgs/{org_id}/settings",
    "join-request": "/console/orgs/{org_id}/join-requests",
    "removal-request": "/console/orgs/{org_id}/removal-requests",
}


def _build_link(entry: WaitingRequest) -> str:
    return _LINKS[entry.kind].format(org_id=entry.org_id, id=entry.id)


class HomePage(FrameContext, template="home/home.html"):
    """`glances`: the orgs whose cards load their figures; `total`: the number of all waiting requests."""

    administered: Sequence[UserOrgRow]
    other_orgs: Sequence[UserOrgRow]
    glances: Set[UUID]
    inbox: Page[WaitingRequest]
    total: int
    build_link: Callable[[WaitingRequest], str]
    translate_kind: Callable[[str], str]
    describe_request: Callable[[WaitingRequest], str]


class Glance(Context, template="home/glance.html"):
    """The figures of an org for the last week. `own`: they are those of the org alone, without its subordinates.
    `values`: the values of the chart as text."""

    figures: FiguresOut
    own: bool
    chart: Chart
    values: str


class OverviewPage(SubjectContext, template="reports/overview.html"):
    report: OverviewOut
    today: date


@router.get("/")
async def show_home(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the caller's inbox and orgs."""
    waiting = await list_waiting_requests(db, scope, replace(paging, limit=_INBOX_ROWS))
    total = sum((await count_waiting_requests(db, scope)).values()) if waiting.rows else 0
    own_orgs = await list_user_orgs(db, scope.user_id)
    administered = [org for org in own_orgs if set(org.roles) & {"main-admin", "admin"}]
    page = HomePage(
        frame=build_user_frame(scope, is_operator=await is_operator(db, scope.user_id)),
        administered=administered,
        other_orgs=[org for org in own_orgs if org not in administered],
        glances={org.id for org in administered[:_MAX_GLANCES]},
        inbox=Page[WaitingRequest].from_slice(waiting),
        total=total,
        build_link=_build_link,
        translate_kind=translate_kind,
        describe_request=describe_request,
    )
    return render_page(request, page)


def translate_kind(kind: str) -> str:
    """Return the name of a kind of request."""
    return gettext(KINDS[kind])


def describe_request(entry: WaitingRequest) -> str:
    """Return the requested change as text for the reader."""
    match entry.kind, entry.step or entry.detail:
        case "change-request", "hand-over":
            return gettext("移交主管理员")
        case "change-request", "recovery":
            return gettext("更换主管理员")
        case "change-request", _:
            return gettext("名称改为“{name}”", name=entry.detail)
        case "transfer", "release":
            return gettext("申请转到“{name}”", name=entry.detail)
        case "transfer", _:
            return gettext("从“{name}”转来", name=entry.detail)
        case "join-request", _:
            return gettext("申请加入“{unit}”", unit=entry.detail)
        case "person-transfer", _:
            return gettext("申请将 {name} 转入", name=entry.detail)
        case "group-transfer", _:
            return ngettext("申请将 {count} 人转入", int(entry.detail or 0))
        case _:
            return str(entry.detail)


KINDS = {
    "application": gettext_noop("认证申请"),
    "change-request": gettext_noop("变更申请"),
    "recovery": gettext_noop("申请更换主管理员"),
    "recovery-offer": gettext_noop("申请更换主管理员"),
    "transfer": gettext_noop("整体转移"),
    "admin-invitation": gettext_noop("管理员邀请"),
    "promotion": gettext_noop("支部改设"),
    "link-request": gettext_noop("关联申请"),
    "person-transfer": gettext_noop("人员转移"),
    "group-transfer": gettext_noop("多人转移"),
    "merger": gettext_noop("组织合并"),
    "closure": gettext_noop("申请关闭组织"),
    "join-request": gettext_noop("加入申请"),
    "removal-request": gettext_noop("移出申请"),
}
"""The name of each kind in the inbox."""


@glance_router.get("/orgs/{org_id}/glance")
async def show_glance(request: Request, db: ReadDb, scope: Reader) -> Response:
    """Show an org's week on its card: the figures with its subtree, and the active people by day.

    If the subtree's figures are suppressed, show those of the org alone.
    """
    report = await get_overview(db, Requester.from_scope(scope, SETTINGS.get(request)), Span(today(), 7), _ONE)
    trend = await get_trend(db, Requester.from_scope(scope, SETTINGS.get(request)), today(), 7)
    own = report.subtree.withheld and not report.org.withheld
    active = {point.day: (point.org if own else point.subtree).active for point in trend.days}
    values = [(day, active.get(day)) for day in (today() - timedelta(days=back) for back in range(6, -1, -1))]
    chart = draw_chart(f"glance-{scope.org_id}", gettext("近 7 日活跃学员"), values, number, bars=True, least=2)
    by_day = join_words(f"{format_month_day(mark.day)} {number(mark.value)}" for mark in chart.visible_marks)
    figures = report.org if own else report.subtree
    return render_part(request, Glance(figures=figures, own=own, chart=chart, values=by_day))


@router.get("/orgs/{org_id}")
async def show_overview(request: Request, db: ReadDb, scope: Reader) -> Response:
    """Show an org's figures."""
    report = await get_overview(db, Requester.from_scope(scope, SETTINGS.get(request)), Span(today(), 7), _ONE)
    frame, viewed = await load_subject(db, scope, "overview")
    return render_page(request, OverviewPage(frame=frame, viewed=viewed, report=report, today=today()))
