"""Reads of orgs and units."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, literal, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.tables import OrgAdmin
from app.members.tables import Member
from app.orgs import tree
from app.orgs.tables import Org, Unit
from app.paging import Paging


async def org_name_exists(db: AsyncConnection, name: str, region_code: str, but: UUID | None = None) -> bool:
    """Whether a live org of this name, other than `but`, is in this region."""
    same = exists().where(Org.region_code == region_code, Org.name == name, Org.status == "live")
    if but is not None:
        same = same.where(Org.id != but)
    return bool(await db.scalar(select(same)))


async def list_my_orgs(db: AsyncConnection, user_id: UUID) -> Sequence[Any]:
    """The orgs a user administers or is a live member of, each with what the user is there; oldest first."""
    standing = union_all(
        select(Org.id.label("org_id"), literal("main_admin").label("role")).where(Org.main_admin_id == user_id),
        select(OrgAdmin.org_id, literal("admin")).where(OrgAdmin.user_id == user_id),
        select(Member.org_id, literal("member")).where(Member.user_id == user_id, Member.removed_at.is_(None)),
    ).subquery()
    statement = (
        select(Org.id, Org.name, Org.kind, Org.status, func.array_agg(standing.c.role).label("roles"))
        .join(standing, standing.c.org_id == Org.id)
        .group_by(Org.id)
        .order_by(Org.id)
    )
    return (await db.execute(statement)).all()


async def list_units(db: AsyncConnection, org_id: UUID, paging: Paging) -> Sequence[Any]:
    """A page of the org's units with their paths, in the order of the paths: each before the units under it."""
    paths = tree.unit_paths(org_id)
    statement = (
        select(Unit.id, Unit.parent_id, Unit.name, Unit.kind, paths.c.path)
        .join(paths, paths.c.id == Unit.id)
        .where(Unit.org_id == org_id)
        .order_by(paths.c.path, Unit.id)
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        statement = statement.where(tuple_(paths.c.path, Unit.id) > tuple_(*map(literal, paging.after)))
    return (await db.execute(statement)).all()


async def get_unit_path(db: AsyncConnection, org_id: UUID, unit_id: UUID) -> str:
    paths = tree.unit_paths(org_id)
    return (await db.execute(select(paths.c.path).where(paths.c.id == unit_id))).scalar_one()
