"""Locking the rows of orgs, and checking again under the lock that the caller may.

The order of locks is in `docs/LOCKING.md`: the hierarchy (`tree.lock_hierarchy`), then orgs by id, then members. An
operation that changes an org itself, its edges, its admins or its units locks its row for editing
(`lock_orgs_for_edit`). An operation that writes about the people of an org locks it shared (`lock_org_shared`), so
that such operations run beside each other and beside an import.
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
    """What an org was when its row was locked."""

    id: UUID
    name: str
    region_code: str
    kind: str
    status: str
    version: int
    main_admin_id: UUID


_ORGS = (
    select(Org.id, Org.name, Org.region_code, Org.kind, Org.status, Org.version, Org.main_admin_id)
    .where(Org.id == any_(bindparam("org_ids", type_=ARRAY(Uuid))))
    .order_by(Org.id)
)
_LOCK_FOR_EDIT = _ORGS.with_for_update(key_share=True)
_LOCK_EXCLUSIVE = _ORGS.with_for_update()
# The function locks the row, and then looks who the admins are in a statement of its own (a snapshot of its own).
_LOCK_SHARED = text("SELECT status, admin FROM lock_org_shared(:org_id, :user_id)").columns(status=Text, admin=Boolean)
_IS_ADMIN = select(exists().where(OrgAdmin.org_id == bindparam("org_id"), OrgAdmin.user_id == bindparam("user_id")))


async def lock_orgs(db: AsyncConnection, *org_ids: UUID, exclusive: bool = False) -> Mapping[UUID, LockedOrg]:
    """Lock the rows of these orgs, in the order of their ids, until the transaction ends. Returns them by id.

    FOR NO KEY UPDATE, which lets transactions with `lock_org_shared` go on. `exclusive` is FOR UPDATE, which waits for
    them too: for closing an org and for changing who its admins are.
    """
    statement = _LOCK_EXCLUSIVE if exclusive else _LOCK_FOR_EDIT
    return {org.id: org for org in await fetch_rows(db, statement, LockedOrg, {"org_ids": list(org_ids)})}


async def lock_orgs_for_edit(
    db: AsyncConnection, scope: OrgScope, *others: UUID, main_admin: bool = False, exclusive: bool = False
) -> Mapping[UUID, LockedOrg]:
    """Lock the scope's org and others as `lock_orgs` does, and check again that all are open and that the caller is an
    admin (`main_admin`: the main admin) of the scope's org: both may have changed since the request was authorized.

    Returns the orgs by id. Raises OrgClosed, Forbidden.
    """
    orgs = await lock_orgs(db, scope.org_id, *others, exclusive=exclusive)
    own = orgs[scope.org_id]
    if any(org.status == "closed" for org in orgs.values()):
        raise OrgClosed
    if not main_admin:
        # A statement of its own: the one that waited for the lock reads other tables as they were before it waited.
        if not await db.scalar(_IS_ADMIN, _caller(scope)):
            raise Forbidden
    elif own.main_admin_id != scope.user.user_id:
        raise Forbidden
    return orgs


async def lock_org_shared(db: AsyncConnection, scope: OrgScope) -> None:
    """Lock the org FOR KEY SHARE and check again that it is open and the caller is an admin.

    Until the transaction ends nobody closes the org or changes who its admins are. Raises OrgClosed, Forbidden.
    """
    locked = (await db.execute(_LOCK_SHARED, _caller(scope))).one()
    if locked.status == "closed":
        raise OrgClosed
    if not locked.admin:
        raise Forbidden


def _caller(scope: OrgScope) -> dict[str, UUID]:
    return {"org_id": scope.org_id, "user_id": scope.user.user_id}
