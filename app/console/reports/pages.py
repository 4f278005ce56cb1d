"""Reports (学习报表, S12): an org's figures beside those of the period before, their trend, and those of what is below.

The orgs below are gone down level by level: of each there are totals, and nothing about a person.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.charts import Chart, draw
from app.console.frame.formats import percent, short
from app.console.frame.forms import PageForm, checked
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org, over_org
from app.console.frame.templates import is_partial, page, part
from app.core.calendar import today
from app.core.cipher import CipherDep
from app.core.i18n import gettext, number
from app.database.db import ReadDb, WriteDb
from app.reports import export_router as exports
from app.reports import router as calls
from app.reports.export_schemas import OverviewExport, ReportExport, TrendExport, UnitsExport
from app.reports.periods import DAYS_KEPT, Span
from app.reports.queries import Listing
from app.reports.schemas import FiguresOut, Sort, TrendPointOut, UnitFiguresOut
from app.web.errors import Invalid, NotFound

router = APIRouter(prefix="/console/orgs/{org_id}/reports", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]
Owner = Annotated[OrgScope, Can(Permission.UNITS_READ)]
_DEEPEST = 5
# What can be made into a file: its body, what makes it, and the form's fields that it takes.
_EXPORTS: Mapping[str, tuple[type[ReportExport], Any, Sequence[str]]] = {
    "overview": (OverviewExport, exports.create_overview_export, ("format", "period", "day", "sort", "order")),
    "units": (UnitsExport, exports.create_units_export, ("format", "period", "day")),
    "trend": (TrendExport, exports.create_trend_export, ("format", "day", "days")),
}


@router.get("")
async def show_report(
    request: Request, db: ReadDb, scope: Reader, span: calls.SpanAsked, listing: calls.ListingAsked
) -> Response:
    """The whole page; for a part: the subordinates in another order, or the next ones."""
    shown: dict[str, Any] = {"span": span, "listing": listing, "query": _query_of(span, listing)}
    if is_partial(request):
        found = await calls.list_subordinates(request, scope, db, span, listing)
        template = "reports/report_rows.html" if listing.paging.after else "reports/report_table.html"
        return page(request, template, **shown, subject=scope.org, subordinates=found.subordinates, report=found)
    report = await calls.read_overview(request, scope, db, span, listing)
    now = today()
    shown |= {"report": report, "subordinates": report.subordinates, "own": not _from_above(scope)}
    shown |= {"today": now, "first_day": now - timedelta(days=DAYS_KEPT - 1)}
    return page(request, "reports/report.html", **await over_org(db, scope, "reports"), **shown)


@router.get("/trend")
async def show_trend(
    request: Request, db: ReadDb, scope: Reader, until: calls.Day, days: Annotated[int, Query(ge=7, le=30)] = 30
) -> Response:
    """Charts of the days up to one, each of its own day's people and hierarchy."""
    trend = await calls.read_trend(request, scope, db, until, days)
    asked = [until - timedelta(days=back) for back in range(days - 1, -1, -1)]
    figures = {point.day: point.subtree for point in trend.days}
    own = _told_alone(trend.days)
    if own:
        figures = {point.day: point.org for point in trend.days}
    shown = {"charts": _charts(asked, figures), "subject": scope.org, "until": until, "days": days}
    complete = len(figures) == days and not any(one.withheld for one in figures.values())
    return part(request, "reports/report_trend.html", **shown, asked=asked, own=own, complete=complete)


@router.get("/units")
async def show_units(request: Request, db: ReadDb, scope: Owner, span: calls.SpanAsked) -> Response:
    """The org's own units, for its own admins."""
    report = await calls.list_unit_figures(request, scope, db, span)
    return part(
        request, "reports/report_units.html", **in_org(scope, "reports"), report=report, rows=_nested(report.units)
    )


@router.get("/exports/new")
async def show_new_export(
    request: Request, scope: Reader, span: calls.SpanAsked, listing: calls.ListingAsked
) -> Response:
    """Which part of the report is to be a file, and in which format; of an org below there are no units to take."""
    kept = {
        "period": str(span.period),
        "day": span.until.isoformat(),
        "days": str(7 if span.days == 7 else 30),
        "sort": str(listing.sort),
        "order": "desc" if listing.descending else "asc",
    }
    return part(
        request, "reports/report_export.html", **in_org(scope, "reports"), kept=kept, own=not _from_above(scope)
    )


@router.post("/exports")
async def export(request: Request, db: WriteDb, cipher: CipherDep, scope: Reader, form: PageForm) -> Response:
    """Has it made, and goes to where the file will be."""
    if form.get("what") == "units" and _from_above(scope):
        raise NotFound
    model, create, fields = _EXPORTS.get(form.get("what", ""), _EXPORTS["overview"])
    body = checked(model, form.given(*fields))
    if isinstance(body, ValidationError):
        raise Invalid
    await create(request, scope, body, db, cipher, Response())
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/exports"})


def _from_above(scope: OrgScope) -> bool:
    return all(role == "superior_admin" for role in scope.roles)


def _query_of(span: Span, listing: Listing) -> Callable[..., str]:
    """A function for the query string of this report, with other values for the parameters that it is given."""
    asked = {
        "period": str(span.period),
        "day": "" if span.until == today() else span.until.isoformat(),
        "sort": "" if listing.sort is Sort.NAME else str(listing.sort),
        "order": "desc" if listing.descending else "",
    }

    def query(**otherwise: str) -> str:
        return urlencode({name: value for name, value in {**asked, **otherwise}.items() if value})

    return query


def _told_alone(days: Sequence[TrendPointOut]) -> bool:
    """Whether the newest day may not be told with the orgs below, where they are few, but of the org alone."""
    newest = max(days, key=lambda point: point.day, default=None)
    return newest is not None and newest.subtree.withheld and not newest.org.withheld


def _charts(asked: Sequence[date], figures: Mapping[date, FiguresOut]) -> list[Chart]:
    """One of each measure; days that are not kept, or not told, leave a gap."""
    measures: Sequence[tuple[str, str, Any, float]] = (
        ("active", gettext("活跃学员"), number, 2),
        ("points_per_head", gettext("人均积分"), lambda value: number(value, 2), 0.02),
        ("participation", gettext("参与率"), percent, 0.002),
        ("members", gettext("学员总数"), number, 2),
    )

    def told(day: date, slug: str) -> float | None:
        value: float | None = getattr(figures[day], slug) if day in figures else None
        return value

    return [
        draw(
            slug,
            name,
            [(day, told(day, slug)) for day in asked],
            shown,
            tick=short if shown == number else None,
            bars=slug == "active",
            least=least,
        )
        for slug, name, shown, least in measures
    ]


def _nested(units: Sequence[UnitFiguresOut]) -> list[tuple[int, UnitFiguresOut]]:
    """Each unit with how deep it stands, and after it those that stand under it."""
    below: dict[UUID | None, list[UnitFiguresOut]] = {}
    for unit in units:
        below.setdefault(unit.parent_id, []).append(unit)
    waiting = [(0, unit) for unit in reversed(below.get(None, []))]
    nested = []
    while waiting:
        depth, unit = waiting.pop()
        nested.append((min(depth, _DEEPEST), unit))
        waiting += [(depth + 1, lower) for lower in reversed(below.get(unit.id, []))]
    return nested
