"""What is withheld from those above an org because of what stands between it and them."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, func, or_, select

from app.database.db import Readable
from app.database.driver import DriverStatement
from app.hierarchy import tree
from app.reports.periods import Span, end_of
from app.reports.recount import recounted
from app.reports.stored_totals import DAYS, DayRow, find_kept, kept
from app.reports.suppression import judged, judged_parts
from app.schema.admins import OrgAdmin


async def days_withheld_above(
    db: Readable, org_id: UUID, user_id: UUID, days: Sequence[date], threshold: int
) -> set[date]:
    """The days on which an org, or one between it and the nearest org above it that the user administers, is withheld
    from those above it."""
    found = await find_kept(db, days)
    rows = await _kept(threshold).fetch(db, org_id=org_id, user_id=user_id, days=list(found)) if found else []
    counted = [day for day in days if day not in found and await _counted(db, org_id, user_id, day, threshold)]
    return {row.day for row in rows} | set(counted)


@cache
def _kept(threshold: int) -> DriverStatement[DayRow]:
    org_id: ColumnElement[UUID] = bindparam("org_id", type_=Uuid())
    user_id: ColumnElement[UUID] = bindparam("user_id", type_=Uuid())
    above = tree.superiors_on(org_id, DAYS)
    administers = select(OrgAdmin.org_id).where(OrgAdmin.org_id == above.c.id, OrgAdmin.user_id == user_id).exists()
    chain = select(above, administers.label("inside")).cte("chain")
    nearest = (
        select(chain.c.day, func.min(chain.c.distance).label("distance"))
        .where(chain.c.inside)
        .group_by(chain.c.day)
        .subquery("nearest")
    )
    asked = (
        select(chain.c.day, chain.c.id.label("org_id"), chain.c.below, chain.c.inside)
        .outerjoin(nearest, nearest.c.day == chain.c.day)
        .where(or_(nearest.c.distance.is_(None), chain.c.distance <= nearest.c.distance))
        .cte("asked")
    )
    seen = kept(asked, DAYS, 1)
    parts = (
        select(seen.c.day, seen.c.org_id, seen.c.id, seen.c.members)
        .join(asked, and_(asked.c.day == seen.c.day, asked.c.org_id == seen.c.org_id))
        .where(or_(seen.c.scope == "branch", and_(seen.c.scope == "own", ~asked.c.inside)))
        .subquery("parts")
    )
    found = judged_parts(parts, threshold).subquery("judged")
    below = and_(found.c.day == asked.c.day, found.c.org_id == asked.c.org_id, found.c.id == asked.c.below)
    days = select(asked.c.day).join(found, and_(found.c.withheld, below)).distinct()
    return DriverStatement(days, "org_id", "user_id", "days", row=DayRow)


async def _counted(db: Readable, org_id: UUID, user_id: UUID, day: date, threshold: int) -> bool:
    """The same of a day that is not kept, level by level."""
    chain = tree.ancestors_at(org_id, end_of(day))
    administers = select(OrgAdmin.org_id).where(OrgAdmin.org_id == chain.c.id, OrgAdmin.user_id == user_id).exists()
    above = await db.execute(select(chain.c.id, administers.label("inside")).order_by(chain.c.distance))
    below: UUID | None = None
    for superior in above.all():
        if below is not None:
            counted = recounted(superior.id, Span(day, 1))
            parts = judged(counted, threshold, inside=superior.inside).subquery("judged")
            if await db.scalar(select(select(parts.c.id).where(parts.c.id == below, parts.c.withheld).exists())):
                return True
        if superior.inside:
            return False
        below = superior.id
    return False
