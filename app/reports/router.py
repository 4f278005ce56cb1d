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
from app.reports import answers
from app.reports.answers import Asker
from app.reports.periods import DAYS_KEPT, Period, Span
from app.reports.queries import Listing
from app.reports.rankings import Ranked, read_ranking
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
from app.web.errors import Invalid

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]


async def _day(
    day: Annotated[
        date | None, Query(description=f"The last day of the period: today unless given, at most {DAYS_KEPT} days ago.")
    ] = None,
) -> date:
    now = today()
    if day is None:
        return now
    if not now - timedelta(days=DAYS_KEPT - 1) <= day <= now:
        raise Invalid(
            errors=[
                {
                    "pointer": "query/day",
                    "code": "day",
                    "detail": gettext("须为最近 {days} 天之内或今天", days=DAYS_KEPT),
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


SpanAsked = Annotated[Span, Depends(_span)]
ListingAsked = Annotated[Listing, Depends(_listing)]


@fast_get(router, "/reports/overview", summary="Overview of an org")
async def read_overview(
    request: Request, scope: Reader, db: ReadDb, span: SpanAsked, listing: ListingAsked
) -> OverviewOut:
    """The figures of the org itself, of its whole subtree, and of its direct subordinates, each compared with the
    period before. Start here, then go into subordinates, units or the trend.

    The admins of the org and of the orgs above it can read it. Of what is below an org everybody sees totals only,
    in which each person counts once. A figure of very few people is withheld.
    """
    return await answers.get_overview(db, asker_of(request, scope), span, listing)


@router.get("/reports/subordinates", summary="Compare subordinates")
async def list_subordinates(
    request: Request, scope: Reader, db: ReadDb, span: SpanAsked, listing: ListingAsked
) -> SubordinatesOut:
    """A page of the direct subordinates, each with everything below it, sorted by any column. Withheld figures come
    last; nothing is changed.
    """
    return await answers.list_subordinates(db, asker_of(request, scope), span, listing)


@router.get("/reports/units", summary="Compare units")
async def list_unit_figures(
    request: Request, scope: Annotated[OrgScope, Can(Permission.UNITS_READ)], db: ReadDb, span: SpanAsked
) -> UnitsOut:
    """Every unit with the units under it, for the admins of the org itself. The people are those of the day that is
    asked for; the tree of units is the present one. Nothing is changed.
    """
    return await answers.list_units(db, asker_of(request, scope), span)


@router.get("/reports/trend", summary="Trend of an org")
async def read_trend(
    request: Request,
    scope: Reader,
    db: ReadDb,
    until: Day,
    days: Annotated[int, Query(ge=1, le=DAYS_KEPT, description="How many days, ending with `day`.")] = 30,
) -> TrendOut:
    """The figures day by day, the oldest first. Each point is of its own day, with the people and the hierarchy of
    that day.

    Days for which no totals exist are left out, and nothing is changed.
    """
    return await answers.get_trend(db, asker_of(request, scope), until, days)


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
    neighbours. Everybody in the directory of the org can read it, and nobody else.

    Equal points share a rank (standard competition ranking). Only activated members are ranked; one without points
    in the period ranks with 0. Nothing is changed.
    """
    found = await read_ranking(db, Ranked(scope.org_id, by, unit_id), scope.user.user_id, paging)
    me = next((MyRankOut(**rank.model_dump(), around=found.around) for rank in found.around if rank.me), None)
    return RankingOut(
        as_of=found.as_of,
        by=by,
        people=found.people,
        me=me,
        ranking=Page[RankOut].from_slice(Slice.cut(found.page, paging, lambda rank: (rank.points, rank.member_id))),
    )


def asker_of(request: Request, scope: OrgScope) -> Asker:
    settings = SETTINGS.of(request)
    inside = not scope.roles.isdisjoint(ADMINS)
    return Asker(scope.org_id, scope.user.user_id, inside, settings.withhold_below)
