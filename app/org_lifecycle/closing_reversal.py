"""Taking a closing back (S20): a request that is pending, or within 7 days the closing itself."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import MainAdminOnly
from app.approvals.kinds import CLOSURE
from app.approvals.requests import finish_request
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.authz.errors import OrgClosed
from app.certification.audit import record_for_each_org
from app.certification.edges import begin_edge
from app.certification.errors import WouldCloseCircle
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.messages.delivery import add_message_to_admins
from app.messages.kinds import MessageKind
from app.orgs.errors import OrgMerged, ReopeningTooLate, SiblingNameTaken
from app.orgs.locks import LockedOrg, lock_orgs
from app.schema.admins import OrgAdmin
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.orgs import Closure, Merger, Org
from app.web.errors import Forbidden, NotFound
from app.web.etags import ReadVersion, require_version

REOPENING_WINDOW = timedelta(days=7)


class _Closure(NamedTuple):
    id: UUID
    state: str
    requested_by: UUID
    superior_id: UUID | None
    in_time: bool
    reopened_at: datetime | None


_NEWEST = (
    select(
        Closure.id,
        CLOSURE.state,
        Closure.requested_by,
        Closure.superior_id,
        (Closure.decided_at > func.now() - REOPENING_WINDOW).label("in_time"),
        Closure.reopened_at,
    )
    .where(Closure.org_id == bindparam("org_id", type_=Uuid()))
    .order_by(Closure.id.desc())
    .limit(1)
)

_IS_MERGED = select(exists().where(Merger.org_id == bindparam("org_id", type_=Uuid()), Merger.state == State.ACCEPTED))


async def take_back_closing(db: AsyncConnection, scope: OrgScope, version: ReadVersion) -> None:
    """Undo a closing of the scope's org. If the closing is only requested, an admin withdraws the request, or the main
    admin declines it. If the org is closed, the main admin opens it again.

    An org that is opened again returns to its former superior, if that one is open, has no other subordinate of this
    name, and is not below the org. Requests and invitations that the closing ended do not return. Locks the hierarchy,
    then the org and its former superior FOR UPDATE, then the accounts of its admins FOR SHARE. Raises EditedMeanwhile,
    NotFound (nothing to undo), Forbidden, MainAdminOnly, ReopeningTooLate, OrgMerged.
    """
    require_version(scope.org.version, version)
    await tree.lock_hierarchy(db)
    if await db.scalar(_IS_MERGED, {"org_id": scope.org_id}):
        raise OrgMerged
    superior_id = (await one_or_404(db, _NEWEST, _Closure, {"org_id": scope.org_id})).superior_id
    orgs = await lock_orgs(db, scope.org_id, *([] if superior_id is None else [superior_id]), exclusive=True)
    org = orgs[scope.org_id]
    require_version(org.version, version)
    closure = await one_or_404(db, _NEWEST, _Closure, {"org_id": scope.org_id})
    is_admin = select(OrgAdmin.user_id).where(OrgAdmin.org_id == org.id, OrgAdmin.user_id == scope.user.user_id)
    if await db.scalar(is_admin) is None:
        raise Forbidden
    if org.status == "live":
        await _end_request(db, scope, org, closure)
        return
    if org.main_admin_id != scope.user.user_id:
        raise MainAdminOnly
    if not closure.in_time:
        raise ReopeningTooLate
    await _reopen(db, scope, closure)


async def _end_request(db: AsyncConnection, scope: OrgScope, org: LockedOrg, closure: _Closure) -> None:
    """Decline the pending closure if the caller is the main admin; else withdraw it. Raises NotFound."""
    state = State.DECLINED if org.main_admin_id == scope.user.user_id else State.WITHDRAWN
    if not await finish_request(db, CLOSURE, state, Closure.id == closure.id, by=scope.user.user_id):
        raise NotFound
    await record(db, scope.actor, f"closure.{state}", org_id=org.id, subject=("closure", closure.id))


async def _reopen(db: AsyncConnection, scope: OrgScope, closure: _Closure) -> None:
    # An account could be closed while the org was closed; such an admin does not return. The locks wait for an account
    # that is being closed, and no other one can be closed until the org is open.
    admins = select(OrgAdmin.user_id).where(OrgAdmin.org_id == scope.org_id)
    await db.execute(select(User.id).where(User.id.in_(admins)).order_by(User.id).with_for_update(read=True))
    closed_accounts = select(User.id).where(User.status == "closed")
    await db.execute(delete(OrgAdmin).where(OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id.in_(closed_accounts)))
    await db.execute(
        update(Org).where(Org.id == scope.org_id).values(status="live", closed_at=None, version=Org.version + 1)
    )
    await db.execute(
        update(Closure)
        .where(Closure.id == closure.id)
        .values(reopened_at=func.clock_timestamp(), reopened_by=scope.user.user_id)
    )
    superior_id = await _restore_edge(db, scope, closure.superior_id)
    after = {"superior_id": None if superior_id is None else str(superior_id)}
    user_id = scope.user.user_id
    await add_message_to_admins(db, scope.org_id, MessageKind.ORG_REOPENED, actor_id=user_id)
    if superior_id is not None:
        kind = MessageKind.SUBORDINATE_REOPENED
        await add_message_to_admins(db, superior_id, kind, actor_id=user_id, named_id=scope.org_id)
    others = [] if superior_id is None else [superior_id]
    await record_for_each_org(db, scope, "org.reopened", *others, subject=("org", scope.org_id), after=after)


async def _restore_edge(db: AsyncConnection, scope: OrgScope, superior_id: UUID | None) -> UUID | None:
    """Certify the org under its former superior again. Return the superior, or None if the org has no superior now."""
    if superior_id is None:
        return None
    user_id = scope.user.user_id
    try:
        async with db.begin_nested():
            edge_id = await begin_edge(db, superior_id, scope.org_id, requested_by=user_id, decided_by=user_id)
    except (SiblingNameTaken, WouldCloseCircle, OrgClosed):
        return None
    edge = {"superior_id": str(superior_id), "subordinate_id": str(scope.org_id)}
    subject = ("certification", edge_id)
    await record_for_each_org(db, scope, "certification.created", superior_id, subject=subject, after=edge)
    return superior_id
