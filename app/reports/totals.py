"""The totals of an org and of its subtree on requested days, as a viewer may see them."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Date,
    FromClause,
    Select,
    Subquery,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    select,
)

from app.reports.recount import COUNTS
from app.reports.suppression import build_deduction_check, build_threshold_check

ORG: BindParameter[UUID] = bindparam("org_id", type_=Uuid())
UNTIL: BindParameter[date] = bindparam("until", type_=Date())


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person who reads a report. The org's own admins (`is_own_admin`) know its people and see its figures.

    Totals of fewer than `threshold` people are suppressed.
    """

    is_own_admin: bool
    threshold: int


def select_org_days(days: ColumnElement[Any]) -> Subquery:
    """Return a subquery with one row for each day of the array `days`: day, and org_id, which is the parameter of the
    statement."""
    return select(func.unnest(days).label("day"), ORG.label("org_id")).subquery("requested")


def select_totals(requested: FromClause, figures: CTE, parts: CTE, viewer: Viewer) -> Select[Any]:
    """Return the SELECT of one row for each requested day: day, own_…, sub_…, own_suppressed, sub_suppressed.

    `parts` are the parts of `figures` with the column `suppressed`.
    """
    suppressed = select(parts).where(parts.c.suppressed).cte("suppressed")
    counted = select(figures).where(figures.c.scope != "branch").subquery("whole")
    here = and_(counted.c.day == requested.c.day, counted.c.org_id == requested.c.org_id)

    def of(scope: str, count: str) -> ColumnElement[int]:
        return func.coalesce(func.max(counted.c[count]).filter(counted.c.scope == scope), 0)

    own_hidden = select(suppressed.c.id).where(suppressed.c.day == requested.c.day, suppressed.c.scope == "own")
    own_suppressed: ColumnElement[bool] = own_hidden.correlate(requested).exists()
    sub_suppressed = build_threshold_check(of("subtree", "members"), viewer.threshold)
    if viewer.is_own_admin:
        own_suppressed, sub_suppressed = (
            literal(value=False),
            build_deduction_check(suppressed, requested, viewer.threshold),
        )
    columns: list[ColumnElement[Any]] = [
        of(scope, count).label(f"{prefix}_{count}")
        for prefix, scope in (("own", "own"), ("sub", "subtree"))
        for count in COUNTS
    ]
    withheld = (own_suppressed.label("own_suppressed"), sub_suppressed.label("sub_suppressed"))
    return (
        select(requested.c.day, *columns, *withheld)
        .select_from(requested.outerjoin(counted, here))
        .group_by(requested.c.day, requested.c.org_id)
    )
