"""Rankings: the activated people of an org, or of one of its units, by points.

Read from the scores that are kept of today, so that a page and a place cost the same in a group of fifty and of a
hundred thousand: rows come off an index in their order, and a rank is a count in that index alone. Where today is
not kept they are counted from the sources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    Uuid,
    bindparam,
    case,
    func,
    literal,
    select,
    true,
    union_all,
)

from app.core.calendar import today
from app.database.db import Readable
from app.database.driver import DriverStatement
from app.database.paging import Paging
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.reports.periods import Span
from app.reports.recount import day_rows
from app.reports.schemas import RankBy, RankOut
from app.reports.score_steps import better
from app.reports.stored_totals import DayRow, as_of
from app.schema.members import Member, UnitMembership
from app.schema.orgs import Unit
from app.schema.reports import Membership, OrgScore, OrgTotal, StoredDay
from app.web.errors import NotFound

AROUND = 5


ORG: ColumnElement[UUID] = bindparam("org_id", type_=Uuid())
UNIT: ColumnElement[UUID] = bindparam("unit_id", type_=Uuid())
USER: ColumnElement[UUID] = bindparam("user_id", type_=Uuid())
DAY: ColumnElement[date] = bindparam("day", type_=Date())


@dataclass(frozen=True, slots=True)
class Ranked:
    """Whose ranking: the org's people, or those who stand in a unit or under it."""

    org_id: UUID
    by: RankBy
    unit_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A page and the places around the caller's."""

    as_of: datetime
    people: int
    page: list[RankOut]
    around: list[RankOut]


class _RankRow(NamedTuple):
    """A rank of a part of the answer; `part` and what follows it are NULL if nobody is ranked."""

    as_of: datetime
    people: int
    part: str
    rank: int
    member_id: UUID
    points: int
    name: str
    me: bool


@dataclass(frozen=True, slots=True)
class _Scores:
    """What is ranked: `rows` of member_id, points; who of them the caller is; how many there are; as of when.

    `better` counts those with more points than these.
    """

    rows: FromClause
    mine: ScalarSelect[UUID]
    people: ScalarSelect[int]
    as_of: ColumnElement[Any]
    better: Callable[[ColumnElement[Any]], ColumnElement[int]]


async def read_ranking(db: Readable, ranked: Ranked, user_id: UUID, paging: Paging) -> Ranking:
    """A page of the ranking (one row more than its limit where there are more) and the places around the caller's.

    Equal points share a rank and stand in the order in which the people were added. Raises NotFound for a unit that
    the org does not have.
    """
    if ranked.unit_id is not None:
        await require_unit(db, ranked.org_id, ranked.unit_id)
    day = today()
    in_unit, further = ranked.unit_id is not None, paging.after is not None
    given = {"org_id": ranked.org_id, "user_id": user_id, "day": day, "limit": paging.rows}
    if ranked.unit_id is not None:
        given["unit_id"] = ranked.unit_id
    if paging.after is not None:
        given["after_points"], given["after_id"] = paging.after
    if await _SCORED.fetch_row(db, day=day) is not None:
        rows = await _kept_ranking(ranked.by, in_unit, further).fetch(db, **given)
    else:
        counted = _ranking(_recounted(ranked.by, day, in_unit=in_unit), further=further)
        rows = await fetch_rows(db, counted, _RankRow, given)
    return Ranking(
        as_of=rows[0].as_of,
        people=rows[0].people,
        page=[_rank_of(row) for row in rows if row.part == "page"],
        around=[_rank_of(row) for row in rows if row.part == "around"],
    )


def _rank_of(row: _RankRow) -> RankOut:
    return RankOut(rank=row.rank, member_id=row.member_id, name=row.name, points=row.points, me=row.me)


_SCORED = DriverStatement(select(StoredDay.day).where(StoredDay.day == DAY, StoredDay.scored), "day", row=DayRow)


