"""The recount: it counts figures from the sources (unit memberships, activations and hierarchy of a day, and day rows).

The stored totals must equal the recount. Its cost grows with the number of people in the subtree of the org: for the
root of the nation a recount takes half a minute.
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
    DateTime,
    FromClause,
    ScalarSelect,
    Select,
    Uuid,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union,
    union_all,
)

from app.hierarchy import tree
from app.reports.periods import Span
from app.schema.auth import User, UserPhone
from app.schema.members import Activation, Member, UnitMembership
from app.schema.points import PointDelta, UserDay
from app.schema.reports import MemberPhone

COUNTS = ("members", "activated", "active", "points")


@dataclass(frozen=True, slots=True)
class SpanParameters:
    """A span whose days, and the instant at which the last of them ends, are parameters of the statement."""

    since: BindParameter[date]
    until: BindParameter[date]
    end: BindParameter[datetime]


def recount_figures(org_id: UUID | BindParameter[UUID], span: Span | SpanParameters, name: str = "recounted") -> CTE:
    """Return the figures of an org, with the hierarchy and the people at the end of the span's last day.

    The rows are the org itself (scope `own`) and its whole subtree (`subtree`), if they have people, and every direct
    subordinate with its subtree (`branch`). The columns are day, org_id, scope, id (the org of the figures), members,
    activated, active, points. `name` is the prefix of the common table expressions: one statement can contain several.
    """
    day = span.until if isinstance(span, SpanParameters) else literal(span.until, Date())
    requested_org = literal(org_id, Uuid()) if isinstance(org_id, UUID) else org_id
    org = (day.label("day"), requested_org.label("org_id"))
    orgs = tree.build_branches(org_id, span.end, f"{name}_orgs")
    people = select_memberships(span.end)
    org_people = (
        select(orgs.c.id, orgs.c.branch, people.c.person, people.c.activated)
        .join(people, people.c.org_id == orgs.c.id)
        .cte(f"{name}_people")
    )
    person_columns = (org_people.c.person, org_people.c.activated)
    rows = union(
        select(literal("subtree").label("scope"), requested_org.label("id"), *person_columns),
        select(literal("own"), org_people.c.id, *person_columns).where(org_people.c.branch.is_(None)),
        select(literal("branch"), org_people.c.branch, *person_columns).where(org_people.c.branch.is_not(None)),
    ).subquery(f"{name}_rows")
    scoped = group_people(rows, rows.c.scope, rows.c.id).subquery(f"{name}_scoped")
    earned = select_points(span).subquery(f"{name}_earned")
    counted = sum_figures(scoped, (scoped.c.scope, scoped.c.id), earned)
    # A subordinate without people gets zeros. They are added with UNION and not with a join, so the cost is linear in
    # every plan.
    zeros = [literal(0).label(count) for count in COUNTS]
    empty = select(literal("branch"), orgs.c.id, *zeros).where(orgs.c.id == orgs.c.branch)
    every = union_all(counted, empty).subquery(f"{name}_counted")
    sums = (func.sum(every.c[count]).label(count) for count in COUNTS)
    return select(*org, every.c.scope, every.c.id, *sums).group_by(every.c.scope, every.c.id).cte(f"{name}_figures")


def group_people(rows: FromClause, *keys: ColumnElement[Any]) -> Select[Any]:
    """Group `rows` by the keys and the person. Return one row for each group: the keys, person, user_id.

    `user_id` is equal to `person` if a row of the group is `activated`; otherwise it is NULL.
    """
    user_id = case((func.bool_or(rows.c.activated), rows.c.person)).label("user_id")
    return select(*keys, rows.c.person, user_id).group_by(*keys, rows.c.person)


def sum_figures(
    people: FromClause, keys: tuple[ColumnElement[Any], ...], earned: FromClause, *, users_are_people: bool = False
) -> Select[Any]:
    """Return the sums of `people` (columns person, user_id and the keys) for each combination of the keys. `earned` has
    the points of users (columns user_id, points).

    `users_are_people`: all users in `earned` are among these people. Then a full join has the same result as a left
    join. PostgreSQL never runs it as a nested loop, as it does with a left join if it estimates few people.
    """
    return (
        select(
            *keys,
            func.count().label("members"),
            func.count(people.c.user_id).label("activated"),
            func.count(earned.c.user_id).label("active"),
            func.coalesce(func.sum(earned.c.points), 0).label("points"),
        )
        .select_from(people.outerjoin(earned, earned.c.user_id == people.c.user_id, full=users_are_people))
        .group_by(*keys)
    )


def select_memberships(at: datetime | BindParameter[datetime]) -> FromClause:
    """Return a SELECT of the memberships directly before an instant, with one row for each member row: org_id, person,
    activated.

    A person is the user who is linked to the row (`activated`), else the user who has the row's phone, else the phone
    (the 16 bytes of its blind index as a uuid), else the row itself (its id).
    """
    active = and_(
        Activation.org_id == UnitMembership.org_id,
        Activation.member_id == UnitMembership.member_id,
        was_valid(Activation, at),
    )
    return (
        select(
            UnitMembership.org_id,
            func.coalesce(Activation.user_id, select_person_of_phone(at)).label("person"),
            Activation.user_id.is_not(None).label("activated"),
        )
        .outerjoin(Activation, active)
        .where(was_valid(UnitMembership, at))
        .subquery("memberships")
    )


def select_person_of_phone(at: datetime | BindParameter[datetime]) -> ScalarSelect[UUID]:
    """Return the person that the phone of a row of UnitMembership identifies right before an instant.

    It is the user who has the phone, else the phone, else the row itself (`select_memberships`).
    """
    of_member = (UnitMembership.org_id, UnitMembership.member_id)
    phones = union_all(
        select(MemberPhone.phone_index, MemberPhone.until)
        .where(tuple_(MemberPhone.org_id, MemberPhone.member_id) == tuple_(*of_member), MemberPhone.until >= at)
        .correlate(UnitMembership),
        select(Member.phone_index, literal("infinity").cast(DateTime(timezone=True)))
        .where(tuple_(Member.org_id, Member.id) == tuple_(*of_member))
        .correlate(UnitMembership),
    ).subquery("phones")
    phone = select(phones.c.phone_index).order_by(phones.c.until).limit(1).lateral("phone")
    users = union_all(
        select(User.id)
        .where(User.phone_index == phone.c.phone_index, func.coalesce(User.phone_since, User.created_at) < at)
        .correlate(phone),
        select(UserPhone.user_id)
        .where(UserPhone.phone_index == phone.c.phone_index, UserPhone.since < at, UserPhone.until >= at)
        .correlate(phone),
    ).lateral("users_with_phone")
    by_phone = cast(func.encode(func.substring(phone.c.phone_index, 1, 16), "hex"), Uuid())
    return (
        select(func.coalesce(users.c.id, by_phone, UnitMembership.member_id))
        .select_from(phone.outerjoin(users, true()))
        .correlate(UnitMembership)
        .scalar_subquery()
    )


def select_points(span: Span | SpanParameters) -> Select[Any]:
    """Return a SELECT of the users who have events in a span, with the sum of their points: user_id, points."""
    days = select_day_rows(span.since, span.until).subquery("days")
    return select(days.c.user_id, func.sum(days.c.points).label("points")).group_by(days.c.user_id)


def select_points_of_users(users: CTE, span: Span | SpanParameters) -> Select[Any]:
    """Return those of `users` (column user_id) who have events in a span, and their points: user_id, points.

    The day rows of each user are looked up in the index. `select_points` adds up the day rows of the whole nation,
    which has thousands of times as many as one org.
    """
    rolled_up = (
        select(func.sum(UserDay.points).label("points"))
        .where(UserDay.user_id == users.c.user_id, UserDay.day.between(span.since, span.until))
        .having(func.count() > 0)
        .lateral("rolled_up")
    )
    waiting = _select_waiting_points(span.since, span.until).subquery("waiting")
    days = union_all(
        select(users.c.user_id, rolled_up.c.points).select_from(users.join(rolled_up, true())),
        select(waiting.c.user_id, waiting.c.points).where(waiting.c.user_id.in_(select(users.c.user_id))),
    ).subquery("days_of")
    return select(days.c.user_id, func.sum(days.c.points).label("points")).group_by(days.c.user_id)


def select_day_rows(
    since: date | BindParameter[date], until: date | BindParameter[date]
) -> CompoundSelect[UUID, date, int]:
    """Return a SELECT of user_id, day and points with all committed events: the day rows and the waiting deltas. A user
    can have several rows for one day."""
    return union_all(
        select(UserDay.user_id, UserDay.day, UserDay.points).where(UserDay.day.between(since, until)),
        _select_waiting_points(since, until),
    )


def _select_waiting_points(since: date | BindParameter[date], until: date | BindParameter[date]) -> Select[Any]:
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


def was_valid(table: type[UnitMembership | Activation], at: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Return the SQL condition that a row was valid directly before an instant."""
    return and_(table.since < at, or_(table.until.is_(None), table.until >= at))
