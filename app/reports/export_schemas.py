"""Bodies of the routes that export reports."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from app.core.calendar import today
from app.core.i18n import gettext_noop
from app.exports.schemas import ExportFormat
from app.reports.periods import RETENTION_DAYS, Period, get_first_stored_day
from app.reports.schemas import RankBy, Sort
from app.web.schemas import Body


class ReportExport(Body):
    """A request to export a report. An XLSX has a chart next to its rows."""

    format: ExportFormat = ExportFormat.XLSX


class DayReportExport(ReportExport):
    day: date = Field(
        default_factory=today,
        description=f"The last day of the period: today unless given, at most {RETENTION_DAYS} days ago.",
    )

    @field_validator("day")
    @classmethod
    def _require_stored_day(cls, day: date) -> date:
        if not get_first_stored_day() <= day <= today():
            raise PydanticCustomError("day", gettext_noop("统计数据未保留该日"))
        return day


class OverviewExport(DayReportExport):
    """A request to export the overview: the org itself, its subtree, the previous period, and every direct
    subordinate."""

    period: Period = Period.WEEK
    sort: Sort = Sort.NAME
    order: Literal["asc", "desc"] = "asc"


class UnitsExport(DayReportExport):
    """A request to export the figures of every unit, each with the units under it."""

    period: Period = Period.WEEK


class TrendExport(DayReportExport):
    """A request to export the figures of each day: first the rows of the whole subtree, then the rows of the org
    itself."""

    days: int = Field(default=30, ge=1, le=RETENTION_DAYS, description="How many days, ending with `day`.")


class RankingExport(ReportExport):
    """A request to export the whole ranking. An XLSX of more than a thousand people has no chart."""

    by: RankBy = RankBy.LAST_7_DAYS
    unit_id: UUID | None = Field(default=None, description="Only members of this unit or of one under it.")
