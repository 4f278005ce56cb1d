"""Reports (学习报表, S12): an org's figures with the previous period, their trend, its subordinates and its units.

Figures of subordinates are shown level by level, and only as totals: nothing about a person.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgCard, OrgScope
from app.authz.permissions import Permission
from app.console.frame.charts import Chart, draw_chart
from app.console.frame.context import FrameContext, SubjectContext, build_org_frame, load_subject
from app.console.frame.formats import format_percent, format_short
from app.console.frame.forms import PageForm, validate_fields
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, is_partial, render_page, render_part
from app.core.calendar import today
from app.core.cipher import CipherDep
from app.core.i18n import gettext, number
from app.core.services import SETTINGS
from app.database.db import WriteDb
from app.database.paging import Page
from app.database.replica_reads import ReplicaDb
from app.reports import visible_reports
from app.reports.export import create_report_export
from app.reports.export_schemas import OverviewExport, ReportExport, TrendExport, UnitsExport
from app.reports.overviews import Listing
from app.reports.parameters import DayQuery, ListingQuery, SpanQuery
from app.reports.periods import RETENTION_DAYS, Span
from app.reports.schemas import FiguresOut, OverviewOut, Sort, SubordinateFiguresOut, TrendPointOut, UnitFiguresOut
from app.reports.visible_reports import Requester
from app.web.errors import Invalid, NotFound

router = APIRouter(prefix="/console/orgs/{org_id}/reports", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]
Owner = Annotated[OrgScope, Can(Permission.OWN_REPORTS_READ)]
_MAX_DEPTH = 5
# Each part that can be exported: its body, and the form's fields.
_EXPORTS: Mapping[str, tuple[type[ReportExport], Sequence[str]]] = {
    "overview": (OverviewExport, ("format", "period", "day", "sort", "order")),
    "units": (UnitsExport, ("format", "period", "day")),
    "trend": (TrendExport, ("format", "day", "days")),
}


class ReportRows(Context, template="reports/report_rows.html"):
    """Subordinates with their figures. `query` builds the report's query string; `subject` is the viewed org."""

    subject: OrgCard
    subordinates: Page[SubordinateFiguresOut]
    query: Callable[..., str]


class ReportTable(ReportRows, template="reports/report_table.html"):
    listing: Listing
    withheld_below: int


class ReportPage(SubjectContext, template="reports/report.html"):
    """The report. `own`: the caller is an admin of the org itself and sees its units."""

    span: Span
    listing: Listing
    query: Callable[..., str]
    report: OverviewOut
    own: bool
    today: date

    @property
    def first_day(self) -> date:
        """Return the oldest day that can be viewed."""
        return self.today - timedelta(days=RETENTION_DAYS - 1)

    @property
    def subordinates(self) -> Page[SubordinateFiguresOut]:
        return self.report.subordinates

    @property
    def withheld_below(self) -> int:
        return self.report.withheld_below


class ReportTrend(Context, template="reports/report_trend.html"):
    """Charts by day up to `until`. `own`: the org alone; `complete`: every day has a figure."""

    subject: OrgCard
    charts: Sequence[Chart]
    requested_days: Sequence[date]
    until: date
    days: int
    own: bool
    complete: bool


class ReportUnits(FrameContext, template="reports/report_units.html"):
    """The units with their depths, in the order of the tree."""

    rows: Sequence[tuple[int, UnitFiguresOut]]


class NewReportExport(FrameContext, template="reports/report_export.html"):
    hidden_fields: Mapping[str, str]
    own: bool


@router.get("")
async def show_report(
    request: Request, db: ReplicaDb, scope: Reader, span: SpanQuery, listing: ListingQuery
) -> Response:
    """Show the whole page. A partial request gets the subordinates in another order, or the next page."""
    requester = Requester.from_scope(scope, SETTINGS.get(request))
    query = _build_query(span, listing)
    if is_partial(request):
        found = await visible_reports.list_subordinates(db, requester, span, listing)
        page, subject = found.subordinates, scope.org
        if listing.paging.after:
            return render_page(request, ReportRows(subject=subject, subordinates=page, query=query))
        table = ReportTable(
            subject=subject,
            subordinates=page,
            query=query,
            listing=listing,
            withheld_below=found.withheld_below,
        )
        return render_page(request, table)
    frame, viewed = await load_subject(db, scope, "reports")
    shown = ReportPage(
        frame=frame,
        viewed=viewed,
        span=span,
        listing=listing,
        query=query,
        report=await visible_reports.get_overview(db, requester, span, listing),
        own=not _is_superior(scope),
        today=today(),
    )
    return render_page(request, shown)


