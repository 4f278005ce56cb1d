"""The figures of an org's units, counted from the sources: for its own admins, who know its people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.orgs import tree
from app.orgs.tables import Unit
from app.reports.periods import Span
from app.reports.recount import COUNTS, points_of, standings, summed


@dataclass(frozen=True, slots=True)
class UnitReport:
    """Rows of id, parent_id, name, kind and the counts."""

    as_of: datetime
    rows: Sequence[Any]


async def read_units(db: AsyncConnection, org_id: UUID, span: Span) -> UnitReport:
    """The figures of every unit the org had at the end of the span, each with the units under it; in tree order."""
    reaches = tree.unit_reaches(org_id, span.end)
    people = standings(span.end)
    standing = (
        select(reaches.c.top, people.c.person, people.c.user_id)
        .join(people, and_(people.c.org_id == org_id, people.c.unit_id == reaches.c.id))
        .distinct()
        .cte("standing")
    )
    users = select(standing.c.user_id).where(standing.c.user_id.is_not(None)).distinct().cte("users")
    counted = summed(standing, (standing.c.top,), points_of(users, span).subquery("earned")).subquery("counted")
    units = select(reaches.c.top).distinct().subquery("tops")
    columns: list[ColumnElement[Any]] = [func.coalesce(counted.c[count], 0).label(count) for count in COUNTS]
    statement = (
        select(Unit.id, Unit.parent_id, Unit.name, Unit.kind, *columns)
        .join(units, units.c.top == Unit.id)
        .outerjoin(counted, counted.c.top == Unit.id)
        .where(Unit.org_id == org_id)
        .order_by(Unit.position, Unit.id)
    )
    as_of = (await db.execute(select(func.now()))).scalar_one()
    return UnitReport(as_of, (await db.execute(statement)).mappings().all())