@cache
def _kept_ranking(by: RankBy, in_unit: bool, further: bool) -> DriverStatement[_RankRow]:
    parameters = ["org_id", "user_id", "day", "limit"]
    parameters += ["unit_id"] if in_unit else []
    parameters += ["after_points", "after_id"] if further else []
    return DriverStatement(_ranking(_kept(by, in_unit=in_unit), further=further), *parameters, row=_RankRow)


def _ranking(scores: _Scores, *, further: bool) -> Select[Any]:
    rows = scores.rows
    mine = select(rows.c.member_id, rows.c.points).where(rows.c.member_id == scores.mine).cte("mine")
    page, around = _page(rows, further=further).cte("page"), _around(rows, mine).cte("around")
    shown = union_all(_placed("page", page, scores), _placed("around", around, scores)).subquery("shown")
    head = select(scores.as_of.label("as_of"), scores.people.label("people")).subquery("head")
    me = func.coalesce(shown.c.member_id == select(mine.c.member_id).scalar_subquery(), False)
    # Looked up one by one: a plan for any org takes its people to be few, and reads all of them to join these.
    name = select(Member.name).where(Member.org_id == ORG, Member.id == shown.c.member_id).scalar_subquery()
    return (
        select(head, shown, name.label("name"), me.label("me"))
        .select_from(head.outerjoin(shown, true()))
        .order_by(shown.c.points.desc(), shown.c.member_id)
    )


def _kept(by: RankBy, *, in_unit: bool) -> _Scores:
    """The scores kept of a day. In a unit: of whoever stands there now."""
    points = OrgScore.last_7 if by is RankBy.LAST_7_DAYS else OrgScore.total
    scored = select(OrgScore.member_id, points.label("points")).where(OrgScore.org_id == ORG, OrgScore.day == DAY)
    standing = select(Membership.member_id).where(
        Membership.person == USER,
        Membership.activated,
        Membership.org_id == ORG,
        Membership.since <= DAY,
        Membership.before > DAY,
    )
    if in_unit:
        return _counted(scored.where(OrgScore.member_id.in_(_standing())).cte("scores"), standing, as_of())
    counted = select(OrgTotal.own_activated).where(OrgTotal.org_id == ORG, OrgTotal.day == DAY)
    people = select(func.coalesce(counted.scalar_subquery(), 0)).scalar_subquery()
    rows = scored.subquery("scores")
    return _Scores(rows, standing.scalar_subquery(), people, as_of(), partial(better, by, rows, ORG, DAY))


def _recounted(by: RankBy, day: date, *, in_unit: bool) -> _Scores:
    """The scores of today counted from the day rows."""
    span = Span(day, 7) if by is RankBy.LAST_7_DAYS else Span(day, (day - date(2000, 1, 1)).days)
    days = day_rows(span.since, span.until).subquery("days")
    people = select(Member.id, Member.user_id).where(
        Member.org_id == ORG, Member.removed_at.is_(None), Member.user_id.is_not(None)
    )
    if in_unit:
        people = people.where(Member.id.in_(_standing()))
    found = people.subquery("people")
    rows = (
        select(found.c.id.label("member_id"), func.coalesce(func.sum(days.c.points), 0).label("points"))
        .select_from(found.outerjoin(days, days.c.user_id == found.c.user_id))
        .group_by(found.c.id)
        .cte("scores")
    )
    return _counted(rows, select(Member.id).where(Member.org_id == ORG, Member.user_id == USER), func.now())


def _counted(rows: CTE, mine: Select[Any], as_of: ColumnElement[Any]) -> _Scores:
    """Scores without an index: they are few, and counted."""

    def better(points: ColumnElement[Any]) -> ColumnElement[int]:
        return select(func.count()).select_from(rows).where(rows.c.points > points).scalar_subquery()

    people = select(func.count()).select_from(rows).scalar_subquery()
    return _Scores(rows, mine.scalar_subquery(), people, as_of, better)


