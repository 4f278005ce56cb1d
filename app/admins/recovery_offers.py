"""Recovery of an org in which no admin remains who could request a recovery (S4).

The superior's main admin offers the org to a person by phone; for an org without a superior, the platform operator
does. When this person accepts (`operations.accept_admin_invitation`), the person becomes an admin and the main admin.
The former main admin remains an admin, finds the offer in the inbox while it waits, and can withdraw it.

An org that a load has created has no main admin yet (`org_loads`). The operator may name one for it even where it has a
superior, since the superior may have none either. The person who accepts first becomes the main admin.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    AdminsLeft,
    AlreadyMainAdmin,
    RecoveryOfferStale,
)
from app.admins.invitees import Invitee, build_invitee_columns
from app.admins.superseded_requests import supersede_main_admin_requests
from app.approvals.kinds import ADMIN_INVITATION
from app.approvals.requests import create_request, finish_request, withdraw_request
from app.audit_log.entries import record
from app.authz.access import OperatorScope, OrgScope, UserScope
from app.certification.audit import record_for_each_org
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.hierarchy import tree
from app.messages.delivery import add_message
from app.messages.kinds import MessageKind
from app.orgs.locks import LockedOrg, lock_orgs, lock_orgs_for_edit
from app.schema.admins import AdminInvitation, OrgAdmin
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.orgs import Org
from app.web.errors import NotFound


async def offer_recovery(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, subordinate_id: UUID, phone: str, reason: str
) -> UUID:
    """Offer a person the office of main admin of a direct subordinate. The caller is the main admin of the superior.
    Return the offer's id.

    Raises NotFound, Forbidden, OrgClosed, AdminsLeft, AdminInvitationOpen.
    """
    org = await _lock_subordinate(db, scope, subordinate_id)
    offer_id = await _create_offer(db, cipher, org, phone, requested_by=scope.user.user_id, superior_id=scope.org_id)
    subject, after = ("admin_invitation", offer_id), {"org_id": str(org.id), "reason": reason}
    await record_for_each_org(db, scope, "recovery.offered", org.id, subject=subject, after=after)
    return offer_id


async def withdraw_recovery(db: AsyncConnection, scope: OrgScope, subordinate_id: UUID, offer_id: UUID) -> None:
    """Withdraw a waiting recovery offer, as the superior's main admin. Raises NotFound, Forbidden,
    AdminInvitationDecided, AdminInvitationExpired."""
    await _lock_subordinate(db, scope, subordinate_id)
    await _withdraw_offer(db, scope.user, subordinate_id, offer_id, scope.org_id)
    subject, after = ("admin_invitation", offer_id), {"org_id": str(subordinate_id)}
    await record_for_each_org(db, scope, "recovery.withdrawn", subordinate_id, subject=subject, after=after)


async def offer_recovery_as_operator(
    db: AsyncConnection, cipher: Cipher, operator: OperatorScope, org_id: UUID, phone: str, reason: str
) -> UUID:
    """Offer a person the office of main admin of an org without a superior, or of one that has never had a main admin.
    The caller is a platform operator. Return the offer's id. Raises NotFound, AdminsLeft, AdminInvitationOpen."""
    org = await _lock_org_for_operator(db, org_id)
    offer_id = await _create_offer(db, cipher, org, phone, requested_by=operator.user.user_id, superior_id=None)
    subject = ("admin_invitation", offer_id)
    await record(db, operator.actor, "recovery.offered", org_id=org_id, subject=subject, after={"reason": reason})
    return offer_id


async def withdraw_recovery_as_operator(db: AsyncConnection, operator: OperatorScope, offer_id: UUID) -> None:
    """Withdraw a waiting recovery offer that a platform operator has made. Raises NotFound, AdminInvitationDecided,
    AdminInvitationExpired."""
    conditions = (AdminInvitation.id == offer_id, *_build_offer_conditions(None))
    org_id = await db.scalar(select(AdminInvitation.org_id).where(*conditions))
    if org_id is None:
        raise NotFound
    await lock_orgs(db, org_id)
    await _withdraw_offer(db, operator.user, org_id, offer_id, None)
    await record(db, operator.actor, "recovery.withdrawn", org_id=org_id, subject=("admin_invitation", offer_id))