@router.get("/trend")
async def show_trend(
    request: Request, db: ReplicaDb, scope: Reader, until: DayQuery, days: Annotated[int, Query(ge=7, le=30)] = 30
) -> Response:
    """Show charts by day. Each day has the people and the hierarchy of that day."""
    trend = await visible_reports.get_trend(db, Requester.from_scope(scope, SETTINGS.get(request)), until, days)
    requested_days = [until - timedelta(days=back) for back in range(days - 1, -1, -1)]
    figures = {point.day: point.subtree for point in trend.days}
    own = _is_org_shown_alone(trend.days)
    if own:
        figures = {point.day: point.org for point in trend.days}
    part = ReportTrend(
        subject=scope.org,
        charts=_draw_charts(requested_days, figures),
        requested_days=requested_days,
        until=until,
        days=days,
        own=own,
        complete=len(figures) == days and not any(figure.withheld for figure in figures.values()),
    )
    return render_part(request, part)


@router.get("/units")
async def show_units(request: Request, db: ReplicaDb, scope: Owner, span: SpanQuery) -> Response:
    """Show the figures of the org's own units, for its own admins."""
    report = await visible_reports.list_units(db, Requester.from_scope(scope, SETTINGS.get(request)), span)
    return render_part(request, ReportUnits(frame=build_org_frame(scope, "reports"), rows=_list_nested(report.units)))


@router.get("/exports/new")
async def show_new_export(request: Request, scope: Reader, span: SpanQuery, listing: ListingQuery) -> Response:
    """Show the form for an export of the report: its part and its format. The units of a subordinate cannot be
    exported."""
    hidden_fields = {
        "period": str(span.period),
        "day": span.until.isoformat(),
        "days": str(7 if span.days == 7 else 30),
        "sort": str(listing.sort),
        "order": "desc" if listing.descending else "asc",
    }
    frame = build_org_frame(scope, "reports")
    return render_part(request, NewReportExport(frame=frame, hidden_fields=hidden_fields, own=not _is_superior(scope)))


@router.post("/exports")
async def request_export(request: Request, db: WriteDb, cipher: CipherDep, scope: Reader, form: PageForm) -> Response:
    """Request the export and go to the list of exports."""
    if form.get("what") == "units" and _is_superior(scope):
        raise NotFound
    model, fields = _EXPORTS.get(form.get("what", ""), _EXPORTS["overview"])
    body = validate_fields(model, form.get_filled(*fields))
    if isinstance(body, ValidationError):
        raise Invalid
    await create_report_export(db, cipher, scope, SETTINGS.get(request), body)
    return Response(status_code=204, headers={"HX-Redirect": f"/console/orgs/{scope.org_id}/exports"})


def _is_superior(scope: OrgScope) -> bool:
    return all(role == "superior_admin" for role in scope.roles)


def _build_query(span: Span, listing: Listing) -> Callable[..., str]:
    """Return a function that returns this report's query string with some parameters replaced."""
    parameters = {
        "period": str(span.period),
        "day": "" if span.until == today() else span.until.isoformat(),
        "sort": "" if listing.sort is Sort.NAME else str(listing.sort),
        "order": "desc" if listing.descending else "",
    }

    def query(**changed: str) -> str:
        return urlencode({name: value for name, value in {**parameters, **changed}.items() if value})

    return query


def _is_org_shown_alone(days: Sequence[TrendPointOut]) -> bool:
    """Return whether the newest day's figures are suppressed for the subtree (too few people) but not for the org."""
    newest = max(days, key=lambda point: point.day, default=None)
    return newest is not None and newest.subtree.withheld and not newest.org.withheld


def _draw_charts(requested_days: Sequence[date], figures: Mapping[date, FiguresOut]) -> list[Chart]:
    """Return one chart for each measure. A day that is not stored or is suppressed leaves a gap."""
    measures: Sequence[tuple[str, str, Any, float]] = (
        ("active", gettext("活跃学员"), number, 2),
        ("points_per_head", gettext("人均积分"), lambda value: number(value, 2), 0.02),
        ("participation", gettext("参与率"), format_percent, 0.002),
        ("members", gettext("学员总数"), number, 2),
    )

    def get_value(day: date, slug: str) -> float | None:
        value: float | None = getattr(figures[day], slug) if day in figures else None
        return value

    return [
        draw_chart(
            slug,
            name,
            [(day, get_value(day, slug)) for day in requested_days],
            shown,
            tick=format_short if shown == number else None,
            bars=slug == "active",
            least=least,
        )
        for slug, name, shown, least in measures
    ]


def _list_nested(units: Sequence[UnitFiguresOut]) -> list[tuple[int, UnitFiguresOut]]:
    """Return each unit with its depth, parents before their children."""
    children: dict[UUID | None, list[UnitFiguresOut]] = {}
    for unit in units:
        children.setdefault(unit.parent_id, []).append(unit)
    stack = [(0, unit) for unit in reversed(children.get(None, []))]
    nested = []
    while stack:
        depth, unit = stack.pop()
        nested.append((min(depth, _MAX_DEPTH), unit))
        stack += [(depth + 1, child) for child in reversed(children.get(unit.id, []))]
    return nested
