"""Totals of too few people are withheld, and where they could be had by subtraction the next smallest too.

An org's total is the sum of its parts: the org itself and each direct subordinate with all below it. Of the parts
that hold fewer people than the threshold none is told; and as long as the parts that are not told are one alone, or
together hold fewer people than the threshold, the next smallest is not told either. Who administers the org knows
its own people, so that for them the parts are the subordinates, and where these cannot hide each other the total of
the subtree is withheld as well.

Someone above an org that was withheld is told nothing of what is below it, or the parts would add up to it.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, func, literal, or_, select


def judged(figures: FromClause, threshold: int, *, inside: bool) -> Select[Any]:
    """The parts of orgs that have figures, and of each whether it is `withheld`; `inside`: as own admins see them."""
    scopes = ["branch"] if inside else ["branch", "own"]
    parts = select(figures).where(figures.c.scope.in_(scopes)).subquery("parts")
    return judged_parts(parts, threshold)


def judged_parts(parts: FromClause, threshold: int) -> Select[Any]:
    """The `parts` of orgs on days (day, org_id, id, members, …), and of each whether it is `withheld`.

    By windows in one pass, since a join would be made row by row against row under a plan for any org.
    """
    whole = (parts.c.day, parts.c.org_id)
    order = (parts.c.members, parts.c.id)
    before = func.sum(parts.c.members).over(partition_by=whole, order_by=order, rows=(None, 0)) - parts.c.members
    smallest = func.min(parts.c.members).filter(parts.c.members > 0).over(partition_by=whole)
    ranked = select(parts, before.label("before"), smallest.label("smallest")).subquery("ranked")
    # Where the smallest is withheld so is the one after it: only the smallest is before it.
    needed = or_(ranked.c.members < threshold, ranked.c.before < threshold)
    withheld = and_(ranked.c.members > 0, ranked.c.smallest < threshold, needed)
    return select(*(ranked.c[column.name] for column in parts.c), withheld.label("withheld"))


def exposed(hidden: FromClause, of: FromClause, threshold: int) -> ColumnElement[bool]:
    """Whether the withheld parts of an org (`of`: day, org_id) could be had by subtracting the others."""
    few = or_(func.count() == 1, func.sum(hidden.c.members) < threshold)
    found = select(and_(func.count() > 0, few)).select_from(hidden)
    return found.where(hidden.c.day == of.c.day, hidden.c.org_id == of.c.org_id).correlate(of).scalar_subquery()


def too_few(members: ColumnElement[int], threshold: int) -> ColumnElement[bool]:
    return case((members == 0, literal(False)), else_=members < threshold)
