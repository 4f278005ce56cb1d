"""Suppression of totals of too few people, and secondary suppression of totals that would reveal them by subtraction.

The total of an org is the sum of its parts: the org itself, and each direct subordinate with its subtree. Every part
with fewer people than the threshold is suppressed. While only one part is suppressed, or the suppressed parts together
have fewer people than the threshold, the next smallest part is suppressed too. The org's own admins know its people, so
for them the parts are the subordinates only; if these cannot hide each other, the total of the subtree is suppressed
too.

If an org is suppressed for an admin of a superior, its subtree is suppressed too, because its parts add up to it.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, func, literal, or_, select


def mark_suppressed(figures: FromClause, threshold: int, *, is_own_admin: bool) -> Select[Any]:
    """Return a SELECT of the parts of the orgs in `figures`, with the additional column `suppressed`.

    With `is_own_admin` only the subordinates are parts, because the org's own admins know its own people.
    """
    scopes = ["branch"] if is_own_admin else ["branch", "own"]
    parts = select(figures).where(figures.c.scope.in_(scopes)).subquery("parts")
    return mark_suppressed_parts(parts, threshold)


def mark_suppressed_parts(parts: FromClause, threshold: int) -> Select[Any]:
    """Return a SELECT of the rows of `parts` with the additional column `suppressed`.

    A row is one part of an org on one day. `parts` has the columns day, org_id, id (of the part), members and any
    others. Window functions read the parts once. A join of the parts with themselves is slower, because PostgreSQL's
    generic plan runs it as a nested loop.
    """
    whole = (parts.c.day, parts.c.org_id)
    order = (parts.c.members, parts.c.id)
    before = func.sum(parts.c.members).over(partition_by=whole, order_by=order, rows=(None, 0)) - parts.c.members
    smallest = func.min(parts.c.members).filter(parts.c.members > 0).over(partition_by=whole)
    ranked = select(parts, before.label("before"), smallest.label("smallest")).subquery("ranked")
    # If the smallest part is suppressed, the next part is too, because only the smallest part comes before it.
    needed = or_(ranked.c.members < threshold, ranked.c.before < threshold)
    suppressed = and_(ranked.c.members > 0, ranked.c.smallest < threshold, needed)
    return select(*(ranked.c[column.name] for column in parts.c), suppressed.label("suppressed"))


def build_deduction_check(suppressed: FromClause, of: FromClause, threshold: int) -> ColumnElement[bool]:
    """Return the SQL condition that the suppressed parts of an org can be found by subtraction: there is only one, or
    together they have too few people. `of` has the columns day and org_id of the org."""
    few = or_(func.count() == 1, func.sum(suppressed.c.members) < threshold)
    found = select(and_(func.count() > 0, few)).select_from(suppressed)
    return found.where(suppressed.c.day == of.c.day, suppressed.c.org_id == of.c.org_id).correlate(of).scalar_subquery()


def build_threshold_check(members: ColumnElement[int], threshold: int) -> ColumnElement[bool]:
    return case((members == 0, literal(False)), else_=members < threshold)
