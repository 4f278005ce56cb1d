"""The scores that a ranking ranks: stored scores, or the scores of today counted from the sources.

Only the activated people of an org have stored scores. People who are not activated have 0 points and are read from the
table `memberships`. The same cycle of the rollup changes both tables, so at every commit each person is in exactly one
of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Date,
    FromClause,
    ScalarSelect,
    Select,
    Uuid,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from app.hierarchy import tree
from app.reports.periods import Span
from app.reports.recount import select_day_rows
from app.reports.schemas import RankBy
from app.reports.score_steps import count_people_with_more_points
from app.reports.stored_totals import as_of
from app.schema.auth import User
from app.schema.members import Member, UnitMembership
from app.schema.reports import Membership, OrgScore, OrgTotal

ORG: ColumnElement[UUID] = bindparam("org_id", type_=Uuid())
UNIT: ColumnElement[UUID] = bindparam("unit_id", type_=Uuid())
USER: ColumnElement[UUID] = bindparam("user_id", type_=Uuid())
DAY: ColumnElement[date] = bindparam("day", type_=Date())
FOREVER: ColumnElement[date] = literal_column("'infinity'::date", Date())


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of the people in a ranking, as parts of a statement.

    `rows` (member_id, points) are the people with scores. `unscored` (member_id, points) are the people with 0 points
    who are not in `rows`; None if `rows` contains all people. `own` is the member id of the caller, `people` the number
    of ranked people, `as_of` the instant of the scores. `count_people_with_more_points` takes a number of points and
    returns an expression for the number of ranked people with more points.
    """

    rows: FromClause
    unscored: FromClause | None
    own: ScalarSelect[UUID]
    people: ScalarSelect[int]
    as_of: ColumnElement[Any]
    count_people_with_more_points: Callable[[ColumnElement[Any]], ColumnElement[int]]

    @property
    def parts(self) -> list[FromClause]:
        """The sets of people that a page of the ranking merges: `rows`, and `unscored` if it is not None. Each set is
        read in the order of its own index."""
        return [self.rows] if self.unscored is None else [self.rows, self.unscored]


def select_stored_scores(by: RankBy, *, in_unit: bool) -> Scores:
    """Return the stored scores of the org's people on a day. With `in_unit` only the present members of the unit are
    ranked."""
    points = OrgScore.last_7 if by is RankBy.LAST_7_DAYS else OrgScore.total
    scored = select(OrgScore.member_id, points.label("points")).where(OrgScore.org_id == ORG, OrgScore.day == DAY)
    own = select(Membership.member_id).where(
        Membership.person == USER,
        Membership.activated,
        Membership.org_id == ORG,
        Membership.since <= DAY,
        Membership.before > DAY,
    )
    if in_unit:
        unit_members = _select_unit_members().cte("unit_members")
        scored = scored.where(OrgScore.member_id.in_(select(unit_members)))
        rows: CompoundSelect[UUID, int] = union_all(scored, _select_unscored(unit_members))
        return _count_scores(rows.cte("scores"), own, as_of())
    total = (
        select(OrgTotal.own_members, OrgTotal.own_activated)
        .where(OrgTotal.org_id == ORG, OrgTotal.day == DAY)
        .cte("org_people")
    )
    of_org = scored.subquery("scores")

    def count_all_people_with_more_points(than: ColumnElement[Any]) -> ColumnElement[int]:
        unscored_people = select(total.c.own_members - total.c.own_activated).scalar_subquery()
        return count_people_with_more_points(by, of_org, ORG, DAY, than) + case((than < 0, unscored_people), else_=0)

    people = select(func.coalesce(select(total.c.own_members).scalar_subquery(), 0))
    unscored = _select_unscored(None).subquery("unscored")
    return Scores(
        of_org, unscored, own.scalar_subquery(), people.scalar_subquery(), as_of(), count_all_people_with_more_points
    )


_Linked = aliased(Membership, name="linked")


def _select_unscored(members: CTE | None) -> Select[UUID, int]:
    """Select the people who are not activated, among all people of the org or among `members`. Columns: member_id, 0
    points."""
    is_ranked = select(_Linked.member_id).where(
        _Linked.person == Membership.person,
        _Linked.activated,
        _Linked.org_id == ORG,
        _Linked.since <= DAY,
        _Linked.before > DAY,
    )
    found = select(Membership.member_id, literal(0, BigInteger()).label("points")).where(
        Membership.org_id == ORG, ~Membership.activated, Membership.since <= DAY, Membership.before == FOREVER
    )
    if members is not None:
        is_ranked = is_ranked.where(_Linked.member_id.in_(select(members)))
        found = found.where(Membership.member_id.in_(select(members)))
    return found.where(~is_ranked.offset(0).correlate(Membership).exists())


def select_recounted_scores(by: RankBy, day: date, *, in_unit: bool) -> Scores:
    """Return the scores of the org's present people, counted from the day rows up to `day`, which is today. With
    `in_unit` only the members of the unit are ranked."""
    span = Span(day, 7) if by is RankBy.LAST_7_DAYS else Span(day, (day - date(2000, 1, 1)).days)
    days = select_day_rows(span.since, span.until).subquery("days")
    members = select(Member.id, Member.user_id, Member.phone_index).where(
        Member.org_id == ORG, Member.removed_at.is_(None)
    )
    if in_unit:
        members = members.where(Member.id.in_(_select_unit_members()))
    found = members.cte("people")
    linked = found.alias("linked_people")
    # A person who is activated through another row is ranked with that row.
    is_ranked = (
        select(linked.c.id)
        .join(User, User.id == linked.c.user_id)
        .where(User.phone_index == found.c.phone_index)
        .correlate(found)
        .exists()
    )
    rows = (
        select(found.c.id.label("member_id"), func.coalesce(func.sum(days.c.points), 0).label("points"))
        .select_from(found.outerjoin(days, days.c.user_id == found.c.user_id))
        .where(or_(found.c.user_id.is_not(None), ~is_ranked))
        .group_by(found.c.id)
        .cte("scores")
    )
    return _count_scores(rows, select(Member.id).where(Member.org_id == ORG, Member.user_id == USER), func.now())


def _count_scores(rows: CTE, own: Select[Any], as_of: ColumnElement[Any]) -> Scores:
    """Return the scores in `rows`, which have no index. Ranks are counted, because the rows are few."""

    def count_people_with_more_points(points: ColumnElement[Any]) -> ColumnElement[int]:
        return select(func.count()).select_from(rows).where(rows.c.points > points).scalar_subquery()

    people = select(func.count()).select_from(rows).scalar_subquery()
    return Scores(rows, None, own.scalar_subquery(), people, as_of, count_people_with_more_points)


def _select_unit_members() -> Select[Any]:
    subtree = tree.build_unit_subtree(ORG, UNIT)
    return select(UnitMembership.member_id).where(
        UnitMembership.org_id == ORG, UnitMembership.until.is_(None), UnitMembership.unit_id.in_(select(subtree.c.id))
    )
