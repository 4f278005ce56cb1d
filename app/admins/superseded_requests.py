"""Requests for another main admin that end because the main admin has changed."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import ADMIN_INVITATION, CHANGE_REQUEST
from app.approvals.requests import finish_requests
from app.audit_log.entries import Actor
from app.schema.admins import AdminInvitation, ChangeRequest
from app.schema.approvals import State


async def supersede_main_admin_requests(db: AsyncConnection, actor: Actor, org_id: UUID, accepted_id: UUID) -> None:
    """Supersede the waiting hand-over, recovery and recovery offers of an org whose main admin has changed, except the
    accepted one. They name the former main admin, so they can never take effect.

    Every operation that changes the main admin calls it, in the same transaction. The caller has locked the org.
    """
    requests = (
        ChangeRequest.org_id == org_id,
        ChangeRequest.main_admin_after.is_not(None),
        ChangeRequest.id != accepted_id,
    )
    await finish_requests(db, CHANGE_REQUEST, State.SUPERSEDED, *requests, actor=actor, of_org=org_id)
    offers = (
        AdminInvitation.org_id == org_id,
        AdminInvitation.is_recovery(),
        AdminInvitation.id != accepted_id,
    )
    await finish_requests(db, ADMIN_INVITATION, State.SUPERSEDED, *offers, actor=actor, of_org=org_id)
