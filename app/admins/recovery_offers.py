"""Recovery of an org in which no admin is left who could ask for it (S4).

The main admin of the superior, or for an org without a superior the platform operator, names a person by phone. That
person becomes an admin and the main admin by accepting (`operations.accept_admin_invitation`); the former main admin
stays an admin, finds the offer in the inbox and can withdraw it.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    AdminsLeft,
    AlreadyMainAdmin,
    RecoveryOfferStale,
)
from app.admins.invitees import Invitee, invitee_columns
from app.approvals.kinds import ADMIN_INVITATION
from app.approvals.requests import finish, finish_all, open_request, raise_why_not
from app.audit_log.entries import record
from app.authz.access import OperatorScope, OrgScope, UserScope
from app.certification.audit import record_for_each_org
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.hierarchy import tree
from app.orgs.locks import LockedOrg, lock_orgs, lock_orgs_for_edit
from app.schema.admins import AdminInvitation, OrgAdmin
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.orgs import Org
from app.web.errors import NotFound


async def offer_recovery(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, subordinate_id: UUID, phone: str, reason: str
) -> UUID:
    """Offer a person, as the superior's main admin, to be the main admin of a direct subordinate. Returns the offer's
    id. Raises NotFound, Forbidden, OrgClosed, AdminsLeft, AdminInvitationOpen."""
    org = await _lock_subordinate(db, scope, subordinate_id)
    offer_id = await _offer(db, cipher, org, phone, requested_by=scope.user.user_id, superior_id=scope.org_id)
    subject, after = ("admin_invitation", offer_id), {"org_id": str(org.id), "reason": reason}
    await record_for_each_org(db, scope, "recovery.offered", org.id, subject=subject, after=after)
    return offer_id


async def withdraw_recovery(db: AsyncConnection, scope: OrgScope, subordinate_id: UUID, offer_id: UUID) -> None:
    """Take such an offer back. Raises NotFound, Forbidden, AdminInvitationDecided, AdminInvitationExpired."""
    await _lock_subordinate(db, scope, subordinate_id)
    await _withdraw(db, subordinate_id, offer_id, scope.org_id)
    subject, after = ("admin_invitation", offer_id), {"org_id": str(subordinate_id)}
    await record_for_each_org(db, scope, "recovery.withdrawn", subordinate_id, subject=subject, after=after)


async def offer_recovery_as_operator(
    db: AsyncConnection, cipher: Cipher, operator: OperatorScope, org_id: UUID, phone: str, reason: str
) -> UUID:
    """The same for an org without a superior. Returns the offer's id. Raises NotFound, AdminsLeft,
    AdminInvitationOpen."""
    org = await _lock_orphan(db, org_id)
    offer_id = await _offer(db, cipher, org, phone, requested_by=operator.user.user_id, superior_id=None)
    subject = ("admin_invitation", offer_id)
    await record(db, operator.actor, "recovery.offered", org_id=org_id, subject=subject, after={"reason": reason})
    return offer_id


async def withdraw_recovery_as_operator(db: AsyncConnection, operator: OperatorScope, offer_id: UUID) -> None:
    """Take such an offer back. Raises NotFound, AdminInvitationDecided, AdminInvitationExpired."""
    which = (AdminInvitation.id == offer_id, *_of_superior(None))
    org_id = await db.scalar(select(AdminInvitation.org_id).where(*which))
    if org_id is None:
        raise NotFound
    await lock_orgs(db, org_id)
    await _withdraw(db, org_id, offer_id, None)
    await record(db, operator.actor, "recovery.withdrawn", org_id=org_id, subject=("admin_invitation", offer_id))


async def supersede_stale_recovery(
    db: AsyncConnection, user: UserScope, org: LockedOrg, offer_id: UUID
) -> RecoveryOfferStale | None:
    """Supersede the offer where the locked org has another main admin, another superior or another admin by now.

    Returns the refusal, which is to be given back and not raised, so that the superseded offer is committed. None: the
    user may accept. Raises AlreadyMainAdmin.
    """
    if org.main_admin_id == user.user_id:
        raise AlreadyMainAdmin
    offer = select(AdminInvitation.main_admin_before, AdminInvitation.superior_id).where(AdminInvitation.id == offer_id)
    before, superior_id = (await db.execute(offer)).one()
    unchanged = before == org.main_admin_id and superior_id == await tree.find_superior_id(db, org.id)
    if unchanged and not await _has_admins_left(db, org):
        return None
    await finish(db, ADMIN_INVITATION, State.SUPERSEDED, AdminInvitation.id == offer_id)
    return RecoveryOfferStale()


async def become_main_admin(db: AsyncConnection, user: UserScope, org: LockedOrg, offer_id: UUID) -> None:
    """Make the user, an admin by now, the main admin of the locked org; other offers of it are superseded."""
    changed = {"main_admin_id": user.user_id, "version": Org.version + 1}
    await db.execute(update(Org).where(Org.id == org.id).values(changed))
    others = (AdminInvitation.org_id == org.id, AdminInvitation.id != offer_id)
    recovery = AdminInvitation.main_admin_before.is_not(None)
    await finish_all(db, ADMIN_INVITATION, State.SUPERSEDED, *others, recovery)
    before, after = {"main_admin_id": str(org.main_admin_id)}, {"main_admin_id": str(user.user_id)}
    subject = ("org", org.id)
    await record(db, user.actor, "org.recovered", org_id=org.id, subject=subject, before=before, after=after)


async def _lock_subordinate(db: AsyncConnection, scope: OrgScope, subordinate_id: UUID) -> LockedOrg:
    """The direct subordinate, locked with the scope's org. Raises NotFound, Forbidden, OrgClosed."""
    if await tree.find_superior_id(db, subordinate_id) != scope.org_id:
        raise NotFound
    orgs = await lock_orgs_for_edit(db, scope, subordinate_id, main_admin=True)
    if await tree.find_superior_id(db, subordinate_id) != scope.org_id:
        raise NotFound
    return orgs[subordinate_id]


