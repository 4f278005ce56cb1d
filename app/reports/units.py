"""The figures of an org's units, counted from the sources. Only the org's own admins, who know its people, read them.

A read costs some microseconds for each person of the org. It costs the same if PostgreSQL estimates the number of
people too low: after an import of a hundred thousand people, PostgreSQL has no statistics about them until it has
analyzed the tables.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Date, DateTime, Select, Uuid, and_, bindparam, func, select, true

from app.database.db import Readable
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.reports.periods import Span
from app.reports.recount import (
    COUNTS,
    SpanParameters,
    group_people,
    select_person_of_phone,
    select_points_of_users,
    sum_figures,
    was_valid,
)
from app.reports.schemas import Number
from app.schema.members import Activation, UnitMembership
from app.schema.orgs import Unit


class UnitRow(NamedTuple):
    """A unit with the sums of its subtree. If the org has no unit, there is one row, in which `id` and the columns
    after it are NULL."""

    as_of: datetime
    id: UUID
    parent_id: UUID | None
    name: str
    kind: str
    position: int
    members: Number
    activated: Number
    active: Number
    points: Number


@dataclass(frozen=True, slots=True)
class UnitReport:
    """The figures of the units, in the order of the tree."""

    as_of: datetime
    rows: list[UnitRow]


@cache
def _build_statement() -> Select[Any]:
    org_id = bindparam("org_id", type_=Uuid())
    span = SpanParameters(
        since=bindparam("since", type_=Date()),
        until=bindparam("until", type_=Date()),
        end=bindparam("end", type_=DateTime(timezone=True)),
    )
    reaches = tree.build_unit_subtrees(org_id, span.end)
    active = and_(
        Activation.org_id == UnitMembership.org_id,
        Activation.member_id == UnitMembership.member_id,
        was_valid(Activation, span.end),
    )
    person = func.coalesce(Activation.user_id, select_person_of_phone(span.end)).label("person")
    rows = (
        select(reaches.c.top, person, Activation.user_id.is_not(None).label("activated"))
        .select_from(UnitMembership)
        .join(reaches, reaches.c.id == UnitMembership.unit_id)
        .outerjoin(Activation, active)
        .where(UnitMembership.org_id == org_id, was_valid(UnitMembership, span.end))
        .subquery("rows")
    )
    unit_people = group_people(rows, rows.c.top).cte("unit_people")
    users = select(unit_people.c.user_id).where(unit_people.c.user_id.is_not(None)).distinct().cte("linked_users")
    earned = select_points_of_users(users, span).subquery("earned")
    counted = sum_figures(unit_people, (unit_people.c.top,), earned, users_are_people=True).subquery("counted")
    tops = select(reaches.c.top).distinct().subquery("tops")
    columns: list[ColumnElement[Any]] = [func.coalesce(counted.c[count], 0).label(count) for count in COUNTS]
    units = (
        select(Unit.id, Unit.parent_id, Unit.name, Unit.kind, Unit.position, *columns)
        .join(tops, tops.c.top == Unit.id)
        .outerjoin(counted, counted.c.top == Unit.id)
        .where(Unit.org_id == org_id)
        .subquery("figures")
    )
    now = select(func.now().label("as_of")).subquery("now")
    figures = select(now.c.as_of, units).select_from(now.outerjoin(units, true()))
    return figures.order_by(units.c.position, units.c.id)


async def get_unit_report(db: Readable, org_id: UUID, span: Span) -> UnitReport:
    """Return the figures of every unit of the org at the end of the span, each with its subtree, in tree order."""
    parameters = {"org_id": org_id, "since": span.since, "until": span.until, "end": span.end}
    rows = await fetch_rows(db, _build_statement(), UnitRow, parameters)
    return UnitReport(rows[0].as_of, [row for row in rows if row.id is not None])
