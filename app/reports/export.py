"""Reports as files: the numbers that the API answers with, by the same functions, all of one instant.

Who administers the org itself is told more than who looks from above; a file of theirs therefore asks, as long as it
is there, for a permission that only they have.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from app.authz.permissions import Permission
from app.core.i18n import gettext, gettext_noop
from app.database.paging import Paging
from app.exports.kinds import Column, ExportKind, ExportRequest, Sheet
from app.reports import answers
from app.reports.answers import Asker
from app.reports.charts import Bars, Line
from app.reports.export_schemas import OverviewExport, RankingExport, ReportExport, TrendExport, UnitsExport
from app.reports.periods import Span
from app.reports.queries import Listing
from app.reports.rankings import Ranked, read_ranking
from app.reports.schemas import FiguresOut
from app.sheets.layout import Cell

MOST_SUBORDINATES = 100_000
PAGE = 1_000
MOST_CHARTED = 1_000

_FIGURES = (
    Column("members", gettext_noop("学员总数"), 12),
    Column("activated", gettext_noop("已激活"), 12),
    Column("active", gettext_noop("活跃学员"), 12),
    Column("points", gettext_noop("积分"), 12),
    Column("points_per_head", gettext_noop("人均积分"), 16),
    Column("participation", gettext_noop("参与率"), 14),
    Column("note", gettext_noop("说明"), 24),
)


def question_of(body: ReportExport, asker: Asker) -> dict[str, Any]:
    """What the job is told: the body and who asks, as JSON."""
    told = asdict(asker) | {"org_id": str(asker.org_id), "user_id": str(asker.user_id)}
    return {"body": body.model_dump(mode="json"), "asker": told}


def _asker(request: ExportRequest) -> Asker:
    told = request.question["asker"]
    return Asker(UUID(told["org_id"]), UUID(told["user_id"]), told["inside"], told["threshold"])


def _cells(figures: FiguresOut) -> list[Cell]:
    return [
        figures.members,
        figures.activated,
        figures.active,
        figures.points,
        figures.points_per_head,
        figures.participation,
        gettext("人数过少，不显示") if figures.withheld else None,
    ]


async def _overview(request: ExportRequest) -> Sheet:
    body, asker = OverviewExport.model_validate(request.question["body"]), _asker(request)
    span = Span(body.day, body.period.days)
    listing = Listing(body.sort, body.order == "desc", Paging(MOST_SUBORDINATES, None))
    report = await answers.get_overview(request.db, asker, span, listing)
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
    above = len(found)
    found += [(each.name, report.since, report.until, each.figures) for each in report.subordinates.items]
    rows = [[name, since, until, *_cells(figures)] for name, since, until, figures in found]
    period = (
        Column("since", gettext_noop("统计起"), 12),
        Column("until", gettext_noop("统计止"), 12),
    )
    columns = (Column("org", gettext_noop("组织"), 40), *period, *_FIGURES)
    return Sheet(gettext("概况"), columns, len(rows), _once(rows), Bars(columns, names=0, skipped=above))


async def _units(request: ExportRequest) -> Sheet:
    body = UnitsExport.model_validate(request.question["body"])
    report = await answers.list_units(request.db, _asker(request), Span(body.day, body.period.days))
    names: dict[UUID | None, str] = {unit.id: unit.name for unit in report.units}
    rows = [[unit.name, names.get(unit.parent_id), *_cells(unit.figures)] for unit in report.units]
    columns = (
        Column("unit", gettext_noop("支部名称"), 30),
        Column("parent", gettext_noop("上级"), 30),
        *_FIGURES,
    )
    return Sheet(gettext("各支部"), columns, len(rows), _once(rows), Bars(columns, names=0))


async def _trend(request: ExportRequest) -> Sheet:
    body = TrendExport.model_validate(request.question["body"])
    org, subtree = gettext("仅本组织"), gettext("本组织及全部下级")
    report = await answers.get_trend(request.db, _asker(request), body.day, body.days)
    of_subtree = [[point.day, subtree, *_cells(point.subtree)] for point in report.days]
    of_org = [[point.day, org, *_cells(point.org)] for point in report.days]
    columns = (
        Column("day", gettext_noop("日期"), 12),
        Column("scope", gettext_noop("范围"), 30),
        *_FIGURES,
    )
    rows = [*of_subtree, *of_org]
    return Sheet(gettext("趋势"), columns, len(rows), _once(rows), Line(columns, names=0, shown=len(of_subtree)))


async def _ranking(request: ExportRequest) -> Sheet:
    body, asker = RankingExport.model_validate(request.question["body"]), _asker(request)
    ranked = Ranked(asker.org_id, body.by, body.unit_id)
    first = await read_ranking(request.db, ranked, asker.user_id, Paging(PAGE, None))

    async def batches() -> AsyncIterator[Sequence[Sequence[Cell]]]:
        page = first.page
        while True:
            shown = page[:PAGE]
            yield [[rank.rank, rank.name, rank.points] for rank in shown]
            if len(page) <= PAGE:
                return
            after = (shown[-1].points, shown[-1].member_id)
            page = (await read_ranking(request.db, ranked, asker.user_id, Paging(PAGE, after))).page

    columns = (
        Column("rank", gettext_noop("名次"), 8),
        Column("name", gettext_noop("姓名"), 16),
        Column("points", gettext_noop("积分"), 12),
    )
    chart = Bars(columns, names=1, values=("points",)) if first.people <= MOST_CHARTED else None
    return Sheet(gettext("组内排名"), columns, first.people, batches(), chart)


async def _once(rows: Sequence[Sequence[Cell]]) -> AsyncIterator[Sequence[Sequence[Cell]]]:
    yield rows


OVERVIEW = ExportKind("overview", Permission.REPORTS_READ, _overview)
TREND = ExportKind("trend", Permission.REPORTS_READ, _trend)
OWN_OVERVIEW = ExportKind("own-overview", Permission.UNITS_READ, _overview)
OWN_TREND = ExportKind("own-trend", Permission.UNITS_READ, _trend)
UNITS = ExportKind("units", Permission.UNITS_READ, _units)
RANKING = ExportKind("ranking", Permission.RANKINGS_READ, _ranking)
