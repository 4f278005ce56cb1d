"""Writes of unit memberships: set all units of a member, or add one unit (S8)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.members import queries
from app.members.locks import increment_version, is_admin, lock_member
from app.members.schemas import MemberOut, MemberUnitsPut
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared
from app.web.etags import ReadVersion

_ADD_TO_UNITS = text("""
INSERT INTO unit_memberships (org_id, member_id, unit_id) SELECT :org_id, :member_id, unnest(CAST(:units AS uuid[]))
ON CONFLICT DO NOTHING
""")
_SET_UNITS = text("""
WITH wanted AS (SELECT unnest(CAST(:units AS uuid[])) AS unit_id),
current AS (
    SELECT id, unit_id FROM unit_memberships WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
),
ended AS (
    UPDATE unit_memberships AS p SET until = clock_timestamp() FROM current AS s
    WHERE p.org_id = :org_id AND p.id = s.id
      AND NOT EXISTS (SELECT FROM wanted AS w WHERE w.unit_id IS NOT DISTINCT FROM s.unit_id)
    RETURNING p.unit_id
),
started AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id)
    SELECT :org_id, :member_id, w.unit_id FROM wanted AS w
    WHERE NOT EXISTS (SELECT FROM current AS s WHERE s.unit_id IS NOT DISTINCT FROM w.unit_id)
    RETURNING unit_id
),
edited AS (
    UPDATE members SET version = version + 1
    WHERE org_id = :org_id AND id = :member_id AND (EXISTS (SELECT FROM ended) OR EXISTS (SELECT FROM started))
)
SELECT (SELECT coalesce(array_agg(unit_id::text), '{}') FROM current) AS before,
       (SELECT count(*) FROM ended) + (SELECT count(*) FROM started) AS changes
""")


async def set_units(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID, body: MemberUnitsPut, version: ReadVersion
) -> MemberOut:
    """Set all units of a member. An admin always remains at the org itself (S8).

    Locks the org and the row. Raises NotFound, EditedMeanwhile, UnknownUnit.
    """
    await lock_org_shared(db, scope)
    before = await lock_member(db, scope.org_id, member_id, version)
    at_org = body.at_org or not body.unit_ids or await is_admin(db, scope.org_id, before)
    units = [*body.unit_ids, *([None] if at_org else [])]
    await _apply_units(db, scope, member_id, units)
    return await queries.get_member(db, cipher, scope.org_id, member_id)


async def _apply_units(db: AsyncConnection, scope: OrgScope, member_id: UUID, units: Sequence[UUID | None]) -> None:
    parameters = {"org_id": scope.org_id, "member_id": member_id, "units": list(units)}
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit)):
        result = (await db.execute(_SET_UNITS, parameters)).one()
    if not result.changes:
        return
    await record(
        db,
        scope.actor,
        "member.moved",
        org_id=scope.org_id,
        subject=("member", member_id),
        before={"unit_ids": result.before},
        after={"unit_ids": [str(unit) if unit else None for unit in units]},
    )


async def copy_member(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID, unit_id: UUID
) -> MemberOut:
    """Add a member to one more unit (复制到本组织, S8). Copying again changes nothing.

    Locks the org and the row. Raises NotFound, UnknownUnit.
    """
    await lock_org_shared(db, scope)
    await lock_member(db, scope.org_id, member_id, None)
    if await add_to_units(db, scope.org_id, member_id, [unit_id]):
        await increment_version(db, scope.org_id, member_id)
        after = {"unit_id": str(unit_id)}
        await record(db, scope.actor, "member.copied", org_id=scope.org_id, subject=("member", member_id), after=after)
    return await queries.get_member(db, cipher, scope.org_id, member_id)


async def add_to_units(db: AsyncConnection, org_id: UUID, member_id: UUID, units: Sequence[UUID | None]) -> int:
    """Add a member to these units; None is the org itself. Return the number of new memberships. Raises UnknownUnit."""
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit)):
        added = await db.execute(_ADD_TO_UNITS, {"org_id": org_id, "member_id": member_id, "units": list(units)})
    return added.rowcount
