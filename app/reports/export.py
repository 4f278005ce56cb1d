"""Reports as files. A file has the same figures as the API, from the same functions; all figures are of one instant.

The org's own admins see more than the admins of its superiors. So an export by an own admin has a separate kind, and
each read of its file requires a permission that only own admins have.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.access import OrgScope
from app.authz.permissions import Permission
from app.core.cipher import Cipher
from app.core.i18n import gettext, gettext_noop
from app.core.settings import Settings
from app.database.paging import Paging
from app.exports.kinds import Column, ExportKind, ExportRequest, Sheet
from app.exports.operations import create_export
from app.exports.schemas import ExportOut
from app.reports import visible_reports
from app.reports.charts import Bars, Line
from app.reports.export_schemas import OverviewExport, RankingExport, ReportExport, TrendExport, UnitsExport
from app.reports.overviews import Listing
from app.reports.periods import Span
from app.reports.rankings import RankingFilter, get_ranking, require_unit
from app.reports.schemas import FiguresOut
from app.reports.visible_reports import Requester
from app.sheets.layout import Cell

MAX_SUBORDINATES = 100_000
PAGE_ROWS = 1_000
MAX_CHART_PEOPLE = 1_000

_FIGURES = (
    Column("members", gettext_noop("学员总数"), 12),
    Column("activated", gettext_noop("已激活"), 12),
    Column("active", gettext_noop("活跃学员"), 12),
    Column("points", gettext_noop("积分"), 12),
    Column("points_per_head", gettext_noop("人均积分"), 16),
    Column("participation", gettext_noop("参与率"), 14),
    Column("note", gettext_noop("说明"), 24),
)


def _load_requester(request: ExportRequest) -> Requester:
    stored = request.question["requester"]
    return Requester(UUID(stored["org_id"]), UUID(stored["user_id"]), stored["is_own_admin"], stored["threshold"])


def _build_figure_cells(figures: FiguresOut) -> list[Cell]:
    return [
        figures.members,
        figures.activated,
        figures.active,
        figures.points,
        figures.points_per_head,
        figures.participation,
        gettext("人数过少，不显示") if figures.withheld else None,
    ]


async def _build_overview_sheet(request: ExportRequest) -> Sheet:
    body, requester = OverviewExport.model_validate(request.question["body"]), _load_requester(request)
    span = Span(body.day, body.period.days)
    listing = Listing(body.sort, body.order == "desc", Paging(MAX_SUBORDINATES, None))
    report = await visible_reports.get_overview(request.db, requester, span, listing)
    found = [
        (gettext("仅本组织"), report.since, report.until, report.org),
        (gettext("本组织及全部下级"), report.since, report.until, report.subtree),
    ]
    before = report.previous
    if before is not None:
        found += [
            (gettext("仅本组织（上一周期）"), before.since, before.until, before.org),
            (gettext("本组织及全部下级（上一周期）"), before.since, before.until, before.subtree),
        ]
    first_subordinate = len(found)
    found += [(each.name, report.since, report.until, each.figures) for each in report.subordinates.items]
    rows = [[name, since, until, *_build_figure_cells(figures)] for name, since, until, figures in found]
    period = (
        Column("since", gettext_noop("统计起"), 12),
        Column("until", gettext_noop("统计止"), 12),
    )
    columns = (Column("org", gettext_noop("组织"), 40), *period, *_FIGURES)
    return Sheet(
        gettext("概况"), columns, len(rows), _yield_once(rows), Bars(columns, names=0, skipped=first_subordinate)
    )


async def _build_units_sheet(request: ExportRequest) -> Sheet:
    body = UnitsExport.model_validate(request.question["body"])
    report = await visible_reports.list_units(request.db, _load_requester(request), Span(body.day, body.period.days))
    names: dict[UUID | None, str] = {unit.id: unit.name for unit in report.units}
    rows = [[unit.name, names.get(unit.parent_id), *_build_figure_cells(unit.figures)] for unit in report.units]
    columns = (
        Column("unit", gettext_noop("支部名称"), 30),
        Column("parent", gettext_noop("上级"), 30),
        *_FIGURES,
    )
    return Sheet(gettext("各支部"), columns, len(rows), _yield_once(rows), Bars(columns, names=0))


async def _build_trend_sheet(request: ExportRequest) -> Sheet:
    body = TrendExport.model_validate(request.question["body"])
    org, subtree = gettext("仅本组织"), gettext("本组织及全部下级")
    report = await visible_reports.get_trend(request.db, _load_requester(request), body.day, body.days)
    of_subtree = [[point.day, subtree, *_build_figure_cells(point.subtree)] for point in report.days]
    of_org = [[point.day, org, *_build_figure_cells(point.org)] for point in report.days]
    columns = (
        Column("day", gettext_noop("日期"), 12),
        Column("scope", gettext_noop("范围"), 30),
        *_FIGURES,
    )
    rows = [*of_subtree, *of_org]
    return Sheet(gettext("趋势"), columns, len(rows), _yield_once(rows), Line(columns, names=0, shown=len(of_subtree)))


async def _build_ranking_sheet(request: ExportRequest) -> Sheet:
    body, requester = RankingExport.model_validate(request.question["body"]), _load_requester(request)
    ranked = RankingFilter(requester.org_id, body.by, body.unit_id)
    first = await get_ranking(request.db, ranked, requester.user_id, Paging(PAGE_ROWS, None))

    async def read_pages() -> AsyncIterator[Sequence[Sequence[Cell]]]:
        page = first.page
        while True:
            shown = page[:PAGE_ROWS]
            yield [[rank.rank, rank.name, rank.points] for rank in shown]
            if len(page) <= PAGE_ROWS:
                return
            after = (shown[-1].points, shown[-1].member_id)
            page = (await get_ranking(request.db, ranked, requester.user_id, Paging(PAGE_ROWS, after))).page

    columns = (
        Column("rank", gettext_noop("名次"), 8),
        Column("name", gettext_noop("姓名"), 16),
        Column("points", gettext_noop("积分"), 12),
    )
    chart = Bars(columns, names=1, values=("points",)) if first.people <= MAX_CHART_PEOPLE else None
    return Sheet(gettext("组内排名"), columns, first.people, read_pages(), chart)


async def _yield_once(rows: Sequence[Sequence[Cell]]) -> AsyncIterator[Sequence[Sequence[Cell]]]:
    yield rows


OVERVIEW = ExportKind("overview", Permission.REPORTS_READ, _build_overview_sheet)
TREND = ExportKind("trend", Permission.REPORTS_READ, _build_trend_sheet)
OWN_OVERVIEW = ExportKind("own-overview", Permission.OWN_REPORTS_READ, _build_overview_sheet)
OWN_TREND = ExportKind("own-trend", Permission.OWN_REPORTS_READ, _build_trend_sheet)
UNITS = ExportKind("units", Permission.OWN_REPORTS_READ, _build_units_sheet)
RANKING = ExportKind("ranking", Permission.RANKINGS_READ, _build_ranking_sheet)


def _choose_kind(body: ReportExport, *, is_own_admin: bool) -> ExportKind:
    match body:
        case OverviewExport():
            return OWN_OVERVIEW if is_own_admin else OVERVIEW
        case TrendExport():
            return OWN_TREND if is_own_admin else TREND
        case UnitsExport():
            return UNITS
        case RankingExport():
            return RANKING
        case _:
            raise TypeError(type(body))


async def create_report_export(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, settings: Settings, body: ReportExport
) -> ExportOut:
    """Create the export that the body describes, and enqueue its job.

    Raises TooManyExports, and NotFound if the org does not have the unit of a ranking.
    """
    if isinstance(body, RankingExport) and body.unit_id is not None:
        await require_unit(db, scope.org_id, body.unit_id)
    requester = Requester.from_scope(scope, settings)
    stored = asdict(requester) | {"org_id": str(requester.org_id), "user_id": str(requester.user_id)}
    question = {"body": body.model_dump(mode="json"), "requester": stored}
    kind = _choose_kind(body, is_own_admin=requester.is_own_admin)
    return await create_export(db, cipher, scope, kind, body.format, question)
