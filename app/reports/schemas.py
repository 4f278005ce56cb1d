"""Bodies of the responses of reports and rankings."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

from pydantic import Field

from app.database.paging import Page
from app.orgs.unit_schemas import UnitKind
from app.reports.periods import Period
from app.web.schemas import Out


class FiguresOut(Out):
    """Figures about a set of people. Each person counts once, even if they are in several units or orgs."""

    withheld: bool = Field(
        description="The figures are of too few people, or would give away those of too few, and are not shown."
    )
    members: int | None = Field(description="People in the directory.")
    activated: int | None = Field(description="Of them, those who are registered users.")
    active: int | None = Field(description="Of them, those with at least one point event in the period.")
    points: int | None = Field(description="Points of these people in the period.")
    points_per_head: float | None = Field(
        description="Points ÷ members, the inactive ones included; to two decimals; null without members.",
        examples=[12.5],
    )
    participation: float | None = Field(
        description="Active ÷ members, to four decimals; null without members.", examples=[0.3]
    )


class SubordinateFiguresOut(Out):
    """The figures of a direct subordinate with its whole subtree, as totals only."""

    id: UUID
    name: str
    figures: FiguresOut


class UnitFiguresOut(Out):
    """The figures of a unit with the units under it."""

    id: UUID
    parent_id: UUID | None
    name: str
    kind: UnitKind
    figures: FiguresOut


class ComparisonOut(Out):
    """The same figures for the previous period, with the people and the hierarchy of that period's last day."""

    since: date
    until: date
    org: FiguresOut
    subtree: FiguresOut


class ReportOut(Out):
    """The fields that every report has: its period and the time of its figures."""

    as_of: datetime = Field(
        description="Everything written before this instant is counted, with the hierarchy of that instant."
    )
    period: Period
    since: date = Field(description="The first day of the period (Asia/Shanghai).")
    until: date = Field(description="Its last day: people and hierarchy are those of its end, or of `as_of`.")
    withheld_below: int = Field(description="Totals of fewer people than this are withheld.")


class OverviewOut(ReportOut):
    org: FiguresOut = Field(description="The org itself, with its units.")
    subtree: FiguresOut = Field(description="The org and everything below it.")
    previous: ComparisonOut | None = Field(
        description="Null where no totals are stored for the last day of that period."
    )
    subordinates: Page[SubordinateFiguresOut] = Field(
        description="The direct subordinates, each with everything below it; the next pages at `reports/subordinates`."
    )


class SubordinatesOut(ReportOut):
    subordinates: Page[SubordinateFiguresOut]


class UnitsOut(ReportOut):
    units: list[UnitFiguresOut]


class TrendPointOut(Out):
    """The figures of one day, with the people and the hierarchy at the end of that day."""

    day: date
    org: FiguresOut
    subtree: FiguresOut


class TrendOut(Out):
    as_of: datetime
    withheld_below: int
    days: list[TrendPointOut]


class Sort(StrEnum):
    NAME = "name"
    MEMBERS = "members"
    ACTIVATED = "activated"
    ACTIVE = "active"
    POINTS = "points"
    POINTS_PER_HEAD = "points-per-head"
    PARTICIPATION = "participation"


class RankBy(StrEnum):
    LAST_7_DAYS = "last-7-days"
    TOTAL = "total"


class RankOut(Out):
    """A place in the ranking: equal points share a rank, and the ranks after them are skipped (1, 2, 2, 4)."""

    rank: int
    member_id: UUID
    name: str
    points: int
    me: bool
    units: list[str] | None = Field(
        description="Where another person of the org has the same name: the person's units, which tell the two apart; "
        "empty at the org itself. Else null."
    )


class MyRankOut(RankOut):
    around: list[RankOut] = Field(description="The five places before the caller's, theirs, and the five after it.")


class RankingOut(Out):
    """The people of an org (or of one of its units) by points. A person who is not activated has 0 points."""

    as_of: datetime = Field(description="All points written before this instant are counted.")
    by: RankBy
    people: int = Field(description="How many people are ranked.")
    me: MyRankOut | None = Field(description="Null where the caller is not among those ranked.")
    ranking: Page[RankOut]


Number: TypeAlias = int | Decimal
"""In PostgreSQL a sum of bigint is a numeric."""


class Counted(Protocol):
    """A row that has the sums from which figures are computed."""

    @property
    def members(self) -> Number: ...
    @property
    def activated(self) -> Number: ...
    @property
    def active(self) -> Number: ...
    @property
    def points(self) -> Number: ...


class Counts(NamedTuple):
    """The sums from which figures are computed."""

    members: Number
    activated: Number
    active: Number
    points: Number


_SUPPRESSED: dict[str, object] = dict.fromkeys(FiguresOut.model_fields) | {"withheld": True}


def build_figure_fields(counts: Counted, *, suppressed: bool = False) -> dict[str, object]:
    """Return the fields of a FiguresOut. If `suppressed`, all figures are None."""
    if suppressed:
        return _SUPPRESSED
    members, active, points = int(counts.members), int(counts.active), int(counts.points)
    return {
        "withheld": False,
        "members": members,
        "activated": int(counts.activated),
        "active": active,
        "points": points,
        "points_per_head": round(points / members, 2) if members else None,
        "participation": round(active / members, 4) if members else None,
    }


def build_figures(counts: Counted, *, suppressed: bool = False) -> FiguresOut:
    """Return a FiguresOut with the fields of `build_figure_fields`."""
    return FiguresOut.model_validate(build_figure_fields(counts, suppressed=suppressed))
