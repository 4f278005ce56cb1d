"""Reports and rankings over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.services import SETTINGS
from app.database.db import TransactionalRoute
from app.database.paging import Paging, paged_by
from app.database.replica_reads import ReplicaDb
from app.fastpath.route import fast_get
from app.reports import visible_reports
from app.reports.parameters import DayQuery, ListingQuery, SpanQuery
from app.reports.periods import RETENTION_DAYS
from app.reports.rankings import RankingFilter
from app.reports.schemas import (
    OverviewOut,
    RankBy,
    RankingOut,
    SubordinatesOut,
    TrendOut,
    UnitsOut,
)
from app.reports.visible_reports import Requester

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]


@fast_get(router, "/reports/overview", summary="Overview of an org")
async def read_overview(
    request: Request, scope: Reader, db: ReplicaDb, span: SpanQuery, listing: ListingQuery
) -> OverviewOut:
    """Read the figures of the org itself, of its whole subtree, and of its direct subordinates, each compared with the
    previous period. Read the overview first, then the subordinates, the units or the trend.

    The admins of the org and of the orgs above it can read it. Of the orgs below, every reader sees only totals, in
    which each person counts once. A figure of very few people is withheld.
    """
    return await visible_reports.get_overview(db, Requester.from_scope(scope, SETTINGS.get(request)), span, listing)


@router.get("/reports/subordinates", summary="Compare subordinates")
async def list_subordinate_figures(
    request: Request, scope: Reader, db: ReplicaDb, span: SpanQuery, listing: ListingQuery
) -> SubordinatesOut:
    """List the figures of the direct subordinates, each with its whole subtree, sorted by any column. Withheld figures
    come last. The call changes nothing."""
    return await visible_reports.list_subordinates(
        db, Requester.from_scope(scope, SETTINGS.get(request)), span, listing
    )


@router.get("/reports/units", summary="Compare units")
async def list_unit_figures(
    request: Request, scope: Annotated[OrgScope, Can(Permission.OWN_REPORTS_READ)], db: ReplicaDb, span: SpanQuery
) -> UnitsOut:
    """List the figures of every unit, each with the units under it. Only the admins of the org itself can read them.
    The people are those of the requested day; the tree of units is the present one. The call changes nothing."""
    return await visible_reports.list_units(db, Requester.from_scope(scope, SETTINGS.get(request)), span)


@router.get("/reports/trend", summary="Trend of an org")
async def read_trend(
    request: Request,
    scope: Reader,
    db: ReplicaDb,
    until: DayQuery,
    days: Annotated[int, Query(ge=1, le=RETENTION_DAYS, description="How many days, ending with `day`.")] = 30,
) -> TrendOut:
    """Read the figures of each day, the oldest first. The figures of a day use the people and the hierarchy of that
    day.

    Days for which no totals exist are left out. The call changes nothing.
    """
    return await visible_reports.get_trend(db, Requester.from_scope(scope, SETTINGS.get(request)), until, days)


@router.get("/rankings", summary="Ranking inside an org")
async def read_rankings(
    scope: Annotated[OrgScope, Can(Permission.RANKINGS_READ)],
    db: ReplicaDb,
    paging: Annotated[Paging, paged_by(int, UUID)],
    by: Annotated[RankBy, Query(description="The last seven days (today included), or all points ever.")] = (
        RankBy.LAST_7_DAYS
    ),
    unit_id: Annotated[UUID | None, Query(description="Only members of this unit or of one under it.")] = None,
) -> RankingOut:
    """Read the ranking of the people of the org by points, of the last seven days or in all, with the rank of the
    caller and the neighbours of the caller. Only the people in the directory of the org can read it.

    Equal points share a rank (standard competition ranking). All people are ranked: those who are not activated, and
    those without points in the period, with 0. The call changes nothing.
    """
    ranked = RankingFilter(scope.org_id, by, unit_id)
    return await visible_reports.get_ranking_page(db, ranked, scope.user.user_id, paging)
