"""The figures counted from the sources: unit memberships, activations and hierarchy of the day, and the day rows.

This is what the kept totals must equal. It costs what it counts: at the top of the nation half a minute.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Date,
    FromClause,
    Select,
    Uuid,
    and_,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
    union,
    union_all,
)

from app.hierarchy import tree
from app.reports.periods import Span
from app.schema.members import Activation, Member, UnitMembership
from app.schema.points import PointDelta, UserDay
from app.schema.reports import MemberPhone

COUNTS = ("members", "activated", "active", "points")


@dataclass(frozen=True, slots=True)
class SpanAsked:
    """A span whose days, and the instant at which the last of them ends, are parameters of the statement."""

    since: BindParameter[date]
    until: BindParameter[date]
    end: BindParameter[datetime]


def recounted(org_id: UUID | BindParameter[UUID], span: Span | SpanAsked, name: str = "recounted") -> CTE:
    """The figures of an org, with the hierarchy and the people of the end of the span's last day: what a report reads
    from.

    Of an org on a day it has a row for the org itself (scope `own`) and for its whole subtree (`subtree`), where there
    are people, and for every direct subordinate with all below it (`branch`): day, org_id, scope, id (of whom the
    figures are), members, activated, active, points. `name` begins the names of its parts: one statement can hold
    several.
    """
    day = span.until if isinstance(span, SpanAsked) else literal(span.until, Date())
    asked = literal(org_id, Uuid()) if isinstance(org_id, UUID) else org_id
    org = (day.label("day"), asked.label("org_id"))
    walked = tree.branches(org_id, span.end, f"{name}_orgs")
    people = memberships(span.end)
    placed = (
        select(walked.c.id, walked.c.branch, people.c.person, people.c.user_id)
        .join(people, people.c.org_id == walked.c.id)
        .cte(f"{name}_placed")
    )
    who = (placed.c.person, placed.c.user_id)
    # UNION leaves one row of equal ones: in each scope a person counts once.
    scoped = union(
        select(literal("subtree").label("scope"), asked.label("id"), *who),
        select(literal("own"), placed.c.id, *who).where(placed.c.branch.is_(None)),
        select(literal("branch"), placed.c.branch, *who).where(placed.c.branch.is_not(None)),
    ).subquery(f"{name}_scoped")
    earned = points_in(span).subquery(f"{name}_earned")
    counted = summed(scoped, (scoped.c.scope, scoped.c.id), earned)
    # A subordinate without people has none of them: added up, not joined, which is linear whatever the plan.
    nobody = [literal(0).label(count) for count in COUNTS]
    empty = select(literal("branch"), walked.c.id, *nobody).where(walked.c.id == walked.c.branch)
    every = union_all(counted, empty).subquery(f"{name}_counted")
    sums = (func.sum(every.c[count]).label(count) for count in COUNTS)
    return select(*org, every.c.scope, every.c.id, *sums).group_by(every.c.scope, every.c.id).cte(f"{name}_figures")


def summed(
    people: FromClause, keys: tuple[ColumnElement[Any], ...], earned: FromClause, *, only_theirs: bool = False
) -> Select[Any]:
    """The figures of distinct people (`person`, `user_id`) by these keys of theirs; `earned`: user_id, points.

    `only_theirs`: nobody has earned but these people. A full join is the same then, and never made row by row against
    row, as a left one is where PostgreSQL takes the many people of an org for a few.
    """
    return (
        select(
            *keys,
            func.count().label("members"),
            func.count(people.c.user_id).label("activated"),
            func.count(earned.c.user_id).label("active"),
            func.coalesce(func.sum(earned.c.points), 0).label("points"),
        )
        .select_from(people.outerjoin(earned, earned.c.user_id == people.c.user_id, full=only_theirs))
        .group_by(*keys)
    )


def memberships(at: datetime | BindParameter[datetime]) -> FromClause:
    """Who stood where right before an instant, a row a place: org_id, user_id, person.

    A person is a user where the row was active, and else the phone, by its blind index (as a uuid, for its 16 bytes).
    """
    former = (
        select(MemberPhone.phone_index)
        .where(
            MemberPhone.org_id == UnitMembership.org_id,
            MemberPhone.member_id == UnitMembership.member_id,
            MemberPhone.until >= at,
        )
        .order_by(MemberPhone.until)
        .limit(1)
        .correlate(UnitMembership)
        .scalar_subquery()
    )
    phone = cast(func.encode(func.substring(func.coalesce(former, Member.phone_index), 1, 16), "hex"), Uuid())
    active = and_(
        Activation.org_id == UnitMembership.org_id,
        Activation.member_id == UnitMembership.member_id,
        stood(Activation, at),
    )
    return (
        select(
            UnitMembership.org_id,
            Activation.user_id,
            func.coalesce(Activation.user_id, phone).label("person"),
        )
        .join(Member, and_(Member.org_id == UnitMembership.org_id, Member.id == UnitMembership.member_id))
        .outerjoin(Activation, active)
        .where(stood(UnitMembership, at))
        .subquery("memberships")
    )


def points_in(span: Span | SpanAsked) -> Select[Any]:
    """The users with events in a span and their points: user_id, points."""
    days = day_rows(span.since, span.until).subquery("days")
    return select(days.c.user_id, func.sum(days.c.points).label("points")).group_by(days.c.user_id)


def points_of(users: CTE, span: Span | SpanAsked) -> Select[Any]:
    """The same of these users alone (`user_id`), whose day rows are looked up one user after the other.

    A nation's day rows are thousands of times as many as an org's: with `points_in` all of them would be added up.
    """
    rolled_up = (
        select(func.sum(UserDay.points).label("points"))
        .where(UserDay.user_id == users.c.user_id, UserDay.day.between(span.since, span.until))
        .having(func.count() > 0)
        .lateral("rolled_up")
    )
    late = _waiting(span.since, span.until).subquery("late")
    days = union_all(
        select(users.c.user_id, rolled_up.c.points).select_from(users.join(rolled_up, true())),
        select(late.c.user_id, late.c.points).where(late.c.user_id.in_(select(users.c.user_id))),
    ).subquery("days_of")
    return select(days.c.user_id, func.sum(days.c.points).label("points")).group_by(days.c.user_id)


def day_rows(since: date | BindParameter[date], until: date | BindParameter[date]) -> CompoundSelect[UUID, date, int]:
    """The points of users by day, to the moment: the day rows and the facts that wait to be added to them."""
    return union_all(
        select(UserDay.user_id, UserDay.day, UserDay.points).where(UserDay.day.between(since, until)),
        _waiting(since, until),
    )


def _waiting(since: date | BindParameter[date], until: date | BindParameter[date]) -> Select[Any]:
    waiting = (
        func.unnest(PointDelta.user_ids, PointDelta.days, PointDelta.points)
        .table_valued(column("user_id", Uuid()), column("day", Date()), column("points"))
        .render_derived(name="waiting")
    )
    return (
        select(waiting.c.user_id, waiting.c.day, waiting.c.points)
        .select_from(PointDelta)
        .join(waiting, true())
        .where(waiting.c.day.between(since, until))
    )


def stood(table: type[UnitMembership | Activation], at: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Whether a row was one right before an instant."""
    return and_(table.since < at, or_(table.until.is_(None), table.until >= at))
