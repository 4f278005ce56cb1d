"""Writes of admins and admin invitations. Each function has the rule, the SQL, the audit entry and the outgoing
event."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.appointments import insert_admin
from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    InviteeNameDiffers,
    MainAdminStays,
    RecoveryOfferStale,
)
from app.admins.invitees import (
    Invitee,
    build_invitee_columns,
    decline_if_name_differs,
    is_offered_to,
    require_not_admin,
)
from app.admins.recovery_offers import set_recovered_main_admin, supersede_stale_recovery
from app.approvals.kinds import ADMIN_INVITATION, CHANGE_REQUEST
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    finish_requests,
    get_request_to_decide,
    withdraw_request,
)
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.authz.errors import OrgClosed
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.members.admin_rows import ensure_admin_row
from app.messages.delivery import add_message
from app.messages.kinds import MessageKind
from app.orgs.errors import PartyMemberRequired
from app.orgs.locks import LockedOrg, lock_orgs, lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.admins import AdminInvitation, ChangeRequest, OrgAdmin
from app.schema.approvals import State
from app.web.errors import NotFound


async def invite_admin(db: AsyncConnection, cipher: Cipher, scope: OrgScope, invitee: Invitee) -> UUID:
    """Invite a person, by phone or by member row, to become an admin. Return the invitation's id.

    Raises Forbidden (the caller is not the main admin), UnknownMember, MemberWithoutPhone, AlreadyAdmin,
    AdminInvitationOpen.
    """
    await lock_orgs_for_edit(db, scope, main_admin=True)
    invitation_id = make_id()
    columns = await build_invitee_columns(db, cipher, scope.org_id, invitee, invitation_id)
    await require_not_admin(db, scope.org_id, columns)
    await create_request(
        db,
        ADMIN_INVITATION,
        AdminInvitationOpen,
        id=invitation_id,
        org_id=scope.org_id,
        requested_by=scope.user.user_id,
        **columns,
    )
    subject = ("admin_invitation", invitation_id)
    await record(db, scope.actor, "admin_invitation.created", org_id=scope.org_id, subject=subject)
    return invitation_id


async def withdraw_admin_invitation(db: AsyncConnection, scope: OrgScope, invitation_id: UUID) -> None:
    """Withdraw a pending invitation. Raises Forbidden, NotFound, AdminInvitationDecided, AdminInvitationExpired."""
    await lock_orgs_for_edit(db, scope, main_admin=True)
    conditions = (AdminInvitation.id == invitation_id, AdminInvitation.org_id == scope.org_id)
    errors = {"decided": AdminInvitationDecided, "expired": AdminInvitationExpired}
    await withdraw_request(db, ADMIN_INVITATION, *conditions, by=scope.user.user_id, **errors)
    subject = ("admin_invitation", invitation_id)
    await record(db, scope.actor, "admin_invitation.withdrawn", org_id=scope.org_id, subject=subject)


class _Invitation(NamedTuple):
    main_admin_before: UUID | None
    first_main_admin: bool

    @property
    def is_recovery(self) -> bool:
        return self.first_main_admin or self.main_admin_before is not None


async def accept_admin_invitation(
    db: AsyncConnection, cipher: Cipher, user: UserScope, invitation_id: UUID
) -> LockedOrg | InviteeNameDiffers | RecoveryOfferStale:
    """Make the user an admin, with a unit membership at the org itself (S4, S8). Return the locked org.

    The user must be verified at the time of the acceptance. A recovery makes the user the main admin. If the user's
    name is not the name of the invited member, or if the recovery is stale, the error is returned and not raised, so
    that the end of the invitation is committed.

    Locks the org FOR UPDATE. Raises NotFound, RealNameRequired, PartyMemberRequired, OrgClosed,
    AdminInvitationDecided, AdminInvitationExpired, AlreadyAdmin, AlreadyMainAdmin, PhoneOfAnotherMember.
    """
    org_id = await _get_inviting_org_id(db, user, invitation_id)
    user.require_real_name()
    org = (await lock_orgs(db, org_id, exclusive=True))[org_id]
    if org.status == "closed":
        raise OrgClosed
    if org.kind == Kind.PARTY and not user.party_member:
        raise PartyMemberRequired
    decision = _build_decision(State.ACCEPTED, user, invitation_id, AdminInvitation.user_id == user.user_id)
    columns = [AdminInvitation.main_admin_before, AdminInvitation.first_main_admin]
    invitation, repeated = await get_request_to_decide(db, decision, columns, _Invitation)
    if repeated:
        return org
    if (refused := await decline_if_name_differs(db, ADMIN_INVITATION, user, org_id, invitation_id)) is not None:
        return refused
    if invitation.is_recovery and (stale := await supersede_stale_recovery(db, user, org, invitation_id)) is not None:
        return stale
    await insert_admin(db, org_id, user.user_id)
    await ensure_admin_row(db, cipher, user.actor, org_id, user.user_id)
    await decide_request(db, decision, user.user_id, user_id=user.user_id)  # the user may have declined it meanwhile
    after = {"user_id": str(user.user_id), "admin_invitation_id": str(invitation_id)}
    await record(db, user.actor, "admin.added", org_id=org_id, subject=("admin", user.user_id), after=after)
    # The one message about an act of one's own: it says on all devices that the role is taken up.
    await add_message(db, user.user_id, MessageKind.ADMIN_ADDED, org_id, actor_id=None)
    if invitation.is_recovery:
        await set_recovered_main_admin(db, user, org, invitation_id)
    return org


async def refuse_admin_invitation(db: AsyncConnection, user: UserScope, invitation_id: UUID) -> None:
    """Decline an invitation that is addressed to the user.

    Raises NotFound, AdminInvitationDecided, AdminInvitationExpired.
    """
    org_id = await _get_inviting_org_id(db, user, invitation_id)
    decision = _build_decision(State.DECLINED, user, invitation_id, AdminInvitation.reason.is_(None))
    if not await decide_request(db, decision, user.user_id):
        return
    subject = ("admin_invitation", invitation_id)
    await record(db, user.actor.get_actor_for_other_org(), "admin_invitation.declined", org_id=org_id, subject=subject)


def _build_decision(state: State, user: UserScope, invitation_id: UUID, repeated: ColumnElement[bool]) -> Decision:
    decided, expired = AdminInvitationDecided, AdminInvitationExpired
    return Decision(ADMIN_INVITATION, state, _is_offer_to(user, invitation_id), decided, expired, repeated)


async def remove_admin(db: AsyncConnection, scope: OrgScope, user_id: UUID) -> None:
    """Remove an admin, who stays a member of the org (S4). Raises Forbidden, MainAdminStays, NotFound."""
    await lock_orgs_for_edit(db, scope, main_admin=True, exclusive=True)
    if user_id == scope.user.user_id:
        raise MainAdminStays
    await _delete_admin(db, scope, user_id, "admin.removed")


async def resign(db: AsyncConnection, scope: OrgScope) -> None:
    """Remove the caller from the org's admins (S4). The main admin must hand over first. Raises MainAdminStays."""
    org = (await lock_orgs_for_edit(db, scope, exclusive=True))[scope.org_id]
    if org.main_admin_id == scope.user.user_id:
        raise MainAdminStays
    await _delete_admin(db, scope, scope.user.user_id, "admin.resigned")


