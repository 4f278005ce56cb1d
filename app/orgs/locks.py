"""Lock the rows of orgs, and check the caller's permission again under the lock.

`docs/LOCKING.md` has the order of locks: the hierarchy (`tree.lock_hierarchy`), then orgs by id, then members. An
operation that changes an org itself, its edges, its admins or its units locks its row for edit (`lock_orgs_for_edit`).
An operation that writes data of the org's people locks the org's row shared (`lock_org_shared`). Such operations can
run at the same time as each other and as an import.
"""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, Text, Uuid, any_, bindparam, exists, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.access import OrgScope
from app.authz.errors import OrgClosed
from app.database.rows import fetch_rows
from app.schema.admins import OrgAdmin
from app.schema.orgs import Org
from app.web.errors import Forbidden


class LockedOrg(NamedTuple):
    """An org's columns at the time when its row was locked."""

    id: UUID
    name: str
    region_code: str
    kind: str
    status: str
    version: int
    main_admin_id: UUID | None


_ORGS = (
    select(Org.id, Org.name, Org.region_code, Org.kind, Org.status, Org.version, Org.main_admin_id)
    .where(Org.id == any_(bindparam("org_ids", type_=ARRAY(Uuid))))
    .order_by(Org.id)
)
_LOCK_FOR_EDIT = _ORGS.with_for_update(key_share=True)
_LOCK_EXCLUSIVE = _ORGS.with_for_update()
# The function locks the row and then reads the admins in a second statement, which has its own snapshot.
_LOCK_SHARED = text("SELECT status, admin FROM lock_org_shared(:org_id, :user_id)").columns(status=Text, admin=Boolean)
_IS_ADMIN = select(exists().where(OrgAdmin.org_id == bindparam("org_id"), OrgAdmin.user_id == bindparam("user_id")))


async def lock_orgs(db: AsyncConnection, *org_ids: UUID, exclusive: bool = False) -> Mapping[UUID, LockedOrg]:
    """Lock the rows of these orgs, in the order of their ids, until the transaction ends. Return them by id.

    The lock is FOR NO KEY UPDATE, which does not block transactions with `lock_org_shared`. With `exclusive` it is FOR
    UPDATE, which waits for those transactions too; closing an org and changing its admins need it.
    """
    statement = _LOCK_EXCLUSIVE if exclusive else _LOCK_FOR_EDIT
    return {org.id: org for org in await fetch_rows(db, statement, LockedOrg, {"org_ids": list(org_ids)})}


async def lock_orgs_for_edit(
    db: AsyncConnection, scope: OrgScope, *others: UUID, main_admin: bool = False, exclusive: bool = False
) -> Mapping[UUID, LockedOrg]:
    """Lock the scope's org and the others as `lock_orgs` does. Check again that all are open and that the caller is an
    admin (with `main_admin`: the main admin) of the scope's org. Both can change after the request was authorized.

    Return the orgs by id. Raises OrgClosed, Forbidden.
    """
    orgs = await lock_orgs(db, scope.org_id, *others, exclusive=exclusive)
    own = orgs[scope.org_id]
    if any(org.status == "closed" for org in orgs.values()):
        raise OrgClosed
    if not main_admin:
        # A separate statement, because the statement that waited for the lock has a snapshot from before the wait.
        if not await db.scalar(_IS_ADMIN, _get_parameters(scope)):
            raise Forbidden
    elif own.main_admin_id != scope.user.user_id:
        raise Forbidden
    return orgs


async def lock_org_shared(db: AsyncConnection, scope: OrgScope) -> None:
    """Lock the org FOR KEY SHARE and check again that it is open and the caller is an admin.

    Until this transaction ends, no other transaction can close the org or change its admins. Raises OrgClosed,
    Forbidden.
    """
    locked = (await db.execute(_LOCK_SHARED, _get_parameters(scope))).one()
    if locked.status == "closed":
        raise OrgClosed
    if not locked.admin:
        raise Forbidden


def _get_parameters(scope: OrgScope) -> dict[str, UUID]:
    return {"org_id": scope.org_id, "user_id": scope.user.user_id}
