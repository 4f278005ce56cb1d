"""Writes of who administers an org: the rule, the SQL, the audit entry and the outgoing event, in one function each."""

from typing import NamedTuple, NoReturn
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    AlreadyAdmin,
    InviteeNameDiffers,
    MainAdminStays,
    RecoveryOfferStale,
)
from app.admins.invitees import (
    Invitee,
    decline_of_other_name,
    invitee_columns,
    is_offered_to,
    refuse_admin_as_invitee,
)
from app.admins.recovery_offers import become_main_admin, supersede_stale_recovery
from app.approvals.kinds import ADMIN_INVITATION, CHANGE_REQUEST
from app.approvals.requests import finish, finish_all, open_request, raise_why_not, read_waiting
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.authz.errors import OrgClosed
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.database.db import on_constraint
from app.members.admin_rows import ensure_admin_row
from app.orgs.errors import PartyMemberRequired
from app.orgs.locks import LockedOrg, lock_orgs, lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.admins import AdminInvitation, ChangeRequest, OrgAdmin
from app.schema.approvals import State
from app.web.errors import NotFound


async def invite_admin(db: AsyncConnection, cipher: Cipher, scope: OrgScope, invitee: Invitee) -> UUID:
    """Invite a person, by phone or by their member row, to be an admin (S4). Returns the invitation's id.

    Raises Forbidden (not the main admin), UnknownMember, AlreadyAdmin, AdminInvitationOpen.
    """
    await lock_orgs_for_edit(db, scope, main_admin=True)
    invitation_id = make_id()
    invited = await invitee_columns(db, cipher, scope.org_id, invitee, invitation_id)
    await refuse_admin_as_invitee(db, scope.org_id, invited)
    await open_request(
        db,
        ADMIN_INVITATION,
        AdminInvitationOpen,
        id=invitation_id,
        org_id=scope.org_id,
        requested_by=scope.user.user_id,
        **invited,
    )
    subject = ("admin_invitation", invitation_id)
    await record(db, scope.actor, "admin_invitation.created", org_id=scope.org_id, subject=subject)
    return invitation_id


async def withdraw_admin_invitation(db: AsyncConnection, scope: OrgScope, invitation_id: UUID) -> None:
    """Take an invitation back. Raises Forbidden, NotFound, AdminInvitationDecided, AdminInvitationExpired."""
    await lock_orgs_for_edit(db, scope, main_admin=True)
    mine = (AdminInvitation.id == invitation_id, AdminInvitation.org_id == scope.org_id)
    if not await finish(db, ADMIN_INVITATION, State.WITHDRAWN, *mine):
        await _raise_why_not(db, *mine)
    subject = ("admin_invitation", invitation_id)
    await record(db, scope.actor, "admin_invitation.withdrawn", org_id=scope.org_id, subject=subject)


class _Invitation(NamedTuple):
    main_admin_before: UUID | None


async def accept_admin_invitation(
    db: AsyncConnection, cipher: Cipher, user: UserScope, invitation_id: UUID
) -> LockedOrg | InviteeNameDiffers | RecoveryOfferStale:
    """Become an admin, with a place at the org itself (S4, S8). Returns the org. Verification is checked here.

    A recovery makes the user the main admin. Where the user has another name than the invited member, or the recovery
    is stale, the refusal is given back and not raised: the invitation has ended, which is committed.

    Raises NotFound, RealNameRequired, PartyMemberRequired, OrgClosed, AdminInvitationDecided,
    AdminInvitationExpired, AlreadyAdmin, AlreadyMainAdmin, PhoneOfAnotherMember.
    """
    org_id = await _find_inviting_org(db, user, invitation_id)
    user.require_real_name()
    org = (await lock_orgs(db, org_id, exclusive=True))[org_id]
    if org.status == "closed":
        raise OrgClosed
    if org.kind == Kind.PARTY and not user.party_member:
        raise PartyMemberRequired
    invitation = await read_waiting(
        db,
        ADMIN_INVITATION,
        *_made_to(user, invitation_id),
        columns=[AdminInvitation.main_admin_before],
        row=_Invitation,
        decided=AdminInvitationDecided,
        expired=AdminInvitationExpired,
    )
    if (refused := await decline_of_other_name(db, ADMIN_INVITATION, user, org_id, invitation_id)) is not None:
        return refused
    recovery = invitation.main_admin_before is not None
    if recovery and (stale := await supersede_stale_recovery(db, user, org, invitation_id)) is not None:
        return stale
    with on_constraint(("org_admins_pkey", AlreadyAdmin)):
        await db.execute(insert(OrgAdmin).values(org_id=org_id, user_id=user.user_id))
    await ensure_admin_row(db, cipher, user.actor, org_id, user.user_id)
    accepted = AdminInvitation.id == invitation_id
    if not await finish(db, ADMIN_INVITATION, State.ACCEPTED, accepted, user_id=user.user_id):
        raise AdminInvitationDecided  # declined meanwhile
    after = {"user_id": str(user.user_id), "admin_invitation_id": str(invitation_id)}
    await record(db, user.actor, "admin.added", org_id=org_id, subject=("admin", user.user_id), after=after)
    if recovery:
        await become_main_admin(db, user, org, invitation_id)
    return org