# A former admin leaves the management group only if the person is also a member of a unit, because a member must have
# at least one unit membership.
_LEAVE_MANAGEMENT_GROUP = text("""
WITH locked AS (
    SELECT id FROM members WHERE org_id = :org_id AND user_id = :user_id FOR UPDATE
), ended AS (
    UPDATE unit_memberships AS p SET until = clock_timestamp() FROM locked
    WHERE p.org_id = :org_id AND p.member_id = locked.id AND p.unit_id IS NULL AND p.until IS NULL AND EXISTS (
        SELECT FROM unit_memberships AS o
        WHERE o.org_id = :org_id AND o.member_id = locked.id AND o.unit_id IS NOT NULL AND o.until IS NULL
    ) RETURNING p.member_id
)
UPDATE members AS m SET version = version + 1 FROM ended WHERE m.org_id = :org_id AND m.id = ended.member_id
""")


async def _delete_admin(db: AsyncConnection, scope: OrgScope, user_id: UUID, action: str) -> None:
    """Delete the admin and supersede the change requests that name this user. Raises NotFound."""
    conditions = (OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == user_id)
    deleted = await db.execute(delete(OrgAdmin).where(*conditions))
    if deleted.rowcount == 0:
        raise NotFound
    await db.execute(_LEAVE_MANAGEMENT_GROUP, {"org_id": scope.org_id, "user_id": user_id})
    # A request that names the former admin as the next main admin can no longer be accepted.
    names_user = (ChangeRequest.org_id == scope.org_id, ChangeRequest.main_admin_after == user_id)
    await finish_requests(db, CHANGE_REQUEST, State.SUPERSEDED, *names_user, actor=scope.actor, of_org=scope.org_id)
    before = {"user_id": str(user_id)}
    await record(db, scope.actor, action, org_id=scope.org_id, subject=("admin", user_id), before=before)
    await add_message(db, user_id, MessageKind.ADMIN_REMOVED, scope.org_id, actor_id=scope.user.user_id)


def _is_offer_to(user: UserScope, invitation_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions that select this invitation if it is addressed to the user."""
    return AdminInvitation.id == invitation_id, is_offered_to(AdminInvitation, user.user_id)


async def _get_inviting_org_id(db: AsyncConnection, user: UserScope, invitation_id: UUID) -> UUID:
    """Return the org that made this invitation to the user; it may have any state. Raises NotFound."""
    org_id: UUID | None = await db.scalar(select(AdminInvitation.org_id).where(*_is_offer_to(user, invitation_id)))
    if org_id is None:
        raise NotFound
    return org_id
