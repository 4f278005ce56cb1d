"""Reports and rankings over HTTP."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from app.auth.access import Can, OrgScope
from app.auth.permissions import Permission, Role
from app.db import Db, TransactionalRoute
from app.errors import Invalid
from app.paging import Page, Paging, encode_cursor, paged_by
from app.points.days import today
from app.reports import queries
from app.reports.above import days_withheld_above
from app.reports.periods import DAYS_KEPT, Period, Span, first_day_kept
from app.reports.queries import Listing, Rows, Viewer
from app.reports.rankings import Ranked, read_ranking
from app.reports.schemas import (
    ComparisonOut,
    MyRankOut,
    OverviewOut,
    RankBy,
    RankingOut,
    RankOut,
    Sort,
    SubordinateFiguresOut,
    SubordinatesOut,
    TrendOut,
    TrendPointOut,
    UnitFiguresOut,
    UnitsOut,
    figures_of,
)
from app.reports.units import read_units
from app.settings import Settings

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]


def _day(
    day: Annotated[
        date | None, Query(description=f"The last day of the period: today unless given, at most {DAYS_KEPT} ago.")
    ] = None,
) -> date:
    now = today()
    if day is None:
        return now
    if not now - timedelta(days=DAYS_KEPT - 1) <= day <= now:
        raise Invalid(
            errors=[{"pointer": "query/day", "code": "day", "detail": f"one of the last {DAYS_KEPT} days, or today"}]
        )
    return day


Day = Annotated[date, Depends(_day)]


def _span(
    day: Day, period: Annotated[Period, Query(description="That day alone, or it and those before.")] = Period.WEEK
) -> Span:
    return Span(day, period.days)


def _listing(
    paging: Annotated[Paging, paged_by(str, bool, float | str, UUID)],
    sort: Annotated[Sort, Query(description="What subordinates are sorted by; withheld ones come last.")] = Sort.NAME,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "asc",
) -> Listing:
    return Listing(sort, order == "desc", paging)


SpanAsked = Annotated[Span, Depends(_span)]
ListingAsked = Annotated[Listing, Depends(_listing)]


@router.get("/reports/overview")
async def read_overview(request: Request, scope: Reader, db: Db, span: SpanAsked, listing: ListingAsked) -> OverviewOut:
    """The org itself, its whole subtree, both compared with the period before, and its direct subordinates (S12).

    For the org's admins and those of the orgs above it: of what is below an org everybody sees totals only, each
    person in them once.
    """
    viewer, withheld = await _viewer(request, scope, db, [span.until])
    found = await queries.read_overview(db, scope.org_id, span, viewer, listing)
    totals, hidden = found.rows[0], bool(withheld)
    previous = None
    if found.compared:
        previous = ComparisonOut(
            since=span.before.since,
            until=span.before.until,
            org=figures_of(totals, "prev_own_", withheld=hidden or totals["prev_own_withheld"]),
            subtree=figures_of(totals, "prev_sub_", withheld=hidden or totals["prev_sub_withheld"]),
        )
    return OverviewOut(
        **_stated(totals["as_of"], span, viewer.threshold),
        org=figures_of(totals, "own_", withheld=hidden or totals["own_withheld"]),
        subtree=figures_of(totals, "sub_", withheld=hidden or totals["sub_withheld"]),
        previous=previous,
        subordinates=_subordinates(found.rows, listing, hidden=hidden),
    )


@router.get("/reports/subordinates")
async def list_subordinates(
    request: Request, scope: Reader, db: Db, span: SpanAsked, listing: ListingAsked
) -> SubordinatesOut:
    """A page of the direct subordinates, each with everything below it, sorted by any column."""
    viewer, withheld = await _viewer(request, scope, db, [span.until])
    rows = (await queries.read_overview(db, scope.org_id, span, viewer, listing)).rows
    return SubordinatesOut(
        **_stated(rows[0]["as_of"], span, viewer.threshold),
        subordinates=_subordinates(rows, listing, hidden=bool(withheld)),
    )


@router.get("/reports/units")
async def list_unit_figures(
    request: Request, scope: Annotated[OrgScope, Can(Permission.UNITS_READ)], db: Db, span: SpanAsked
) -> UnitsOut:
    """Every unit with the units under it, for the own admins: the people of the day, the units as they nest now."""
    report = await read_units(db, scope.org_id, span)
    units = [
        UnitFiguresOut(
            id=row["id"], parent_id=row["parent_id"], name=row["name"], kind=row["kind"], figures=figures_of(row)
        )
        for row in report.rows
    ]
    return UnitsOut(**_stated(report.as_of, span, _threshold(request)), units=units)


@router.get("/reports/trend")
async def read_trend(
    request: Request,
    scope: Reader,
    db: Db,
    until: Day,
    days: Annotated[int, Query(ge=1, le=DAYS_KEPT, description="How many days, ending with `day`.")] = 30,
) -> TrendOut:
    """Day by day, oldest first: each point is of its own day, with that day's people and hierarchy.

    Days from before totals were kept are left out.
    """
    first = max(until - timedelta(days=days - 1), first_day_kept())
    asked = [first + timedelta(days=ahead) for ahead in range((until - first).days + 1)]
    viewer, withheld = await _viewer(request, scope, db, asked)
    rows = await queries.read_trend(db, scope.org_id, asked, viewer)
    points = [
        TrendPointOut(
            day=row["day"],
            org=figures_of(row, "own_", withheld=row["day"] in withheld or row["own_withheld"]),
            subtree=figures_of(row, "sub_", withheld=row["day"] in withheld or row["sub_withheld"]),
        )
        for row in rows
    ]
    return TrendOut(as_of=rows[-1]["as_of"], withheld_below=viewer.threshold, days=points)


@router.get("/rankings")
async def read_rankings(
    scope: Annotated[OrgScope, Can(Permission.RANKINGS_READ)],
    db: Db,
    paging: Annotated[Paging, paged_by(int, UUID)],
    by: Annotated[RankBy, Query(description="The last seven days (today included), or all points ever.")] = (
        RankBy.LAST_7_DAYS
    ),
    unit_id: Annotated[UUID | None, Query(description="Only who stands in this unit or in one under it.")] = None,
) -> RankingOut:
    """The people of the org by points, for the people of the org (S13), with the caller's own place.

    Standard competition ranking: equal points share a rank. Ranked are those whose row is activated; points belong
    to an account, and who has none in the period ranks with 0.
    """
    found = await read_ranking(db, Ranked(scope.org_id, by, unit_id), scope.user.user_id, paging)
    me = next((MyRankOut(**rank.model_dump(), around=found.around) for rank in found.around if rank.me), None)
    return RankingOut(
        as_of=found.as_of,
        by=by,
        people=found.people,
        me=me,
        ranking=Page[RankOut].of(found.page, paging, lambda rank: (rank.points, rank.member_id), RankOut),
    )


async def _viewer(request: Request, scope: OrgScope, db: Db, days: Sequence[date]) -> tuple[Viewer, set[date]]:
    """How the caller sees the org, and on which of the days all of it is withheld from them, from above."""
    threshold = _threshold(request)
    if not scope.roles.isdisjoint({Role.MAIN_ADMIN, Role.ADMIN}):
        return Viewer(True, threshold), set()
    withheld = await days_withheld_above(db, scope.org_id, scope.user.user_id, days, threshold)
    return Viewer(False, threshold), withheld


def _threshold(request: Request) -> int:
    settings: Settings = request.app.state.settings
    return settings.withhold_below


def _stated(as_of: datetime, span: Span, threshold: int) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "period": span.period,
        "since": span.since,
        "until": span.until,
        "withheld_below": threshold,
    }


def _subordinates(rows: Rows, listing: Listing, *, hidden: bool) -> Page[SubordinateFiguresOut]:
    found = [row for row in rows if row["id"] is not None]
    shown = found[: listing.paging.limit]
    cursor = None
    if len(found) > len(shown):
        last = shown[-1]
        cursor = encode_cursor((listing.order, last["sort_group"], last["sort_key"], last["id"]))
    items = [
        SubordinateFiguresOut(
            id=row["id"], name=row["name"], figures=figures_of(row, withheld=hidden or row["withheld"])
        )
        for row in shown
    ]
    return Page[SubordinateFiguresOut](items=items, next_cursor=cursor)
