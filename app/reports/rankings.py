"""Rankings: the activated people of an org, or of one of its units, by points."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.members.tables import Member, Place
from app.orgs import tree
from app.orgs.tables import Unit
from app.paging import Paging
from app.points.days import today
from app.reports.periods import Span
from app.reports.recount import day_rows
from app.reports.schemas import RankBy

AROUND = 5


@dataclass(frozen=True, slots=True)
class Ranked:
    """Whose ranking: the org's people, or those who stand in a unit or under it."""

    org_id: UUID
    by: RankBy
    unit_id: UUID | None = None


async def read_ranking(db: AsyncConnection, ranked: Ranked, user_id: UUID, paging: Paging) -> Sequence[Row[Any]]:
    """A page of the ranking and the places around the caller's.

    Columns: part (`page` or `around`), rank, member_id, name, points, me, people, as_of. Equal points share a rank
    and stand in the order in which the people were added. Raises NotFound for a unit that the org does not have.
    """
    if ranked.unit_id is not None:
        await _require_unit(db, ranked.org_id, ranked.unit_id)
    places = _places(_scores(ranked), user_id).cte("ranked")
    mine = select(places.c.place).where(places.c.me).scalar_subquery()
    page = select(literal("page").label("part"), places).order_by(places.c.place).limit(paging.limit + 1)
    if paging.after is not None:
        points, member_id = paging.after
        page = page.where(
            or_(places.c.points < points, and_(places.c.points == points, places.c.member_id > member_id))
        )
    around = select(literal("around").label("part"), places).where(places.c.place.between(mine - AROUND, mine + AROUND))
    shown = page.subquery().select().union_all(around).subquery("shown")
    columns: list[ColumnElement[Any]] = [func.now().label("as_of"), *shown.c]
    return (await db.execute(select(*columns).order_by(shown.c.place))).all()


def _scores(ranked: Ranked) -> FromClause:
    """The points of each: member_id, name, user_id, points."""
    now = today()
    span = Span(now, 7) if ranked.by is RankBy.LAST_7_DAYS else Span(now, (now - date(2000, 1, 1)).days)
    days = day_rows(span.since, span.until).subquery("days")
    people = select(Member.id, Member.name, Member.user_id).where(
        Member.org_id == ranked.org_id, Member.removed_at.is_(None), Member.user_id.is_not(None)
    )
    if ranked.unit_id is not None:
        below = tree.units_below(ranked.org_id, ranked.unit_id)
        stands = select(Place.id).where(
            Place.org_id == ranked.org_id,
            Place.member_id == Member.id,
            Place.until.is_(None),
            Place.unit_id.in_(select(below.c.id)),
        )
        people = people.where(stands.exists())
    found = people.subquery("people")
    return (
        select(
            found.c.id.label("member_id"),
            found.c.name,
            found.c.user_id,
            func.coalesce(func.sum(days.c.points), 0).label("points"),
        )
        .select_from(found.outerjoin(days, days.c.user_id == found.c.user_id))
        .group_by(found.c.id, found.c.name, found.c.user_id)
        .subquery("scores")
    )


def _places(scores: FromClause, user_id: UUID) -> Select[Any]:
    return select(
        func.rank().over(order_by=scores.c.points.desc()).label("rank"),
        func.row_number().over(order_by=(scores.c.points.desc(), scores.c.member_id)).label("place"),
        func.count().over().label("people"),
        scores.c.member_id,
        scores.c.name,
        scores.c.points,
        (scores.c.user_id == user_id).label("me"),
    )


async def _require_unit(db: AsyncConnection, org_id: UUID, unit_id: UUID) -> None:
    there = select(Unit.id).where(Unit.org_id == org_id, Unit.id == unit_id, Unit.removed_at.is_(None))
    if await db.scalar(there) is None:
        raise NotFound
