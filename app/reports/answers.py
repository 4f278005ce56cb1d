"""Reports as they are answered with, on a screen or in a file: figures, and what of them the asker is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from app.database.db import Readable
from app.database.paging import Slice
from app.reports import queries
from app.reports.periods import Span, first_day_kept
from app.reports.queries import Listing, OverviewRow, Viewer
from app.reports.schemas import (
    OverviewOut,
    SubordinatesOut,
    TrendOut,
    TrendPointOut,
    UnitFiguresOut,
    UnitsOut,
    figures_in,
    figures_of,
)
from app.reports.secondary_suppression import days_withheld_above
from app.reports.units import read_units


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks about which org; `inside` are its own admins. Totals of fewer people than `threshold` are withheld."""

    org_id: UUID
    user_id: UUID
    inside: bool
    threshold: int

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.inside, self.threshold)

    async def days_withheld(self, db: Readable, days: Sequence[date]) -> set[date]:
        """On which of the days all of the org is withheld from the asker, from above."""
        if self.inside:
            return set()
        return await days_withheld_above(db, self.org_id, self.user_id, days, self.threshold)


async def get_overview(db: Readable, asker: Asker, span: Span, listing: Listing) -> OverviewOut:
    hidden = bool(await asker.days_withheld(db, [span.until]))
    found = await queries.read_overview(db, asker.org_id, span, asker.viewer, listing)
    totals, before = found.totals, span.before
    previous = None
    if found.compared:
        previous = {
            "since": before.since,
            "until": before.until,
            "org": figures_in(totals.previous_own, withheld=hidden or totals.prev_own_withheld),
            "subtree": figures_in(totals.previous_subtree, withheld=hidden or totals.prev_sub_withheld),
        }
    # Of one value the models are made in one go, which costs a third less than one by one.
    return OverviewOut.model_validate(
        _stated(totals.as_of, span, asker)
        | {
            "org": figures_in(totals.own, withheld=hidden or totals.own_withheld),
            "subtree": figures_in(totals.subtree, withheld=hidden or totals.sub_withheld),
            "previous": previous,
            "subordinates": _subordinates(found.subordinates, listing, hidden=hidden),
        }
    )


async def list_subordinates(db: Readable, asker: Asker, span: Span, listing: Listing) -> SubordinatesOut:
    hidden = bool(await asker.days_withheld(db, [span.until]))
    found = await queries.read_overview(db, asker.org_id, span, asker.viewer, listing)
    return SubordinatesOut.model_validate(
        _stated(found.totals.as_of, span, asker)
        | {"subordinates": _subordinates(found.subordinates, listing, hidden=hidden)}
    )


async def list_units(db: Readable, asker: Asker, span: Span) -> UnitsOut:
    report = await read_units(db, asker.org_id, span)
    units = [
        UnitFiguresOut(id=row.id, parent_id=row.parent_id, name=row.name, kind=row.kind, figures=figures_of(row))
        for row in report.rows
    ]
    return UnitsOut(**_stated(report.as_of, span, asker), units=units)


async def get_trend(db: Readable, asker: Asker, until: date, days: int) -> TrendOut:
    first = max(until - timedelta(days=days - 1), first_day_kept())
    asked = [first + timedelta(days=ahead) for ahead in range((until - first).days + 1)]
    rows = await queries.read_trend(db, asker.org_id, asked, asker.viewer)
    # Only of the days that are told: one that is not kept is counted anew, for every org up to the asker's.
    withheld = await asker.days_withheld(db, [row.day for row in rows])
    points = [
        TrendPointOut(
            day=row.day,
            org=figures_of(row.own, withheld=row.day in withheld or row.own_withheld),
            subtree=figures_of(row.subtree, withheld=row.day in withheld or row.sub_withheld),
        )
        for row in rows
    ]
    return TrendOut(as_of=rows[-1].as_of, withheld_below=asker.threshold, days=points)


def _stated(as_of: datetime, span: Span, asker: Asker) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "period": span.period,
        "since": span.since,
        "until": span.until,
        "withheld_below": asker.threshold,
    }


def _subordinates(found: Sequence[OverviewRow], listing: Listing, *, hidden: bool) -> dict[str, object]:
    """The fields of a page of SubordinateFiguresOut."""
    page = Slice.cut(found, listing.paging, lambda row: (listing.order, row.sort_group, row.sort_key, row.id))
    items = [
        {"id": row.id, "name": row.name, "figures": figures_in(row, withheld=hidden or row.withheld)}
        for row in page.rows
    ]
    return {"items": items, "next_cursor": page.next_cursor}
