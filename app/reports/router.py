"""Reports and rankings over HTTP."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from app.authz.access import Can, OrgScope
from app.authz.permissions import ADMINS, Permission
from app.core.calendar import today
from app.core.i18n import gettext
from app.core.services import SETTINGS
from app.database.db import ReadDb, TransactionalRoute
from app.database.paging import Page, Paging, Slice, paged_by
from app.fastpath.route import fast_get
from app.reports import visible_reports
from app.reports.periods import RETENTION_DAYS, Period, Span
from app.reports.queries import Listing
from app.reports.rankings import RankingFilter, get_ranking
from app.reports.schemas import (
    MyRankOut,
    OverviewOut,
    RankBy,
    RankingOut,
    RankOut,
    Sort,
    SubordinatesOut,
    TrendOut,
    UnitsOut,
)
from app.reports.visible_reports import Requester
from app.web.errors import Invalid

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]


async def _day(
    day: Annotated[
        date | None,
        Query(description=f"The last day of the period: today unless given, at most {RETENTION_DAYS} days ago."),
    ] = None,
) -> date:
    now = today()
    if day is None:
        return now
    if not now - timedelta(days=RETENTION_DAYS - 1) <= day <= now:
        raise Invalid(
            errors=[
                {
                    "pointer": "query/day",
                    "code": "day",
                    "detail": gettext("须为最近 {days} 天之内或今天", days=RETENTION_DAYS),
                }
            ]
        )
    return day


Day = Annotated[date, Depends(_day)]


async def _span(
    day: Day,
    period: Annotated[Period, Query(description="The length of the period, which ends with `day`.")] = Period.WEEK,
) -> Span:
    return Span(day, period.days)


async def _listing(
    paging: Annotated[Paging, paged_by(str, bool, float | str, UUID)],
    sort: Annotated[
        Sort, Query(description="The column that sorts the subordinates. Withheld figures come last.")
    ] = Sort.NAME,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "asc",
) -> Listing:
    return Listing(sort, order == "desc", paging)


SpanQuery = Annotated[Span, Depends(_span)]
ListingQuery = Annotated[Listing, Depends(_listing)]


@fast_get(router, "/reports/overview", summary="Overview of an org")
async def read_overview(
    request: Request, scope: Reader, db: ReadDb, span: SpanQuery, listing: ListingQuery
) -> OverviewOut:
    """The figures of the org itself, of its whole subtree, and of its direct subordinates, each compared with the
    period before. Start here, then go into subordinates, units or the trend.

    The admins of the org and of the orgs above it can read it. Of what is below an org everybody sees totals only,
    in which each person counts once. A figure of very few people is withheld.
    """
    return await visible_reports.get_overview(db, get_requester(request, scope), span, listing)


@router.get("/reports/subordinates", summary="Compare subordinates")
async def list_subordinates(
    request: Request, scope: Reader, db: ReadDb, span: SpanQuery, listing: ListingQuery
) -> SubordinatesOut:
    """A page of the direct subordinates, each with everything below it, sorted by any column. Withheld figures come
    last; nothing is changed.
    """
    return await visible_reports.list_subordinates(db, get_requester(request, scope), span, listing)


@router.get("/reports/units", summary="Compare units")
async def list_unit_figures(
    request: Request, scope: Annotated[OrgScope, Can(Permission.UNITS_READ)], db: ReadDb, span: SpanQuery
) -> UnitsOut:
    """Every unit with the units under it, for the admins of the org itself. The people are those of the day that is
    requested; the tree of units is the present one. Nothing is changed.
    """
    return await visible_reports.list_units(db, get_requester(request, scope), span)


@router.get("/reports/trend", summary="Trend of an org")
async def read_trend(
    request: Request,
    scope: Reader,
    db: ReadDb,
    until: Day,
    days: Annotated[int, Query(ge=1, le=RETENTION_DAYS, description="How many days, ending with `day`.")] = 30,
) -> TrendOut:
    """The figures day by day, the oldest first. Each point is of its own day, with the people and the hierarchy of
    that day.

    Days for which no totals exist are left out, and nothing is changed.
    """
    return await visible_reports.get_trend(db, get_requester(request, scope), until, days)


@router.get("/rankings", summary="Ranking inside an org")
async def read_rankings(
    scope: Annotated[OrgScope, Can(Permission.RANKINGS_READ)],
    db: ReadDb,
    paging: Annotated[Paging, paged_by(int, UUID)],
    by: Annotated[RankBy, Query(description="The last seven days (today included), or all points ever.")] = (
        RankBy.LAST_7_DAYS
    ),
    unit_id: Annotated[UUID | None, Query(description="Only members of this unit or of one under it.")] = None,
) -> RankingOut:
    """The people of the org by points, of the last seven days or in all, with the place of the caller and their
    neighbours. The people in the directory of the org can read it, and no other user.

    Equal points share a rank (standard competition ranking). Only activated members are ranked; one without points
    in the period ranks with 0. Nothing is changed.
    """
    found = await get_ranking(db, RankingFilter(scope.org_id, by, unit_id), scope.user.user_id, paging)
    me = next((MyRankOut(**rank.model_dump(), around=found.neighbours) for rank in found.neighbours if rank.me), None)
    return RankingOut(
        as_of=found.as_of,
        by=by,
        people=found.people,
        me=me,
        ranking=Page[RankOut].from_slice(Slice.cut(found.page, paging, lambda rank: (rank.points, rank.member_id))),
    )


def get_requester(request: Request, scope: OrgScope) -> Requester:
    settings = SETTINGS.of(request)
    is_own_admin = not scope.roles.isdisjoint(ADMINS)
    return Requester(scope.org_id, scope.user.user_id, is_own_admin, settings.withhold_below)
