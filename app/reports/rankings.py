"""Rankings: the activated people of an org, or of one of its units, by points.

Read from the scores that are kept of today, so that a page and a place cost the same in a group of fifty and of a
hundred thousand: rows come off an index in their order, and a rank is a count in that index alone. Where today is
not kept they are counted from the sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    and_,
    case,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.members.tables import Member, Place
from app.orgs import tree
from app.orgs.tables import Unit
from app.paging import Paging
from app.points.days import today
from app.reports.kept import as_of
from app.reports.periods import Span
from app.reports.recount import day_rows
from app.reports.schemas import RankBy
from app.reports.tables import KeptDay, OrgScore, OrgTotal, Standing

AROUND = 5


@dataclass(frozen=True, slots=True)
class Ranked:
    """Whose ranking: the org's people, or those who stand in a unit or under it."""

    org_id: UUID
    by: RankBy
    unit_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A page and the places around the caller's: rows of rank, member_id, name, points, me."""

    as_of: datetime
    people: int
    page: Sequence[Row[Any]]
    around: Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class _Scores:
    """What is ranked: `rows` of member_id, points; who of them the caller is; how many there are; as of when."""

    rows: FromClause
    mine: ScalarSelect[UUID]
    people: ScalarSelect[int]
    as_of: ColumnElement[Any]


async def read_ranking(db: AsyncConnection, ranked: Ranked, user_id: UUID, paging: Paging) -> Ranking:
    """A page of the ranking (one row more than its limit where there are more) and the places around the caller's.

    Equal points share a rank and stand in the order in which the people were added. Raises NotFound for a unit that
    the org does not have.
    """
    if ranked.unit_id is not None:
        await _require_unit(db, ranked.org_id, ranked.unit_id)
    now = today()
    kept = await db.scalar(select(KeptDay.scored).where(KeptDay.day == now))
    scores = (_kept if kept else _recounted)(ranked, user_id, now)
    mine = (
        select(scores.rows.c.member_id, scores.rows.c.points).where(scores.rows.c.member_id == scores.mine).cte("mine")
    )
    page, around = _page(scores.rows, paging).cte("page"), _around(scores.rows, mine).cte("around")
    shown = union_all(_placed("page", page, scores.rows), _placed("around", around, scores.rows)).subquery("shown")
    head = select(scores.as_of.label("as_of"), scores.people.label("people")).subquery("head")
    statement = (
        select(
            head,
            shown,
            Member.name,
            func.coalesce(shown.c.member_id == select(mine.c.member_id).scalar_subquery(), False).label("me"),
        )
        .select_from(head.outerjoin(shown, true()))
        .outerjoin(Member, and_(Member.org_id == ranked.org_id, Member.id == shown.c.member_id))
        .order_by(shown.c.points.desc(), shown.c.member_id)
    )
    rows = (await db.execute(statement)).all()
    return Ranking(
        as_of=rows[0].as_of,
        people=rows[0].people,
        page=[row for row in rows if row.part == "page"],
        around=[row for row in rows if row.part == "around"],
    )


def _kept(ranked: Ranked, user_id: UUID, day: date) -> _Scores:
    """The scores kept of a day. In a unit: of whoever stands there now."""
    points = OrgScore.last_7 if ranked.by is RankBy.LAST_7_DAYS else OrgScore.total
    here = (OrgScore.org_id == ranked.org_id, OrgScore.day == day)
    scored = select(OrgScore.member_id, points.label("points")).where(*here)
    counted = select(OrgTotal.own_activated).where(OrgTotal.org_id == ranked.org_id, OrgTotal.day == day)
    rows: FromClause = scored.subquery("scores")
    people = select(func.coalesce(counted.scalar_subquery(), 0))
    if ranked.unit_id is not None:
        rows = scored.where(OrgScore.member_id.in_(_standing(ranked.org_id, ranked.unit_id))).cte("scores")
        people = select(func.count()).select_from(rows)
    standing = select(Standing.member_id).where(
        Standing.person == user_id,
        Standing.activated,
        Standing.org_id == ranked.org_id,
        Standing.since <= day,
        Standing.before > day,
    )
    return _Scores(rows, standing.scalar_subquery(), people.scalar_subquery(), as_of())


