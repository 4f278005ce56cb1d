"""Holding orgs while they are changed, and deciding again who may.

Lock order, everywhere: the hierarchy (`tree.lock_hierarchy`), then orgs by id, then members. Whoever changes an
org's card, its edges, its admins or its units holds its row, so that what was read before the lock is read again.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.tables import OrgAdmin
from app.auth.access import OrgScope
from app.auth.errors import OrgClosed
from app.certification.tables import Certification
from app.errors import Forbidden
from app.orgs.tables import Org

_COLUMNS = (Org.id, Org.name, Org.region_code, Org.kind, Org.status, Org.version, Org.main_admin_id)


async def lock_orgs(db: AsyncConnection, *org_ids: UUID) -> Mapping[UUID, Any]:
    """Hold these orgs' rows until the transaction ends; gives them as they are now, by id."""
    held = select(*_COLUMNS).where(Org.id.in_(org_ids)).order_by(Org.id).with_for_update(key_share=True)
    return {row.id: row for row in (await db.execute(held)).all()}


async def hold(db: AsyncConnection, scope: OrgScope, *others: UUID, main_admin: bool = False) -> Mapping[UUID, Any]:
    """Hold the scope's org and others, and decide once more: since the caller was let in, the org may have been
    closed, or the caller removed.

    Raises OrgClosed (any of them), Forbidden.
    """
    orgs = await lock_orgs(db, scope.org_id, *others)
    own = orgs[scope.org_id]
    if any(org.status == "closed" for org in orgs.values()):
        raise OrgClosed
    if main_admin:
        still = own.main_admin_id == scope.user.user_id
    else:
        # A statement of its own: one that waited for the lock sees other tables as they were before it.
        admin = exists().where(OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == scope.user.user_id)
        still = bool(await db.scalar(select(admin)))
    if not still:
        raise Forbidden
    return orgs


async def find_superior_id(db: AsyncConnection, org_id: UUID) -> UUID | None:
    """The org it is certified under now."""
    edge = select(Certification.superior_id).where(
        Certification.subordinate_id == org_id, Certification.state == "certified"
    )
    found: UUID | None = await db.scalar(edge)
    return found
