"""The first page, and the first page of an org."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.permissions import Permission
from app.console.frame.charts import draw
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import at_home, over_org
from app.console.frame.templates import page, part
from app.console.frame.words import Words, words_of
from app.core.calendar import today
from app.database.db import ReadDb
from app.database.paging import Page, Paging, paged_by
from app.inbox.queries import Waiting, count_waiting, list_waiting
from app.orgs.queries import list_my_orgs
from app.reports.periods import Span
from app.reports.queries import Listing
from app.reports.router import read_overview, read_trend
from app.reports.schemas import Sort


class GlanceRoute(ConsoleRoute):
    """A part of a page that needs no key itself: where one is asked for, it says so in its place (S16)."""

    @staticmethod
    async def step_up(request: Request) -> Response:
        return page(request, "home/glance_locked.html")


router = APIRouter(prefix="/console", route_class=ConsoleRoute, include_in_schema=False)
glance_router = APIRouter(prefix="/console", route_class=GlanceRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]
_WAITING = 8
_GLANCES = 6
_ONE = Listing(Sort.NAME, descending=False, paging=Paging(1, None))


# Where each kind that waits is answered.
_PLACES = {
    "application": "/console/orgs/{org_id}/certification/applications",
    "change-request": "/console/orgs/{org_id}/settings/received",
    "recovery": "/console/orgs/{org_id}/settings",
    "recovery-offer": "/console/orgs/{org_id}/settings/admins",
    "transfer": "/console/orgs/{org_id}/certification/transfers/{id}",
    "admin-invitation": "/console/offers/admin-invitation/{id}",
    "promotion": "/console/offers/promotion/{id}",
    "link-request": "/console/orgs/{org_id}/link-requests",
    "person-transfer": "/console/orgs/{org_id}/person-transfers",
}


def _place_of(one: Any) -> str:
    return _PLACES[one.kind].format(org_id=one.org_id, id=one.id)


@router.get("/")
async def show_home(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """What waits for me, and my orgs."""
    waiting = await list_waiting(db, scope.user_id, replace(paging, limit=_WAITING))
    inbox = Page[Waiting].from_slice(waiting)
    total = sum((await count_waiting(db, scope.user_id)).values()) if waiting.rows else 0
    mine = await list_my_orgs(db, scope.user_id)
    administered = [org for org in mine if set(org.roles) & {"main_admin", "admin"}]
    belonging = [org for org in mine if org not in administered]
    words = words_of(request)
    shown = {
        "administered": administered,
        "belonging": belonging,
        "glances": {org.id for org in administered[:_GLANCES]},
        "inbox": inbox,
        "total": total,
        "link_of": _place_of,
        "kinds": kinds_of(words),
        "details": partial(detail_of, words),
    }
    return page(request, "home/home.html", **at_home(scope), **shown)


def detail_of(words: Words, one: Any) -> str:
    """What is asked, as a reader says it."""
    match one.kind, one.step or one.detail:
        case "change-request", "hand-over":
            return words("移交主管理员")
        case "change-request", "recovery":
            return words("替换主管理员")
        case "change-request", _:
            return words("改名为“{name}”", name=one.detail)
        case "transfer", "release":
            return words("申请转到“{name}”", name=one.detail)
        case "transfer", _:
            return words("从“{name}”转来", name=one.detail)
        case "person-transfer", _:
            return words("申请把 {name} 转入", name=one.detail)
        case _:
            return str(one.detail)


def kinds_of(words: Words) -> dict[str, str]:
    return {
        "application": words("认证申请"),
        "change-request": words("变更申请"),
        "recovery": words("申请替换您"),
        "recovery-offer": words("申请替换您"),
        "transfer": words("整体转移"),
        "admin-invitation": words("管理员邀请"),
        "promotion": words("支部改设"),
        "link-request": words("关联申请"),
        "person-transfer": words("人员转移"),
    }


@glance_router.get("/orgs/{org_id}/glance")
async def show_glance(request: Request, db: ReadDb, scope: Reader) -> Response:
    """An org's week on its card: its figures with all below it, or alone where those may not be told; and how many
    were active day by day."""
    report = await read_overview(request, scope, db, Span(today(), 7), _ONE)
    trend = await read_trend(request, scope, db, today(), 7)
    words = words_of(request)
    own = report.subtree.withheld and not report.org.withheld
    active = {point.day: (point.org if own else point.subtree).active for point in trend.days}
    values = [(day, active.get(day)) for day in (today() - timedelta(days=back) for back in range(6, -1, -1))]
    chart = draw(f"glance-{scope.org_id}", words("近 7 日活跃学员"), values, words.number, bars=True, least=2)
    return part(request, "home/glance.html", figures=report.org if own else report.subtree, own=own, chart=chart)


@router.get("/orgs/{org_id}")
async def show_overview(request: Request, db: ReadDb, scope: Reader) -> Response:
    """An org's figures at a glance."""
    report = await read_overview(request, scope, db, Span(today(), 7), _ONE)
    return page(request, "reports/overview.html", **await over_org(db, scope, "overview"), report=report, today=today())