def _recounted(ranked: Ranked, user_id: UUID, day: date) -> _Scores:
    """The scores of today counted from the day rows."""
    span = Span(day, 7) if ranked.by is RankBy.LAST_7_DAYS else Span(day, (day - date(2000, 1, 1)).days)
    days = day_rows(span.since, span.until).subquery("days")
    people = select(Member.id, Member.user_id).where(
        Member.org_id == ranked.org_id, Member.removed_at.is_(None), Member.user_id.is_not(None)
    )
    if ranked.unit_id is not None:
        people = people.where(Member.id.in_(_standing(ranked.org_id, ranked.unit_id)))
    found = people.subquery("people")
    rows = (
        select(found.c.id.label("member_id"), func.coalesce(func.sum(days.c.points), 0).label("points"))
        .select_from(found.outerjoin(days, days.c.user_id == found.c.user_id))
        .group_by(found.c.id)
        .cte("scores")
    )
    mine = select(Member.id).where(Member.org_id == ranked.org_id, Member.user_id == user_id)
    counted = select(func.count()).select_from(rows)
    return _Scores(rows, mine.scalar_subquery(), counted.scalar_subquery(), func.now())


def _standing(org_id: UUID, unit_id: UUID) -> Select[UUID]:
    below = tree.units_below(org_id, unit_id)
    return select(Place.member_id).where(
        Place.org_id == org_id, Place.until.is_(None), Place.unit_id.in_(select(below.c.id))
    )


def _page(scores: FromClause, paging: Paging) -> Select[Any]:
    limit = paging.limit + 1
    if paging.after is None:
        return _first(scores, limit)
    points, member_id = (literal(part) for part in paging.after)
    return _behind(scores, points, member_id, limit)


def _around(scores: FromClause, mine: CTE) -> Select[Any]:
    points, member_id = (select(mine.c[name]).scalar_subquery() for name in ("points", "member_id"))
    before = _before(scores, points, member_id, AROUND).subquery("before")
    behind = _behind(scores, points, member_id, AROUND).subquery("behind")
    return select(union_all(select(before), select(mine), select(behind)).subquery("around"))


def _first(scores: FromClause, limit: int) -> Select[Any]:
    return select(scores.c.member_id, scores.c.points).order_by(scores.c.points.desc(), scores.c.member_id).limit(limit)


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


def _placed(part: str, shown: CTE, scores: FromClause) -> Select[Any]:
    """Rows that follow each other, with their ranks: part, rank, member_id, points.

    The rank of the first is counted, one more than have more points. Who has fewer than the first is as many ranks
    behind as there are people between: those with the first's points who come before it must be known then too.
    """
    first = select(shown).order_by(shown.c.points.desc(), shown.c.member_id).limit(1).cte(f"{part}_first")
    points, member_id = (select(first.c[name]).scalar_subquery() for name in ("points", "member_id"))
    more = select(func.count()).select_from(scores).where(scores.c.points > points).scalar_subquery()
    equal_before = (
        select(func.count())
        .select_from(scores)
        .where(scores.c.points == points, scores.c.member_id < member_id)
        .scalar_subquery()
    )
    behind_first = func.rank().over(order_by=shown.c.points.desc())
    rank = case((shown.c.points == points, more + 1), else_=more + equal_before + behind_first)
    return select(literal(part).label("part"), rank.label("rank"), shown.c.member_id, shown.c.points)


async def _require_unit(db: AsyncConnection, org_id: UUID, unit_id: UUID) -> None:
    there = select(Unit.id).where(Unit.org_id == org_id, Unit.id == unit_id, Unit.removed_at.is_(None))
    if await db.scalar(there) is None:
        raise NotFound
