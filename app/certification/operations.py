"""Writes of invitations, applications and the edges of the hierarchy."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.certification import queries
from app.certification.edges import REFUSALS, end_edge, touch_card
from app.certification.errors import (
    AlreadyCertified,
    ApplicationDecided,
    ApplicationOpen,
    InvitationUsedUp,
    WouldCloseCircle,
)
from app.certification.schemas import ApplicationCreate, InvitationCreate
from app.certification.trace import record_on_each
from app.core.cipher import Cipher, hash_secret, new_secret
from app.core.db import on_constraint
from app.core.errors import NotFound
from app.hierarchy import tree
from app.orgs.locks import lock_orgs_for_edit
from app.schema.certification import Certification, Invitation
from app.schema.orgs import Org


async def create_invitation(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: InvitationCreate) -> Any:
    """Invite subordinates to apply (S6). The token is kept by its hash, and encrypted to be shown again."""
    await lock_orgs_for_edit(db, scope)
    token = new_secret()
    invitation_id: UUID = (await db.execute(select(func.uuidv7()))).scalar_one()
    row = (
        await db.execute(
            insert(Invitation)
            .values(
                id=invitation_id,
                org_id=scope.org_id,
                token_hash=hash_secret(token),
                token_cipher=cipher.encrypt(token, invitation_id),
                expires_at=func.now() + timedelta(hours=body.expires_in_hours),
                max_uses=body.max_uses,
                created_by=scope.user.user_id,
            )
            .returning(*queries.INVITATION_COLUMNS)
        )
    ).one()
    after = {"expires_at": row.expires_at.isoformat(), "max_uses": row.max_uses}
    subject = ("invitation", invitation_id)
    await record(db, scope.actor, "invitation.created", org_id=scope.org_id, subject=subject, after=after)
    return row


async def revoke_invitation(db: AsyncConnection, scope: OrgScope, invitation_id: UUID) -> None:
    """End an invitation; applications made with it stay. Revoking again changes nothing."""
    await lock_orgs_for_edit(db, scope)
    revoked = await db.execute(
        update(Invitation)
        .where(Invitation.org_id == scope.org_id, Invitation.id == invitation_id, Invitation.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    if revoked.rowcount == 0:
        await queries.get_invitation(db, scope.org_id, invitation_id)
        return
    subject = ("invitation", invitation_id)
    await record(db, scope.actor, "invitation.revoked", org_id=scope.org_id, subject=subject)


async def create_application(db: AsyncConnection, scope: OrgScope, body: ApplicationCreate) -> Any:
    """Apply, for one's own org, to be certified under the org that invited (S6, S14).

    Raises what `get_live_invitation` raises, AlreadyCertified, ApplicationOpen, WouldCloseCircle.
    """
    scope.user.require_real_name()
    # Told before the invitation is looked at: it may be this application that has used it up.
    open_one = (Certification.subordinate_id == scope.org_id, Certification.state == "applied")
    if await db.scalar(select(Certification.id).where(*open_one)) is not None:
        raise ApplicationOpen
    invitation = await queries.get_live_invitation(db, body.invitation_token)
    await lock_orgs_for_edit(db, scope, invitation.org_id)
    if await tree.find_superior_id(db, scope.org_id) is not None:
        raise AlreadyCertified
    # Told early; the trigger decides when the edge is made.
    if await db.scalar(tree.is_at_or_below(invitation.org_id, scope.org_id)):
        raise WouldCloseCircle
    await use_invitation(db, invitation.id)
    with on_constraint(("certifications_one_application_key", ApplicationOpen)):
        row = (
            await db.execute(
                insert(Certification)
                .values(
                    superior_id=invitation.org_id,
                    subordinate_id=scope.org_id,
                    state="applied",
                    invitation_id=invitation.id,
                    applied_by=scope.user.user_id,
                )
                .returning(*queries.APPLICATION_COLUMNS)
            )
        ).one()
    subject = ("application", row.id)
    after = {"superior_id": str(row.superior_id), "subordinate_id": str(row.subordinate_id)}
    await record_on_each(db, scope, "application.created", row.superior_id, subject=subject, after=after)
    return row


async def use_invitation(db: AsyncConnection, invitation_id: UUID) -> None:
    """Take one use of an invitation. Raises InvitationUsedUp where another took the last one meanwhile."""
    used = await db.execute(
        update(Invitation)
        .where(
            Invitation.id == invitation_id,
            Invitation.uses < Invitation.max_uses,
            Invitation.revoked_at.is_(None),
        )
        .values(uses=Invitation.uses + 1)
    )
    if used.rowcount == 0:
        raise InvitationUsedUp


async def withdraw_application(db: AsyncConnection, scope: OrgScope, application_id: UUID) -> None:
    """Take back one's own org's application while it waits. Raises ApplicationDecided."""
    await lock_orgs_for_edit(db, scope)
    mine = Certification.subordinate_id == scope.org_id
    await _decide(db, scope, application_id, mine, "withdrawn", "application.withdrawn", None)


async def refuse_application(db: AsyncConnection, scope: OrgScope, application_id: UUID, reason: str) -> Any:
    """Refuse an application made to one's own org, with a reason. Raises ApplicationDecided."""
    await lock_orgs_for_edit(db, scope)
    ours = Certification.superior_id == scope.org_id
    return await _decide(db, scope, application_id, ours, "refused", "application.refused", reason)