def _standing() -> Select[Any]:
    below = tree.unit_subtree(ORG, UNIT)
    return select(UnitMembership.member_id).where(
        UnitMembership.org_id == ORG, UnitMembership.until.is_(None), UnitMembership.unit_id.in_(select(below.c.id))
    )


def _page(scores: FromClause, *, further: bool) -> Select[Any]:
    limit: Any = bindparam("limit", type_=Integer())
    if further:
        points: ColumnElement[Any] = bindparam("after_points", type_=BigInteger())
        return _behind(scores, points, bindparam("after_id", type_=Uuid()), limit)
    return select(scores.c.member_id, scores.c.points).order_by(scores.c.points.desc(), scores.c.member_id).limit(limit)


def _around(scores: FromClause, mine: CTE) -> Select[Any]:
    points, member_id = (select(mine.c[name]).scalar_subquery() for name in ("points", "member_id"))
    before = _before(scores, points, member_id, AROUND).subquery("before")
    behind = _behind(scores, points, member_id, AROUND).subquery("behind")
    return select(union_all(select(before), select(mine), select(behind)).subquery("around"))


def _behind(scores: FromClause, points: ColumnElement[Any], member_id: ColumnElement[Any], limit: int) -> Select[Any]:
    """The rows that come behind a place: of equal points and of fewer, each off the index in its order."""
    row = (scores.c.member_id, scores.c.points)
    equal = select(*row).where(scores.c.points == points, scores.c.member_id > member_id).order_by(scores.c.member_id)
    fewer = select(*row).where(scores.c.points < points).order_by(scores.c.points.desc(), scores.c.member_id)
    both = union_all(*(select(part.limit(limit).subquery()) for part in (equal, fewer))).subquery()
    return select(both).order_by(both.c.points.desc(), both.c.member_id).limit(limit)


def _before(scores: FromClause, points: ColumnElement[Any], member_id: ColumnElement[Any], limit: int) -> Select[Any]:
    """The rows that come right before a place."""
    row = (scores.c.member_id, scores.c.points)
    equal = (
        select(*row)
        .where(scores.c.points == points, scores.c.member_id < member_id)
        .order_by(scores.c.member_id.desc())
    )
    more = select(*row).where(scores.c.points > points).order_by(scores.c.points, scores.c.member_id.desc())
    both = union_all(*(select(part.limit(limit).subquery()) for part in (equal, more))).subquery()
    return select(both).order_by(both.c.points, both.c.member_id.desc()).limit(limit)


def _placed(part: str, shown: CTE, scores: _Scores) -> Select[Any]:
    """Rows that follow each other, with their ranks: part, rank, member_id, points.

    The rank of the first is counted, one more than have more points. Who has fewer than the first is as many ranks
    behind as there are people between: those with the first's points who come before it must be known then too.
    """
    first = select(shown).order_by(shown.c.points.desc(), shown.c.member_id).limit(1).cte(f"{part}_first")
    points, member_id = (select(first.c[name]).scalar_subquery() for name in ("points", "member_id"))
    more = scores.better(points)
    equal_before = (
        select(func.count())
        .select_from(scores.rows)
        .where(scores.rows.c.points == points, scores.rows.c.member_id < member_id)
        .scalar_subquery()
    )
    behind_first = func.rank().over(order_by=shown.c.points.desc())
    rank = case((shown.c.points == points, more + 1), else_=more + equal_before + behind_first)
    return select(literal(part).label("part"), rank.label("rank"), shown.c.member_id, shown.c.points)


_LIVE_UNIT = select(Unit.id).where(Unit.org_id == ORG, Unit.id == UNIT, Unit.removed_at.is_(None))


async def require_unit(db: Readable, org_id: UUID, unit_id: UUID) -> None:
    if await db.scalar(_LIVE_UNIT, {"org_id": org_id, "unit_id": unit_id}) is None:
        raise NotFound
