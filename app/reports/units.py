"""The figures of an org's units, counted from the sources: for its own admins, who know its people.

It costs what the org has people, some microseconds each, and no more where PostgreSQL takes them for a few: of an org
that has imported a hundred thousand it knows nothing before it has analyzed its tables.
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
from app.reports.recount import COUNTS, SpanAsked, points_of, stood, summed
from app.reports.schemas import Number
from app.schema.members import Activation, UnitMembership
from app.schema.orgs import Unit


class UnitRow(NamedTuple):
    """A unit with its sums; `id` and what follows it are NULL if the org has no unit."""

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
def _statement() -> Select[Any]:
    org_id = bindparam("org_id", type_=Uuid())
    span = SpanAsked(
        since=bindparam("since", type_=Date()),
        until=bindparam("until", type_=Date()),
        end=bindparam("end", type_=DateTime(timezone=True)),
    )
    reaches = tree.unit_subtrees(org_id, span.end)
    active = and_(
        Activation.org_id == UnitMembership.org_id,
        Activation.member_id == UnitMembership.member_id,
        stood(Activation, span.end),
    )
    person = func.coalesce(Activation.user_id, UnitMembership.member_id).label("person")
    standing = (
        select(reaches.c.top, person, Activation.user_id)
        .select_from(UnitMembership)
        .join(reaches, reaches.c.id == UnitMembership.unit_id)
        .outerjoin(Activation, active)
        .where(UnitMembership.org_id == org_id, stood(UnitMembership, span.end))
        .distinct()
        .cte("standing")
    )
    users = select(standing.c.user_id).where(standing.c.user_id.is_not(None)).distinct().cte("users")
    earned = points_of(users, span).subquery("earned")
    counted = summed(standing, (standing.c.top,), earned, only_theirs=True).subquery("counted")
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


async def read_units(db: Readable, org_id: UUID, span: Span) -> UnitReport:
    """The figures of every unit the org had at the end of the span, each with the units under it; in tree order.

    Inside one org a person is a row, or the account that it was active through: phones need not be looked at.
    """
    asked = {"org_id": org_id, "since": span.since, "until": span.until, "end": span.end}
    rows = await fetch_rows(db, _statement(), UnitRow, asked)
    return UnitReport(rows[0].as_of, [row for row in rows if row.id is not None])