async def approve_application(db: AsyncConnection, scope: OrgScope, application_id: UUID) -> Any:
    """Certify the applicant under one's own org: from here on the edge is live (S6).

    Raises ApplicationDecided, AlreadyCertified, SiblingNameTaken, WouldCloseCircle, OrgClosed; each holds also when
    two approvals race, since the hierarchy's lock is taken first and the constraints decide.
    """
    await tree.lock_hierarchy(db)
    ours = Certification.superior_id == scope.org_id
    applicant: UUID | None = await db.scalar(
        select(Certification.subordinate_id).where(Certification.id == application_id, ours)
    )
    if applicant is None:
        raise NotFound
    await lock_orgs_for_edit(db, scope, applicant)
    row = await _decide(db, scope, application_id, ours, "certified", "certification.created", None)
    await touch_card(db, applicant)
    return row


async def release_subordinate(db: AsyncConnection, scope: OrgScope, subordinate_id: UUID) -> None:
    """End the certification of a direct subordinate; the edge stays in the history with its time range."""
    await tree.lock_hierarchy(db)
    if await tree.find_superior_id(db, subordinate_id) != scope.org_id:
        raise NotFound
    await lock_orgs_for_edit(db, scope, subordinate_id)
    released = await end_edge(db, subordinate_id, superior_id=scope.org_id)
    if released is None:
        raise NotFound
    before = {"superior_id": str(scope.org_id), "subordinate_id": str(subordinate_id)}
    subject = ("certification", released)
    await record_on_each(db, scope, "certification.released", subordinate_id, subject=subject, before=before)


async def _decide(
    db: AsyncConnection, scope: OrgScope, application_id: UUID, side: Any, state: str, action: str, reason: str | None
) -> Any:
    values: dict[str, Any] = {
        "state": state,
        "decided_by": scope.user.user_id,
        "decided_at": func.clock_timestamp(),
        "reason": reason,
    }
    if state == "certified":
        name = select(Org.name).where(Org.id == Certification.subordinate_id).scalar_subquery()
        # The statement's own time, not the transaction's: an edge begins after the lock was had.
        values |= {"certified_at": text("clock_timestamp()"), "subordinate_name": name}
    with on_constraint(*REFUSALS):
        row = (
            await db.execute(
                update(Certification)
                .where(Certification.id == application_id, side, Certification.state == "applied")
                .values(values)
                .returning(*queries.APPLICATION_COLUMNS)
            )
        ).one_or_none()
    if row is None:
        if await db.scalar(select(Certification.id).where(Certification.id == application_id, side)):
            raise ApplicationDecided
        raise NotFound
    after = {"superior_id": str(row.superior_id), "subordinate_id": str(row.subordinate_id)}
    if reason is not None:
        after["reason"] = reason
    other = row.superior_id if row.subordinate_id == scope.org_id else row.subordinate_id
    await record_on_each(db, scope, action, other, subject=("certification", row.id), after=after)
    return row
