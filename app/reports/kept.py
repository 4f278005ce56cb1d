"""The figures as they are kept: the time of one row, and of the rows of the direct subordinates."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from app.points.tables import PointFact
from app.reports.periods import Span
from app.reports.recount import Figures
from app.reports.tables import EdgeFact, KeptDay, OrgTotal, PlaceFact, TreeEdge


def kept(org_id: UUID, span: Span, name: str = "kept") -> Figures:
    """The kept figures of an org, with the tree as it was folded into them; `name` begins the names of its parts."""
    active, points = f"active_{span.days}", f"points_{span.days}"
    subtree = [getattr(OrgTotal, column) for column in ("members", "activated", active, points)]
    own = [getattr(OrgTotal, f"own_{column}") for column in ("members", "activated", active, points)]
    here = (OrgTotal.org_id == literal(org_id, Uuid()), OrgTotal.day == span.until)
    below = (TreeEdge.superior_id == org_id, TreeEdge.since <= span.until, TreeEdge.before > span.until)
    figures = union_all(
        select(literal("subtree"), OrgTotal.org_id, *subtree).where(*here),
        select(literal("own"), OrgTotal.org_id, *own).where(*here),
        select(literal("branch"), OrgTotal.org_id, *subtree)
        .join(TreeEdge, TreeEdge.subordinate_id == OrgTotal.org_id)
        .where(*below, OrgTotal.day == span.until),
    ).cte(f"{name}_figures")
    names = ("scope", "id", "members", "activated", "active", "points")
    named = select(*(column.label(label) for column, label in zip(figures.c, names, strict=True))).cte(f"{name}_named")
    branches = select(TreeEdge.subordinate_id.label("id")).where(*below).subquery(f"{name}_branches")
    return Figures(named, branches)


def as_of() -> ColumnElement[object]:
    """The instant before which all that was written is in the kept figures: the oldest waiting fact's, or now."""
    oldest = (
        select(facts.at).order_by(facts.id).limit(1).scalar_subquery() for facts in (PointFact, PlaceFact, EdgeFact)
    )
    return func.least(func.now(), *oldest)


async def find_kept(db: AsyncConnection, days: Sequence[date]) -> set[date]:
    """Those of the days whose totals are kept."""
    return set(await db.scalars(select(KeptDay.day).where(KeptDay.day.in_(days))))
