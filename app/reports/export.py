"""Reports as files: the numbers that the API answers with, by the same functions, all of one instant.

Who administers the org itself is told more than who looks from above; a file of theirs therefore asks, as long as it
is there, for a permission that only they have.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from app.authz.permissions import Permission
from app.database.paging import Paging
from app.exports.kinds import Asked, Column, ExportKind, Sheet
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
    Column("学员总数", "members", 12),
    Column("已激活", "activated", 12),
    Column("活跃学员", "active", 12),
    Column("积分", "points", 12),
    Column("人均积分", "points per head", 16),
    Column("参与率", "participation", 14),
    Column("说明", "note", 24),
)
_WITHHELD = ("人数过少,不予显示", "withheld: too few people")
_THE_ORG = ("本组织", "the organisation itself")
_SUBTREE = ("本级及全部下级", "the organisation and all below it")
_BEFORE = ("(上一周期)", " (period before)")


def question_of(body: ReportExport, asker: Asker) -> dict[str, Any]:
    """What the job is told: the body and who asks, as JSON."""
    told = asdict(asker) | {"org_id": str(asker.org_id), "user_id": str(asker.user_id)}
    return {"body": body.model_dump(mode="json"), "asker": told}


def _asker(asked: Asked) -> Asker:
    told = asked.question["asker"]
    return Asker(UUID(told["org_id"]), UUID(told["user_id"]), told["inside"], told["threshold"])


def _cells(figures: FiguresOut, english: bool) -> list[Cell]:
    return [
        figures.members,
        figures.activated,
        figures.active,
        figures.points,
        figures.points_per_head,
        figures.participation,
        _WITHHELD[english] if figures.withheld else None,
    ]


async def _overview(asked: Asked) -> Sheet:
    body, asker, english = OverviewExport.model_validate(asked.question["body"]), _asker(asked), asked.english
    span = Span(body.day, body.period.days)
    listing = Listing(body.sort, body.order == "desc", Paging(MOST_SUBORDINATES, None))
    report = await answers.get_overview(asked.db, asker, span, listing)
    found = [
        (_THE_ORG[english], report.since, report.until, report.org),
        (_SUBTREE[english], report.since, report.until, report.subtree),
    ]
    before = report.previous
    if before is not None:
        found += [
            (_THE_ORG[english] + _BEFORE[english], before.since, before.until, before.org),
            (_SUBTREE[english] + _BEFORE[english], before.since, before.until, before.subtree),
        ]
    above = len(found)
    found += [(each.name, report.since, report.until, each.figures) for each in report.subordinates.items]
    rows = [[name, since, until, *_cells(figures, english)] for name, since, until, figures in found]
    period = (Column("统计起", "from", 12), Column("统计止", "until", 12))
    columns = (Column("组织", "organisation", 40), *period, *_FIGURES)
    return Sheet("概况", "Overview", columns, len(rows), _once(rows), Bars(columns, names=0, skipped=above))


async def _units(asked: Asked) -> Sheet:
    body, english = UnitsExport.model_validate(asked.question["body"]), asked.english
    report = await answers.list_units(asked.db, _asker(asked), Span(body.day, body.period.days))
    names: dict[UUID | None, str] = {unit.id: unit.name for unit in report.units}
    rows = [[unit.name, names.get(unit.parent_id), *_cells(unit.figures, english)] for unit in report.units]
    columns = (Column("支部名称", "unit", 30), Column("上级", "under", 30), *_FIGURES)
    return Sheet("各支部", "Units", columns, len(rows), _once(rows), Bars(columns, names=0))


async def _trend(asked: Asked) -> Sheet:
    body, english = TrendExport.model_validate(asked.question["body"]), asked.english
    report = await answers.get_trend(asked.db, _asker(asked), body.day, body.days)
    of_subtree = [[point.day, _SUBTREE[english], *_cells(point.subtree, english)] for point in report.days]
    of_org = [[point.day, _THE_ORG[english], *_cells(point.org, english)] for point in report.days]
    columns = (Column("日期", "day", 12), Column("范围", "of", 30), *_FIGURES)
    rows = [*of_subtree, *of_org]
    return Sheet("趋势", "Trend", columns, len(rows), _once(rows), Line(columns, names=0, shown=len(of_subtree)))


async def _ranking(asked: Asked) -> Sheet:
    body, asker = RankingExport.model_validate(asked.question["body"]), _asker(asked)
    ranked = Ranked(asker.org_id, body.by, body.unit_id)
    first = await read_ranking(asked.db, ranked, asker.user_id, Paging(PAGE, None))

    async def batches() -> AsyncIterator[Sequence[Sequence[Cell]]]:
        page = first.page
        while True:
            shown = page[:PAGE]
            yield [[rank.rank, rank.name, rank.points] for rank in shown]
            if len(page) <= PAGE:
                return
            after = (shown[-1].points, shown[-1].member_id)
            page = (await read_ranking(asked.db, ranked, asker.user_id, Paging(PAGE, after))).page

    columns = (Column("名次", "rank", 8), Column("姓名", "name", 16), Column("积分", "points", 12))
    chart = Bars(columns, names=1, values=("points",)) if first.people <= MOST_CHARTED else None
    return Sheet("组内排名", "Ranking", columns, first.people, batches(), chart)


async def _once(rows: Sequence[Sequence[Cell]]) -> AsyncIterator[Sequence[Sequence[Cell]]]:
    yield rows


OVERVIEW = ExportKind("overview", Permission.REPORTS_READ, _overview)
TREND = ExportKind("trend", Permission.REPORTS_READ, _trend)
OWN_OVERVIEW = ExportKind("own-overview", Permission.UNITS_READ, _overview)
OWN_TREND = ExportKind("own-trend", Permission.UNITS_READ, _trend)
UNITS = ExportKind("units", Permission.UNITS_READ, _units)
RANKING = ExportKind("ranking", Permission.RANKINGS_READ, _ranking)