async def supersede_stale_recovery(
    db: AsyncConnection, user: UserScope, org: LockedOrg, offer_id: UUID
) -> RecoveryOfferStale | None:
    """Supersede the offer if the org's main admin or superior has changed since the offer, or if an admin can now
    request a recovery. An operator's offer of an org without a main admin does not depend on the superior. The caller
    has locked the org.

    Return RecoveryOfferStale, or None if the user may accept. The error is returned and not raised, so that the
    superseded offer is committed. Raises AlreadyMainAdmin.
    """
    if org.main_admin_id == user.user_id:
        raise AlreadyMainAdmin
    offer = select(AdminInvitation.main_admin_before, AdminInvitation.superior_id).where(AdminInvitation.id == offer_id)
    before, superior_id = (await db.execute(offer)).one()
    unchanged = before == org.main_admin_id
    if before is not None or superior_id is not None:
        unchanged = unchanged and superior_id == await tree.find_superior_id(db, org.id)
    if unchanged and not await _has_admins_left(db, org):
        return None
    await finish_request(db, ADMIN_INVITATION, State.SUPERSEDED, AdminInvitation.id == offer_id, by=user.user_id)
    return RecoveryOfferStale()


async def set_recovered_main_admin(db: AsyncConnection, user: UserScope, org: LockedOrg, offer_id: UUID) -> None:
    """Make the user the main admin of the org, and supersede the other requests for a new main admin.

    The caller has locked the org and inserted the user's admin row.
    """
    values = {"main_admin_id": user.user_id, "version": Org.version + 1}
    await db.execute(update(Org).where(Org.id == org.id).values(values))
    await supersede_main_admin_requests(db, user.actor, org.id, offer_id)
    before = None if org.main_admin_id is None else {"main_admin_id": str(org.main_admin_id)}
    after = {"main_admin_id": str(user.user_id)}
    subject = ("org", org.id)
    await record(db, user.actor, "org.recovered", org_id=org.id, subject=subject, before=before, after=after)
    if org.main_admin_id is not None:
        replaced = MessageKind.MAIN_ADMIN_REPLACED
        await add_message(db, org.main_admin_id, replaced, org.id, actor_id=user.user_id)


async def _lock_subordinate(db: AsyncConnection, scope: OrgScope, subordinate_id: UUID) -> LockedOrg:
    """Lock the scope's org and a direct subordinate. Return the subordinate. Raises NotFound, Forbidden, OrgClosed."""
    if await tree.find_superior_id(db, subordinate_id) != scope.org_id:
        raise NotFound
    orgs = await lock_orgs_for_edit(db, scope, subordinate_id, main_admin=True)
    if await tree.find_superior_id(db, subordinate_id) != scope.org_id:
        raise NotFound
    return orgs[subordinate_id]


async def _lock_org_for_operator(db: AsyncConnection, org_id: UUID) -> LockedOrg:
    """Lock a live org that has no superior or has never had a main admin, and return it. Raises NotFound."""
    org = (await lock_orgs(db, org_id)).get(org_id)
    if org is None or org.status == "closed":
        raise NotFound
    if org.main_admin_id is not None and await tree.find_superior_id(db, org_id) is not None:
        raise NotFound
    return org


async def _create_offer(
    db: AsyncConnection, cipher: Cipher, org: LockedOrg, phone: str, *, requested_by: UUID, superior_id: UUID | None
) -> UUID:
    if await _has_admins_left(db, org):
        raise AdminsLeft
    offer_id = make_id()
    columns: dict[str, Any] = await build_invitee_columns(db, cipher, org.id, Invitee(phone=phone), offer_id)
    columns |= {"requested_by": requested_by, "superior_id": superior_id, "main_admin_before": org.main_admin_id}
    columns["first_main_admin"] = org.main_admin_id is None
    return await create_request(db, ADMIN_INVITATION, AdminInvitationOpen, id=offer_id, org_id=org.id, **columns)


async def _has_admins_left(db: AsyncConnection, org: LockedOrg) -> bool:
    """Return whether an admin other than the main admin can sign in and so can request a recovery."""
    others = exists().where(
        OrgAdmin.org_id == org.id,
        OrgAdmin.user_id != org.main_admin_id,
        User.id == OrgAdmin.user_id,
        User.status == "active",
    )
    return bool(await db.scalar(select(others)))


def _build_offer_conditions(superior_id: UUID | None) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions that select the recovery offers of this superior (None: of a platform operator)."""
    return AdminInvitation.is_recovery(), AdminInvitation.superior_id.is_not_distinct_from(superior_id)


async def _withdraw_offer(
    db: AsyncConnection, user: UserScope, org_id: UUID, offer_id: UUID, superior_id: UUID | None
) -> None:
    conditions = (
        AdminInvitation.id == offer_id,
        AdminInvitation.org_id == org_id,
        *_build_offer_conditions(superior_id),
    )
    errors = {"decided": AdminInvitationDecided, "expired": AdminInvitationExpired}
    await withdraw_request(db, ADMIN_INVITATION, *conditions, by=user.user_id, **errors)
