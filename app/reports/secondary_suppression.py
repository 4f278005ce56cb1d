"""Suppression of an org's figures for admins of its superiors, because of the orgs between them."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, func, or_, select

from app.database.db import Readable
from app.database.driver import DriverStatement
from app.hierarchy import tree
from app.reports.periods import Span, get_day_end
from app.reports.recount import recount_figures
from app.reports.stored_totals import DAYS, DayRow, find_stored_days, select_stored_figures
from app.reports.suppression import mark_suppressed, mark_suppressed_parts
from app.schema.admins import OrgAdmin


async def find_suppressed_days(
    db: Readable, org_id: UUID, user_id: UUID, days: Sequence[date], threshold: int
) -> set[date]:
    """Return the days among `days` on which the figures of an org are suppressed for a user who is an admin of a
    superior.

    They are suppressed if the org, or an org between it and the nearest superior that the user administers, is
    suppressed as a part of its own direct superior.
    """
    found = await find_stored_days(db, days)
    statement = _build_statement(threshold)
    rows = await statement.fetch(db, org_id=org_id, user_id=user_id, days=list(found)) if found else []
    other_days = [day for day in days if day not in found]
    recounted = [day for day in other_days if await _is_suppressed_by_recount(db, org_id, user_id, day, threshold)]
    return {row.day for row in rows} | set(recounted)


@cache
def _build_statement(threshold: int) -> DriverStatement[DayRow]:
    org_id: ColumnElement[UUID] = bindparam("org_id", type_=Uuid())
    user_id: ColumnElement[UUID] = bindparam("user_id", type_=Uuid())
    superiors = tree.build_superiors_on(org_id, DAYS)
    administers = select(OrgAdmin.org_id).where(OrgAdmin.org_id == superiors.c.id, OrgAdmin.user_id == user_id).exists()
    superior_rows = select(superiors, administers.label("is_own_admin")).cte("superior_rows")
    nearest = (
        select(superior_rows.c.day, func.min(superior_rows.c.distance).label("distance"))
        .where(superior_rows.c.is_own_admin)
        .group_by(superior_rows.c.day)
        .subquery("nearest")
    )
    requested = (
        select(
            superior_rows.c.day,
            superior_rows.c.id.label("org_id"),
            superior_rows.c.subordinate_id,
            superior_rows.c.is_own_admin,
        )
        .outerjoin(nearest, nearest.c.day == superior_rows.c.day)
        .where(or_(nearest.c.distance.is_(None), superior_rows.c.distance <= nearest.c.distance))
        .cte("requested")
    )
    figures = select_stored_figures(requested, DAYS, 1)
    parts = (
        select(figures.c.day, figures.c.org_id, figures.c.id, figures.c.members)
        .join(requested, and_(requested.c.day == figures.c.day, requested.c.org_id == figures.c.org_id))
        .where(or_(figures.c.scope == "branch", and_(figures.c.scope == "own", ~requested.c.is_own_admin)))
        .subquery("parts")
    )
    found = mark_suppressed_parts(parts, threshold).subquery("suppression")
    is_part = and_(
        found.c.day == requested.c.day, found.c.org_id == requested.c.org_id, found.c.id == requested.c.subordinate_id
    )
    days = select(requested.c.day).join(found, and_(found.c.suppressed, is_part)).distinct()
    return DriverStatement(days, "org_id", "user_id", "days", row=DayRow)


async def _is_suppressed_by_recount(db: Readable, org_id: UUID, user_id: UUID, day: date, threshold: int) -> bool:
    """Return whether the figures of an org are suppressed for the user on one day that is not stored. The figures of
    each superior are recounted, from the org upwards."""
    superior_rows = tree.build_ancestors_at(org_id, get_day_end(day))
    administers = (
        select(OrgAdmin.org_id).where(OrgAdmin.org_id == superior_rows.c.id, OrgAdmin.user_id == user_id).exists()
    )
    superiors = await db.execute(
        select(superior_rows.c.id, administers.label("is_own_admin")).order_by(superior_rows.c.distance)
    )
    subordinate_id: UUID | None = None
    for superior in superiors.all():
        if subordinate_id is not None:
            counted = recount_figures(superior.id, Span(day, 1))
            parts = mark_suppressed(counted, threshold, is_own_admin=superior.is_own_admin).subquery("suppression")
            if await db.scalar(
                select(select(parts.c.id).where(parts.c.id == subordinate_id, parts.c.suppressed).exists())
            ):
                return True
        if superior.is_own_admin:
            return False
        subordinate_id = superior.id
    return False