async def _lock_orphan(db: AsyncConnection, org_id: UUID) -> LockedOrg:
    """The live org without a superior, locked. Raises NotFound."""
    org = (await lock_orgs(db, org_id)).get(org_id)
    if org is None or org.status == "closed" or await tree.find_superior_id(db, org_id) is not None:
        raise NotFound
    return org


async def _offer(
    db: AsyncConnection, cipher: Cipher, org: LockedOrg, phone: str, *, requested_by: UUID, superior_id: UUID | None
) -> UUID:
    if await _has_admins_left(db, org):
        raise AdminsLeft
    offer_id = make_id()
    columns: dict[str, Any] = await invitee_columns(db, cipher, org.id, Invitee(phone=phone), offer_id)
    columns |= {"requested_by": requested_by, "superior_id": superior_id, "main_admin_before": org.main_admin_id}
    return await open_request(db, ADMIN_INVITATION, AdminInvitationOpen, id=offer_id, org_id=org.id, **columns)


async def _has_admins_left(db: AsyncConnection, org: LockedOrg) -> bool:
    """Whether an admin beside the main admin can sign in, and so can ask for a recovery."""
    others = exists().where(
        OrgAdmin.org_id == org.id,
        OrgAdmin.user_id != org.main_admin_id,
        User.id == OrgAdmin.user_id,
        User.status == "active",
    )
    return bool(await db.scalar(select(others)))


def _of_superior(superior_id: UUID | None) -> tuple[Any, ...]:
    return AdminInvitation.main_admin_before.is_not(None), AdminInvitation.superior_id.is_not_distinct_from(superior_id)


async def _withdraw(db: AsyncConnection, org_id: UUID, offer_id: UUID, superior_id: UUID | None) -> None:
    which = (AdminInvitation.id == offer_id, AdminInvitation.org_id == org_id, *_of_superior(superior_id))
    if not await finish(db, ADMIN_INVITATION, State.WITHDRAWN, *which):
        decided, expired = AdminInvitationDecided, AdminInvitationExpired
        await raise_why_not(db, ADMIN_INVITATION, *which, decided=decided, expired=expired)
