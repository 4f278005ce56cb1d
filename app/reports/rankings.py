"""Rankings: the people of an org, or of one of its units, by points. People who are not activated have 0 points (S13).

Activated people are read from the stored scores of today, other people from the memberships. So a page and a rank cost
the same in an org of fifty people and in an org of a hundred thousand: an index returns the rows in order of points,
and a rank is a count in that index. If today is not stored, the scores are counted from the sources.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, array
from sqlalchemy.orm import aliased

from app.core.calendar import today
from app.database.db import Readable
from app.database.driver import DriverStatement
from app.database.paging import Paging
from app.database.rows import fetch_rows
from app.reports.ranked_scores import DAY, ORG, UNIT, Scores, select_recounted_scores, select_stored_scores
from app.reports.schemas import RankBy, RankOut
from app.reports.stored_totals import DayRow
from app.schema.members import Member, UnitMembership
from app.schema.orgs import Unit
from app.schema.reports import StoredDay
from app.web.errors import NotFound

NEIGHBOURS = 5

_Namesake = aliased(Member, name="namesake")


@dataclass(frozen=True, slots=True)
class RankingFilter:
    """The ranked people: all people of the org, or the members of a unit and its subunits."""

    org_id: UUID
    by: RankBy
    unit_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A page of a ranking, and the caller's own rank with its neighbours."""

    as_of: datetime
    people: int
    page: list[RankOut]
    neighbours: list[RankOut]


class _RankRow(NamedTuple):
    """A ranked person. `part` says whether the row belongs to the `page` or to the `neighbours` of the caller. If no
    person is ranked, there is one row, in which `part` and the columns after it are NULL."""

    as_of: datetime
    people: int
    part: str
    rank: int
    member_id: UUID
    points: int
    name: str
    me: bool
    units: list[str] | None


async def get_ranking(db: Readable, ranked: RankingFilter, user_id: UUID, paging: Paging) -> Ranking:
    """Return a page of the ranking (one row more than its limit if there is a next page) and the caller's neighbours.

    Equal points share a rank; these people are in the order in which they were added. Raises NotFound if the org does
    not have the unit.
    """
    if ranked.unit_id is not None:
        await require_unit(db, ranked.org_id, ranked.unit_id)
    day = today()
    in_unit, has_cursor = ranked.unit_id is not None, paging.after is not None
    parameters = {"org_id": ranked.org_id, "user_id": user_id, "day": day, "limit": paging.rows}
    if ranked.unit_id is not None:
        parameters["unit_id"] = ranked.unit_id
    if paging.after is not None:
        parameters["after_points"], parameters["after_id"] = paging.after
    if await _SCORED.fetch_row(db, day=day) is not None:
        rows = await _build_stored_ranking(ranked.by, in_unit, has_cursor).fetch(db, **parameters)
    else:
        counted = _build_ranking(select_recounted_scores(ranked.by, day, in_unit=in_unit), has_cursor=has_cursor)
        rows = await fetch_rows(db, counted, _RankRow, parameters)
    return Ranking(
        as_of=rows[0].as_of,
        people=rows[0].people,
        page=[_make_rank(row) for row in rows if row.part == "page"],
        neighbours=[_make_rank(row) for row in rows if row.part == "neighbours"],
    )


def _make_rank(row: _RankRow) -> RankOut:
    return RankOut(rank=row.rank, member_id=row.member_id, name=row.name, points=row.points, me=row.me, units=row.units)


_SCORED = DriverStatement(select(StoredDay.day).where(StoredDay.day == DAY, StoredDay.scored), "day", row=DayRow)


@cache
def _build_stored_ranking(by: RankBy, in_unit: bool, has_cursor: bool) -> DriverStatement[_RankRow]:
    parameters = ["org_id", "user_id", "day", "limit"]
    parameters += ["unit_id"] if in_unit else []
    parameters += ["after_points", "after_id"] if has_cursor else []
    return DriverStatement(
        _build_ranking(select_stored_scores(by, in_unit=in_unit), has_cursor=has_cursor), *parameters, row=_RankRow
    )


def _build_ranking(scores: Scores, *, has_cursor: bool) -> Select[Any]:
    rows = scores.rows
    own = select(rows.c.member_id, rows.c.points).where(rows.c.member_id == scores.own).cte("own")
    page = _select_page(scores.parts, has_cursor=has_cursor).cte("page")
    neighbours = _select_neighbours(scores.parts, own).cte("neighbours")
    shown = union_all(_rank_rows("page", page, scores), _rank_rows("neighbours", neighbours, scores)).subquery("shown")
    head = select(scores.as_of.label("as_of"), scores.people.label("people")).subquery("head")
    me = func.coalesce(shown.c.member_id == select(own.c.member_id).scalar_subquery(), False)
    # Each name is looked up by itself: a generic plan estimates few people in an org and would read all for a join.
    name = select(Member.name).where(Member.org_id == ORG, Member.id == shown.c.member_id).scalar_subquery()
    return (
        select(head, shown, name.label("name"), me.label("me"), _select_units(shown.c.member_id).label("units"))
        .select_from(head.outerjoin(shown, true()))
        .order_by(shown.c.points.desc(), shown.c.member_id)
    )