async def refuse_admin_invitation(db: AsyncConnection, user: UserScope, invitation_id: UUID) -> None:
    """Decline an invitation made to oneself. Raises NotFound, AdminInvitationDecided,
    AdminInvitationExpired."""
    org_id = await _find_inviting_org(db, user, invitation_id)
    mine = _made_to(user, invitation_id)
    if not await finish(db, ADMIN_INVITATION, State.DECLINED, *mine):
        await _raise_why_not(db, *mine)
    subject = ("admin_invitation", invitation_id)
    await record(db, user.actor.elsewhere(), "admin_invitation.declined", org_id=org_id, subject=subject)


async def _raise_why_not(db: AsyncConnection, *which: ColumnElement[bool]) -> NoReturn:
    await raise_why_not(db, ADMIN_INVITATION, *which, decided=AdminInvitationDecided, expired=AdminInvitationExpired)


async def remove_admin(db: AsyncConnection, scope: OrgScope, user_id: UUID) -> None:
    """Take an admin's office away; as a member they stay (S4). Raises Forbidden, MainAdminStays, NotFound."""
    await lock_orgs_for_edit(db, scope, main_admin=True, exclusive=True)
    if user_id == scope.user.user_id:
        raise MainAdminStays
    await _leave_office(db, scope, user_id, "admin.removed")


async def resign(db: AsyncConnection, scope: OrgScope) -> None:
    """Give up one's own office; the main admin hands over first (S4). Raises MainAdminStays."""
    org = (await lock_orgs_for_edit(db, scope, exclusive=True))[scope.org_id]
    if org.main_admin_id == scope.user.user_id:
        raise MainAdminStays
    await _leave_office(db, scope, scope.user.user_id, "admin.resigned")


# The management group is left where the person also stands in a unit; nobody is left standing nowhere.
_LEAVE_MANAGEMENT_GROUP = text("""
WITH held AS (
    SELECT id FROM members WHERE org_id = :org_id AND user_id = :user_id FOR UPDATE
), ended AS (
    UPDATE unit_memberships AS p SET until = clock_timestamp() FROM held
    WHERE p.org_id = :org_id AND p.member_id = held.id AND p.unit_id IS NULL AND p.until IS NULL AND EXISTS (
        SELECT FROM unit_memberships AS o
        WHERE o.org_id = :org_id AND o.member_id = held.id AND o.unit_id IS NOT NULL AND o.until IS NULL
    ) RETURNING p.member_id
)
UPDATE members AS m SET version = version + 1 FROM ended WHERE m.org_id = :org_id AND m.id = ended.member_id
""")


async def _leave_office(db: AsyncConnection, scope: OrgScope, user_id: UUID, action: str) -> None:
    where = (OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == user_id)
    left = await db.execute(delete(OrgAdmin).where(*where))
    if left.rowcount == 0:
        raise NotFound
    await db.execute(_LEAVE_MANAGEMENT_GROUP, {"org_id": scope.org_id, "user_id": user_id})
    # A request that names them can never be granted any more.
    names_them = (ChangeRequest.org_id == scope.org_id, ChangeRequest.main_admin_after == user_id)
    await finish_all(db, CHANGE_REQUEST, State.SUPERSEDED, *names_them)
    before = {"user_id": str(user_id)}
    await record(db, scope.actor, action, org_id=scope.org_id, subject=("admin", user_id), before=before)


def _made_to(user: UserScope, invitation_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """The invitation, where it was made to the user."""
    return AdminInvitation.id == invitation_id, is_offered_to(AdminInvitation, user.user_id)


async def _find_inviting_org(db: AsyncConnection, user: UserScope, invitation_id: UUID) -> UUID:
    """The org of an invitation made to the user, in any state. Raises NotFound."""
    found: UUID | None = await db.scalar(select(AdminInvitation.org_id).where(*_made_to(user, invitation_id)))
    if found is None:
        raise NotFound
    return found
