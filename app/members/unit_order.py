"""The order of the people in a unit: those with a place first, for example the secretary, then the others by name."""

from functools import partial
from uuid import UUID

from sqlalchemy import Integer, Uuid, and_, bindparam, func, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.members.locks import lock_member
from app.members.member_list import NO_POSITION
from app.members.queries import MEMBERS, MemberRow, get_member, make_member_out
from app.members.schemas import MemberOut
from app.orgs.locks import lock_org_shared
from app.orgs.queries import get_unit
from app.schema.members import Member, UnitMembership
from app.web.errors import NotFound

_IN_UNIT = PagedStatement(
    MEMBERS.join(
        UnitMembership,
        and_(
            UnitMembership.org_id == Member.org_id,
            UnitMembership.member_id == Member.id,
            UnitMembership.unit_id == bindparam("unit_id", type_=Uuid()),
            UnitMembership.until.is_(None),
        ),
    ),
    func.coalesce(UnitMembership.position, NO_POSITION),
    Member.pinyin,
    Member.name,
    Member.id,
    row=MemberRow,
)


async def list_members_of_unit(
    db: Readable, cipher: Cipher, org_id: UUID, unit_id: UUID, paging: Paging
) -> Page[MemberOut]:
    """Return a page of the people of a unit in the unit's own order, then by name. Raises NotFound."""
    await get_unit(db, org_id, unit_id)
    found = await _IN_UNIT.fetch(db, paging, org_id=org_id, unit_id=unit_id)
    return Page[MemberOut].from_slice(found.map(partial(make_member_out, cipher)))


_SET_POSITION = text("""
WITH changed AS (
    UPDATE unit_memberships AS p SET position = :position
    FROM unit_memberships AS old
    WHERE p.org_id = :org_id AND p.member_id = :member_id AND p.unit_id = :unit_id AND p.until IS NULL
      AND old.org_id = p.org_id AND old.id = p.id
    RETURNING old.position AS before
), edited AS (
    UPDATE members SET version = version + 1
    WHERE org_id = :org_id AND id = :member_id AND EXISTS (SELECT FROM changed WHERE before IS DISTINCT FROM :position)
)
SELECT before FROM changed
""").bindparams(bindparam("position", type_=Integer()))


async def set_position(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID, unit_id: UUID, position: int | None
) -> MemberOut:
    """Set the place of a member in a unit, from 1; None: by name, after the others.

    Locks the org and the row. Raises NotFound, also if the member is not in the unit.
    """
    await lock_org_shared(db, scope)
    await lock_member(db, scope.org_id, member_id, None)
    given = {"org_id": scope.org_id, "member_id": member_id, "unit_id": unit_id, "position": position}
    found = (await db.execute(_SET_POSITION, given)).one_or_none()
    if found is None:
        raise NotFound
    if found.before != position:
        of_unit = {"unit_id": str(unit_id)}
        await record(
            db,
            scope.actor,
            "member.ordered",
            org_id=scope.org_id,
            subject=("member", member_id),
            before=of_unit | {"position": found.before},
            after=of_unit | {"position": position},
        )
    return await get_member(db, cipher, scope.org_id, member_id)