def _select_units(member_id: ColumnElement[UUID]) -> ScalarSelect[Any]:
    """Return the names of the member's units if another person of the org has the same name, else NULL.

    A person with the same name has the same pinyin, which is indexed. OFFSET 0 prevents a plan that reads all names.
    """
    same_name = select(_Namesake.id).where(
        _Namesake.org_id == ORG,
        _Namesake.pinyin == Member.pinyin,
        _Namesake.name == Member.name,
        _Namesake.id != Member.id,
        _Namesake.removed_at.is_(None),
    )
    units = (
        select(func.array_agg(aggregate_order_by(Unit.name, Unit.position, Unit.id)))
        .select_from(UnitMembership)
        .join(Unit, and_(Unit.org_id == UnitMembership.org_id, Unit.id == UnitMembership.unit_id))
        .where(UnitMembership.org_id == ORG, UnitMembership.member_id == Member.id, UnitMembership.until.is_(None))
        .correlate(Member)
        .scalar_subquery()
    )
    none: ColumnElement[Any] = cast(array([]), ARRAY(Text))
    units_of_namesake = case((same_name.offset(0).correlate(Member).exists(), func.coalesce(units, none)))
    return select(units_of_namesake).where(Member.org_id == ORG, Member.id == member_id).scalar_subquery()


def _select_page(parts: list[FromClause], *, has_cursor: bool) -> Select[Any]:
    limit: Any = bindparam("limit", type_=Integer())
    if has_cursor:
        points: ColumnElement[Any] = bindparam("after_points", type_=BigInteger())
        return _select_after(parts, points, bindparam("after_id", type_=Uuid()), limit)
    return _take_first([_select_in_order(part) for part in parts], limit)


def _select_neighbours(parts: list[FromClause], own: CTE) -> Select[Any]:
    points, member_id = (select(own.c[name]).scalar_subquery() for name in ("points", "member_id"))
    before = _select_before(parts, points, member_id, NEIGHBOURS).subquery("before")
    after = _select_after(parts, points, member_id, NEIGHBOURS).subquery("after")
    return select(union_all(select(before), select(own), select(after)).subquery("neighbours"))


def _select_in_order(part: FromClause) -> Select[Any]:
    return select(part.c.member_id, part.c.points).order_by(part.c.points.desc(), part.c.member_id)


def _select_against_order(part: FromClause) -> Select[Any]:
    return select(part.c.member_id, part.c.points).order_by(part.c.points, part.c.member_id.desc())


def _take_first(sources: list[Select[Any]], limit: Any, *, reverse: bool = False) -> Select[Any]:
    """Return the first `limit` rows of all sources together. Each source is sorted, and at most `limit` of its rows are
    read."""
    united = union_all(*(select(source.limit(limit).subquery()) for source in sources)).subquery()
    return (_select_against_order(united) if reverse else _select_in_order(united)).limit(limit)


def _select_after(
    parts: list[FromClause], points: ColumnElement[Any], member_id: ColumnElement[Any], limit: Any
) -> Select[Any]:
    """Return the rows that follow the row with these points and this member id: first those with equal points, then
    those with fewer points. Each of the two sets is read in the order of an index."""
    sources = []
    for part in parts:
        sources.append(_select_in_order(part).where(part.c.points == points, part.c.member_id > member_id))
        sources.append(_select_in_order(part).where(part.c.points < points))
    return _take_first(sources, limit)


def _select_before(
    parts: list[FromClause], points: ColumnElement[Any], member_id: ColumnElement[Any], limit: Any
) -> Select[Any]:
    """Return the `limit` rows directly before the row with these points and this member id."""
    sources = []
    for part in parts:
        sources.append(_select_against_order(part).where(part.c.points == points, part.c.member_id < member_id))
        sources.append(_select_against_order(part).where(part.c.points > points))
    return _take_first(sources, limit, reverse=True)


def _rank_rows(part: str, shown: CTE, scores: Scores) -> Select[Any]:
    """Return consecutive rows with their ranks: part, rank, member_id, points.

    The rank of the first row is one more than the number of people with more points. A row with fewer points than the
    first one has the rank of the first row plus the people in between; so this also counts the people who have the
    points of the first row and come before it.
    """
    first = select(shown).order_by(shown.c.points.desc(), shown.c.member_id).limit(1).cte(f"{part}_first")
    points, member_id = (select(first.c[name]).scalar_subquery() for name in ("points", "member_id"))
    counted = select(scores.count_people_with_more_points(points).label("people")).cte(f"{part}_better")
    more = select(counted.c.people).scalar_subquery()
    count = select(func.count())
    equal_before: ColumnElement[int] = (
        count.select_from(scores.rows)
        .where(scores.rows.c.points == points, scores.rows.c.member_id < member_id)
        .scalar_subquery()
    )
    if scores.unscored is not None:
        # Half of a large group can have 0 points, so they are not counted. If a row has fewer, all people with 0 from
        # the first row on are shown, and few people have fewer than 0 (corrections).
        fewer = count.select_from(scores.rows).where(scores.rows.c.points < 0).scalar_subquery()
        from_first = count.select_from(shown).where(shown.c.points == 0).scalar_subquery()
        equal_before = case((points == 0, scores.people - fewer - more - from_first), else_=equal_before)
    behind_first = func.rank().over(order_by=shown.c.points.desc())
    rank = case((shown.c.points == points, more + 1), else_=more + equal_before + behind_first)
    return select(literal(part).label("part"), rank.label("rank"), shown.c.member_id, shown.c.points)


_LIVE_UNIT = select(Unit.id).where(Unit.org_id == ORG, Unit.id == UNIT, Unit.removed_at.is_(None))


async def require_unit(db: Readable, org_id: UUID, unit_id: UUID) -> None:
    """Raise NotFound unless the org has the unit and the unit is not removed."""
    if await db.scalar(_LIVE_UNIT, {"org_id": org_id, "unit_id": unit_id}) is None:
        raise NotFound
