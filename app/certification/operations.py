"""Writes of invitations and applications."""

from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import APPLICATION
from app.approvals.requests import Decision, create_request, decide_request, withdraw_request
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.certification import queries
from app.certification.audit import record_for_each_org
from app.certification.edges import EDGE_ERRORS, bump_org_version
from app.certification.errors import (
    AlreadyCertified,
    ApplicationDecided,
    ApplicationOpen,
    InvitationUsedUp,
    WouldCloseCircle,
)
from app.certification.queries import InvitationRow
from app.certification.schemas import ApplicationCreate, ApplicationCreated, ApplicationOut, InvitationCreate
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.hierarchy import tree
from app.orgs.advice import build_advice, list_edge_advice
from app.orgs.links import insert_link, revoke_link, use_link
from app.orgs.locks import lock_orgs_for_edit
from app.orgs.queries import get_card
from app.schema.approvals import CertificationState
from app.schema.certification import Certification, Invitation
from app.schema.orgs import Org
from app.web.errors import NotFound


async def create_invitation(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: InvitationCreate
) -> InvitationRow:
    """Create an invitation with which orgs apply to become subordinates (S6). Return its row.

    Raises OrgClosed, Forbidden.
    """
    await lock_orgs_for_edit(db, scope)
    values = {"org_id": scope.org_id, "max_uses": body.max_uses, "created_by": scope.user.user_id}
    invitation_id = await insert_link(db, cipher, Invitation, expires_in_hours=body.expires_in_hours, **values)
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    after = {"expires_at": row.expires_at.isoformat(), "max_uses": row.max_uses}
    subject = ("invitation", invitation_id)
    await record(db, scope.actor, "invitation.created", org_id=scope.org_id, subject=subject, after=after)
    return row


async def revoke_invitation(db: AsyncConnection, scope: OrgScope, invitation_id: UUID) -> None:
    """Revoke an invitation. Applications made with it remain. A second revocation changes nothing.

    Raises NotFound, OrgClosed, Forbidden.
    """
    await lock_orgs_for_edit(db, scope)
    if not await revoke_link(db, Invitation, scope.org_id, invitation_id):
        await queries.get_invitation(db, scope.org_id, invitation_id)
        return
    subject = ("invitation", invitation_id)
    await record(db, scope.actor, "invitation.revoked", org_id=scope.org_id, subject=subject)


async def create_application(db: AsyncConnection, scope: OrgScope, body: ApplicationCreate) -> ApplicationCreated:
    """Apply for the scope's org to be certified under the org that invited it (S6, S14). Return the application, with
    advice if the edge is unusual.

    Raises RealNameRequired, the errors of `get_live_invitation`, AlreadyCertified, ApplicationOpen, WouldCloseCircle.
    """
    scope.user.require_real_name()
    # This check precedes the check of the invitation, because the pending application may have used the invitation up.
    if await db.scalar(
        select(Certification.id).where(Certification.subordinate_id == scope.org_id, APPLICATION.pending)
    ):
        raise ApplicationOpen
    invitation = await queries.get_live_invitation(db, body.invitation_token)
    await lock_orgs_for_edit(db, scope, invitation.org_id)
    if await tree.find_superior_id(db, scope.org_id) is not None:
        raise AlreadyCertified
    # An early answer for the applicant. The trigger repeats the check when the edge becomes live.
    if await tree.is_in_subtree(db, invitation.org_id, scope.org_id):
        raise WouldCloseCircle
    await use_invitation(db, invitation.id)
    application_id = await create_request(
        db,
        APPLICATION,
        ApplicationOpen,
        superior_id=invitation.org_id,
        subordinate_id=scope.org_id,
        invitation_id=invitation.id,
        requested_by=scope.user.user_id,
    )
    subject = ("application", application_id)
    after = {"superior_id": str(invitation.org_id), "subordinate_id": str(scope.org_id)}
    await record_for_each_org(db, scope, "application.created", invitation.org_id, subject=subject, after=after)
    created = await queries.get_application(db, application_id)
    advice = build_advice(list_edge_advice(await get_card(db, invitation.org_id), scope.org))
    return ApplicationCreated(**created.model_dump(), advice=advice)


async def use_invitation(db: AsyncConnection, invitation_id: UUID) -> None:
    """Count one use of an invitation. Raises InvitationUsedUp if a concurrent transaction took the last use."""
    if not await use_link(db, Invitation, invitation_id):
        raise InvitationUsedUp


async def withdraw_application(db: AsyncConnection, scope: OrgScope, application_id: UUID) -> None:
    """Withdraw a pending application of the scope's org. Raises NotFound, ApplicationDecided."""
    await lock_orgs_for_edit(db, scope)
    own = (Certification.id == application_id, Certification.subordinate_id == scope.org_id)
    decided, by = ApplicationDecided, scope.user.user_id
    await withdraw_request(db, APPLICATION, *own, by=by, decided=decided, expired=decided)
    await _record_end(db, scope, await queries.get_application(db, application_id), "application.withdrawn")


async def refuse_application(db: AsyncConnection, scope: OrgScope, application_id: UUID, reason: str) -> ApplicationOut:
    """Decline an application that the scope's org has received. Return the application.

    Raises NotFound, ApplicationDecided.
    """
    await lock_orgs_for_edit(db, scope)
    received = _select_received(scope, application_id)
    same = Certification.reason == reason
    decision = Decision(APPLICATION, CertificationState.DECLINED, received, ApplicationDecided, repeated=same)
    decided = await decide_request(db, decision, scope.user.user_id, reason=reason)
    application = await queries.get_application(db, application_id)
    if decided:
        await _record_end(db, scope, application, "application.declined", reason)
    return application


async def approve_application(db: AsyncConnection, scope: OrgScope, application_id: UUID) -> ApplicationOut:
    """Certify the applicant under the scope's org: the edge becomes live (S6). Return the application.

    Locks the hierarchy, then both orgs. Raises NotFound, ApplicationDecided, AlreadyCertified, SiblingNameTaken,
    WouldCloseCircle, OrgClosed. The errors are correct for concurrent approvals too, because the hierarchy is locked
    first and the constraints decide.
    """
    await tree.lock_hierarchy(db)
    received = _select_received(scope, application_id)
    applicant_id: UUID | None = await db.scalar(select(Certification.subordinate_id).where(*received))
    if applicant_id is None:
        raise NotFound
    await lock_orgs_for_edit(db, scope, applicant_id)
    name = select(Org.name).where(Org.id == Certification.subordinate_id).scalar_subquery()
    decision = Decision(APPLICATION, CertificationState.LIVE, received, ApplicationDecided)
    with on_constraint(*EDGE_ERRORS):
        # The time of the statement, not of the transaction, because an edge begins after the hierarchy is locked.
        values = {"certified_at": func.clock_timestamp(), "subordinate_name": name}
        certified = await decide_request(db, decision, scope.user.user_id, **values)
    application = await queries.get_application(db, application_id)
    if certified:
        await _record_end(db, scope, application, "certification.created")
        await bump_org_version(db, applicant_id)
    return application


def _select_received(scope: OrgScope, application_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return Certification.id == application_id, Certification.superior_id == scope.org_id


async def _record_end(
    db: AsyncConnection, scope: OrgScope, row: ApplicationOut, action: str, reason: str | None = None
) -> None:
    after = {"superior_id": str(row.superior_id), "subordinate_id": str(row.subordinate_id)}
    if reason is not None:
        after["reason"] = reason
    other = row.superior_id if row.subordinate_id == scope.org_id else row.subordinate_id
    await record_for_each_org(db, scope, action, other, subject=("certification", row.id), after=after)
