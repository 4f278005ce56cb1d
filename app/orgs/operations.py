"""Writes of orgs and units: the rule, the SQL, the audit entry and the outgoing event, in one function each."""

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.tables import OrgAdmin
from app.audit.operations import record
from app.auth.access import OrgCard, OrgScope, UserScope
from app.cipher import Cipher
from app.db import on_constraint
from app.members.operations import place_admin
from app.orgs import names
from app.orgs.errors import PartyMemberRequired, UnitNameTaken, UnknownRegion, UnknownUnit
from app.orgs.names import Kind
from app.orgs.regions import find_region
from app.orgs.schemas import OrgCreate, UnitCreate
from app.orgs.tables import Org, Unit
from app.search import spell


async def create_org(db: AsyncConnection, cipher: Cipher, user: UserScope, body: OrgCreate) -> OrgCard:
    """Make an org whose main admin is its creator, with a member row placed at the org itself (S2, S4, S8, S19).

    Raises RealNameRequired, PartyMemberRequired, UnknownRegion, or the first of the name's errors (S3).
    """
    user.require_real_name()
    if body.kind is Kind.PARTY and not user.party_member:
        raise PartyMemberRequired
    if find_region(body.region_code) is None:
        raise UnknownRegion
    for error in names.errors_of(body.name, body.kind):
        raise error
    row = (
        await db.execute(
            insert(Org)
            .values(
                name=body.name,
                **spell(body.name)._asdict(),
                region_code=body.region_code,
                kind=body.kind,
                main_admin_id=user.user_id,
                created_by=user.user_id,
            )
            .returning(Org.id, Org.version, Org.status, Org.created_at)
        )
    ).one()
    await db.execute(insert(OrgAdmin).values(org_id=row.id, user_id=user.user_id))
    await place_admin(db, cipher, row.id, user.user_id)
    after = {"name": body.name, "region_code": body.region_code, "kind": body.kind}
    await record(db, user.actor, "org.created", org_id=row.id, subject=("org", row.id), after=after)
    return OrgCard(
        id=row.id,
        name=body.name,
        region_code=body.region_code,
        kind=body.kind,
        status=row.status,
        version=row.version,
        created_at=row.created_at,
        closed_at=None,
        main_admin_id=user.user_id,
        superior_id=None,
    )


async def create_unit(db: AsyncConnection, scope: OrgScope, body: UnitCreate) -> Any:
    """Make a unit in the org's own tree (S7, S10). Raises UnitNameTaken, UnknownUnit (the parent)."""
    with on_constraint(("units_org_id_parent_id_name_key", UnitNameTaken), ("units_parent_fkey", UnknownUnit)):
        row = (
            await db.execute(
                insert(Unit)
                .values(org_id=scope.org_id, parent_id=body.parent_id, name=body.name, kind=body.kind)
                .returning(Unit.id, Unit.parent_id, Unit.name, Unit.kind)
            )
        ).one()
    after = {"name": row.name, "kind": row.kind, "parent_id": str(row.parent_id) if row.parent_id else None}
    await record(db, scope.actor, "unit.created", org_id=scope.org_id, subject=("unit", row.id), after=after)
    return row
