"""Reports with the figures that the requester may see, after suppression. The API and the exported files use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from app.authz.access import OrgScope
from app.authz.permissions import ADMINS
from app.core.settings import Settings
from app.database.db import Readable
from app.database.paging import Page, Paging, Slice
from app.database.replica_reads import bound_as_of
from app.reports.overviews import Listing, OverviewRow, fetch_overview
from app.reports.periods import Span, get_first_stored_day
from app.reports.rankings import RankingFilter, get_ranking
from app.reports.schemas import (
    MyRankOut,
    OverviewOut,
    RankingOut,
    RankOut,
    SubordinatesOut,
    TrendOut,
    TrendPointOut,
    UnitFiguresOut,
    UnitsOut,
    build_figure_fields,
    build_figures,
)
from app.reports.secondary_suppression import find_suppressed_days
from app.reports.totals import Viewer
from app.reports.trends import fetch_trend
from app.reports.units import get_unit_report


@dataclass(frozen=True, slots=True)
class Requester:
    """A user who requests reports about an org. `is_own_admin`: the user is an admin of this org itself.

    Totals of fewer people than `threshold` are suppressed.
    """

    org_id: UUID
    user_id: UUID
    is_own_admin: bool
    threshold: int

    @classmethod
    def from_scope(cls, scope: OrgScope, settings: Settings) -> Self:
        """Return the requester for the caller and the org of a scope."""
        is_own_admin = not scope.roles.isdisjoint(ADMINS)
        return cls(scope.org_id, scope.user.user_id, is_own_admin, settings.withhold_below)

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.is_own_admin, self.threshold)

    async def find_suppressed_days(self, db: Readable, days: Sequence[date]) -> set[date]:
        """Return the days among `days` on which all figures of this org are suppressed for the requester.

        On such a day the requester can read the overview of a superior in which the figures of this org's subtree are
        suppressed. This org's own overview would reveal these figures.
        """
        if self.is_own_admin:
            return set()
        return await find_suppressed_days(db, self.org_id, self.user_id, days, self.threshold)


async def get_overview(db: Readable, requester: Requester, span: Span, listing: Listing) -> OverviewOut:
    """Return the overview of the requester's org. Raises Invalid for a cursor of another order."""
    suppressed = bool(await requester.find_suppressed_days(db, [span.until]))
    found = await fetch_overview(db, requester.org_id, span, requester.viewer, listing)
    totals, before = found.totals, span.before
    previous = None
    if found.has_previous:
        previous = {
            "since": before.since,
            "until": before.until,
            "org": build_figure_fields(totals.previous_own, suppressed=suppressed or totals.prev_own_suppressed),
            "subtree": build_figure_fields(
                totals.previous_subtree, suppressed=suppressed or totals.prev_sub_suppressed
            ),
        }
    # All models are created from one value in one call, which costs a third less than one call for each.
    return OverviewOut.model_validate(
        _build_header(bound_as_of(db, totals.as_of), span, requester)
        | {
            "org": build_figure_fields(totals.own, suppressed=suppressed or totals.own_suppressed),
            "subtree": build_figure_fields(totals.subtree, suppressed=suppressed or totals.sub_suppressed),
            "previous": previous,
            "subordinates": _build_subordinates(found.subordinates, listing, suppressed=suppressed),
        }
    )


async def list_subordinates(db: Readable, requester: Requester, span: Span, listing: Listing) -> SubordinatesOut:
    """Return a page of the org's subordinates with their figures. Raises Invalid for a cursor of another order."""
    suppressed = bool(await requester.find_suppressed_days(db, [span.until]))
    found = await fetch_overview(db, requester.org_id, span, requester.viewer, listing)
    return SubordinatesOut.model_validate(
        _build_header(bound_as_of(db, found.totals.as_of), span, requester)
        | {"subordinates": _build_subordinates(found.subordinates, listing, suppressed=suppressed)}
    )


async def list_units(db: Readable, requester: Requester, span: Span) -> UnitsOut:
    """Return the units of the org with their figures, in the order of the tree."""
    report = await get_unit_report(db, requester.org_id, span)
    units = [
        UnitFiguresOut(id=row.id, parent_id=row.parent_id, name=row.name, kind=row.kind, figures=build_figures(row))
        for row in report.rows
    ]
    return UnitsOut(**_build_header(bound_as_of(db, report.as_of), span, requester), units=units)


async def get_trend(db: Readable, requester: Requester, until: date, days: int) -> TrendOut:
    """Return the figures of each of the `days` days up to `until`, the oldest first."""
    first = max(until - timedelta(days=days - 1), get_first_stored_day())
    requested = [first + timedelta(days=ahead) for ahead in range((until - first).days + 1)]
    rows = await fetch_trend(db, requester.org_id, requested, requester.viewer)
    # Only the returned days are checked: a day that is not stored is recounted for every org up to the requester's org.
    suppressed_days = await requester.find_suppressed_days(db, [row.day for row in rows])
    points = [
        TrendPointOut(
            day=row.day,
            org=build_figures(row.own, suppressed=row.day in suppressed_days or row.own_suppressed),
            subtree=build_figures(row.subtree, suppressed=row.day in suppressed_days or row.sub_suppressed),
        )
        for row in rows
    ]
    return TrendOut(as_of=bound_as_of(db, rows[-1].as_of), withheld_below=requester.threshold, days=points)


async def get_ranking_page(db: Readable, ranked: RankingFilter, user_id: UUID, paging: Paging) -> RankingOut:
    """Return a page of the ranking with the user's own rank. Raises NotFound if the org does not have the unit."""
    found = await get_ranking(db, ranked, user_id, paging)
    me = next((MyRankOut(**rank.model_dump(), around=found.neighbours) for rank in found.neighbours if rank.me), None)
    return RankingOut(
        as_of=bound_as_of(db, found.as_of),
        by=ranked.by,
        people=found.people,
        me=me,
        ranking=Page[RankOut].from_slice(Slice.cut(found.page, paging, lambda rank: (rank.points, rank.member_id))),
    )


def _build_header(as_of: datetime, span: Span, requester: Requester) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "period": span.period,
        "since": span.since,
        "until": span.until,
        "withheld_below": requester.threshold,
    }


def _build_subordinates(found: Sequence[OverviewRow], listing: Listing, *, suppressed: bool) -> dict[str, object]:
    """Return the fields of a page of SubordinateFiguresOut."""
    page = Slice.cut(found, listing.paging, lambda row: (listing.order, row.sort_group, row.sort_key, row.id))
    items = [
        {"id": row.id, "name": row.name, "figures": build_figure_fields(row, suppressed=suppressed or row.suppressed)}
        for row in page.rows
    ]
    return {"items": items, "next_cursor": page.next_cursor}
