"""Holding orgs while they are changed, and deciding again who may.

Lock order, everywhere: the hierarchy (`tree.lock_hierarchy`), then orgs by id, then members. Whoever changes an
org's card, its edges, its admins or its units holds its row, so that what was read before the lock is read again.
Whoever writes about its people holds their office alone (`hold_office`), beside each other and beside an import.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.access import OrgScope
from app.authz.errors import OrgClosed
from app.core.errors import Forbidden
from app.schema.admins import OrgAdmin
from app.schema.certification import Certification
from app.schema.orgs import Org

_COLUMNS = (Org.id, Org.name, Org.region_code, Org.kind, Org.status, Org.version, Org.main_admin_id)


async def lock_orgs(db: AsyncConnection, *org_ids: UUID, offices: bool = False) -> Mapping[UUID, Any]:
    """Hold these orgs' rows until the transaction ends; gives them as they are now, by id.

    With `offices` also against those who hold one: for who closes an org, or changes who administers it.
    """
    held = select(*_COLUMNS).where(Org.id.in_(org_ids)).order_by(Org.id).with_for_update(key_share=not offices)
    return {row.id: row for row in (await db.execute(held)).all()}


async def hold(
    db: AsyncConnection, scope: OrgScope, *others: UUID, main_admin: bool = False, offices: bool = False
) -> Mapping[UUID, Any]:
    """Hold the scope's org and others (`offices` as in `lock_orgs`), and decide once more: since the caller was let
    in, the org may have been closed, or the caller removed.

    Raises OrgClosed (any of them), Forbidden.
    """
    orgs = await lock_orgs(db, scope.org_id, *others, offices=offices)
    own = orgs[scope.org_id]
    if any(org.status == "closed" for org in orgs.values()):
        raise OrgClosed
    if not main_admin:
        await _see_that_they_administer(db, scope)
    elif own.main_admin_id != scope.user.user_id:
        raise Forbidden
    return orgs


async def hold_office(db: AsyncConnection, scope: OrgScope) -> None:
    """Hold that the scope's org lives and that the caller administers it, and decide so once more.

    Until the transaction ends it is not closed, and nobody becomes an admin of it or ceases to be one. Raises
    OrgClosed, Forbidden.
    """
    held = select(Org.status).where(Org.id == scope.org_id).with_for_update(read=True, key_share=True)
    if await db.scalar(held) == "closed":
        raise OrgClosed
    await _see_that_they_administer(db, scope)


async def _see_that_they_administer(db: AsyncConnection, scope: OrgScope) -> None:
    # A statement of its own: one that waited for the lock sees other tables as they were before it.
    admin = exists().where(OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == scope.user.user_id)
    if not await db.scalar(select(admin)):
        raise Forbidden


async def find_superior_id(db: AsyncConnection, org_id: UUID) -> UUID | None:
    """The org it is certified under now."""
    edge = select(Certification.superior_id).where(
        Certification.subordinate_id == org_id, Certification.state == "certified"
    )
    found: UUID | None = await db.scalar(edge)
    return found
