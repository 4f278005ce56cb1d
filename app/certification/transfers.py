"""Transfers of an org, with its whole subtree, to another superior (S20).

The org's main admin requests the transfer. Any admin of the present superior releases the org, and then any admin of
the new superior accepts it. The acceptance ends one edge and begins another, both at the same instant. It changes no
row of the org's subordinates, because the hierarchy is stored as an adjacency list. If the org leaves its superior in
another way, `edges.end_edge` supersedes the transfer.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import TRANSFER
from app.approvals.requests import Decision, create_request, decide_request, finish_request
from app.authz.access import OrgScope
from app.certification import queries
from app.certification.audit import record_for_each_org
from app.certification.edges import begin_edge, end_edge
from app.certification.errors import (
    AlreadyCertified,
    NoSuperior,
    PreviewStale,
    SameSuperior,
    TransferDecided,
    TransferNotReleased,
    TransferOpen,
    WouldCloseCircle,
)
from app.certification.operations import use_invitation
from app.certification.previews import compute_preview_version
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.messages.delivery import add_message_to_admins
from app.messages.kinds import MessageKind
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import lock_orgs_for_edit
from app.schema.admins import OrgAdmin
from app.schema.approvals import CertificationState, State
from app.schema.certification import Certification, Transfer


class _Transfer(NamedTuple):
    id: UUID
    org_id: UUID
    from_id: UUID
    to_id: UUID
    certification_id: UUID
    invitation_id: UUID
    state: str
    released_at: datetime | None
    requested_by: UUID


async def create_transfer(db: AsyncConnection, scope: OrgScope, invitation_token: str) -> UUID:
    """Request to move the scope's org to the superior that sent the invitation. Return the transfer's id.

    Raises RealNameRequired, the errors of `get_live_invitation`, NoSuperior, SameSuperior, WouldCloseCircle,
    SiblingNameTaken, TransferOpen.
    """
    scope.user.require_real_name()
    # This check precedes the check of the invitation, because the pending transfer may have used the invitation up.
    if await db.scalar(select(Transfer.id).where(Transfer.org_id == scope.org_id, TRANSFER.pending)) is not None:
        raise TransferOpen
    invitation = await queries.get_live_invitation(db, invitation_token)
    orgs = await lock_orgs_for_edit(db, scope, invitation.org_id, main_admin=True)
    edge = (
        await db.execute(
            select(Certification.id, Certification.superior_id).where(
                Certification.subordinate_id == scope.org_id, Certification.state == CertificationState.LIVE
            )
        )
    ).one_or_none()
    if edge is None:
        raise NoSuperior
    if edge.superior_id == invitation.org_id:
        raise SameSuperior
    # Early answers for the requester. The trigger and the index repeat both checks when the edge is inserted.
    if await tree.is_in_subtree(db, invitation.org_id, scope.org_id):
        raise WouldCloseCircle
    sibling = select(Certification.id).where(
        Certification.superior_id == invitation.org_id,
        Certification.subordinate_name == orgs[scope.org_id].name,
        Certification.state == CertificationState.LIVE,
    )
    if await db.scalar(sibling) is not None:
        raise SiblingNameTaken
    await use_invitation(db, invitation.id)
    transfer_id = await create_request(
        db,
        TRANSFER,
        TransferOpen,
        org_id=scope.org_id,
        from_id=edge.superior_id,
        to_id=invitation.org_id,
        certification_id=edge.id,
        invitation_id=invitation.id,
        requested_by=scope.user.user_id,
    )
    transfer = await _get_transfer(db, transfer_id, Transfer.org_id == scope.org_id)
    await _record(db, scope, transfer, "transfer.created")
    return transfer_id


async def withdraw_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID) -> None:
    """Withdraw a pending transfer of the scope's org. Raises NotFound, TransferDecided."""
    await lock_orgs_for_edit(db, scope, main_admin=True)
    transfer = await _get_transfer(db, transfer_id, Transfer.org_id == scope.org_id)
    if not await finish_request(db, TRANSFER, State.WITHDRAWN, Transfer.id == transfer.id, by=scope.user.user_id):
        raise TransferDecided
    await _record(db, scope, transfer, "transfer.withdrawn")


async def refuse_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID, reason: str) -> None:
    """Decline a transfer, as the present or the new superior. Raises NotFound, TransferDecided."""
    transfer = await _get_transfer(db, transfer_id, _has_superior(scope.org_id))
    await lock_orgs_for_edit(db, scope, transfer.org_id)
    # Either superior declines. The one whose admin has declined may repeat it.
    of_scope = (OrgAdmin.org_id == scope.org_id, OrgAdmin.user_id == Transfer.decided_by)
    same = and_(Transfer.reason == reason, exists().where(*of_scope).correlate(Transfer))
    decision = Decision(TRANSFER, State.DECLINED, [Transfer.id == transfer.id], TransferDecided, repeated=same)
    if not await decide_request(db, decision, scope.user.user_id, reason=reason):
        return
    await _record(db, scope, transfer, "transfer.declined", reason=reason)


async def release_org_to_new_superior(db: AsyncConnection, scope: OrgScope, transfer_id: UUID, preview: str) -> None:
    """Consent to the transfer, as the org's present superior. The org moves when the new superior accepts.

    `preview` is the version of the preview that the admin has read. Raises NotFound, PreviewStale, TransferDecided.
    """
    transfer = await _get_transfer(db, transfer_id, Transfer.from_id == scope.org_id)
    await lock_orgs_for_edit(db, scope, transfer.org_id)
    transfer = await _get_transfer(db, transfer_id, Transfer.from_id == scope.org_id)
    if transfer.state == State.PENDING and transfer.released_at is not None:
        return  # released before, by this side
    if await compute_preview_version(db, transfer) != preview:
        raise PreviewStale
    released = await db.execute(
        update(Transfer)
        .where(Transfer.id == transfer.id, Transfer.released_at.is_(None), TRANSFER.pending)
        .values(released_by=scope.user.user_id, released_at=func.clock_timestamp())
    )
    if released.rowcount == 0:
        raise TransferDecided
    await _record(db, scope, transfer, "transfer.released")


async def accept_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID, preview: str) -> None:
    """Accept the org, as its new superior. The org moves in this transaction, with its whole subtree.

    Locks the hierarchy, then both orgs. Raises NotFound, TransferNotReleased, TransferDecided, PreviewStale,
    WouldCloseCircle, SiblingNameTaken, OrgClosed.
    """
    await tree.lock_hierarchy(db)
    transfer = await _get_transfer(db, transfer_id, Transfer.to_id == scope.org_id)
    await lock_orgs_for_edit(db, scope, transfer.org_id)
    transfer = await _get_transfer(db, transfer_id, Transfer.to_id == scope.org_id)
    if transfer.state == State.PENDING and transfer.released_at is None:
        raise TransferNotReleased
    decision = Decision(TRANSFER, State.ACCEPTED, [Transfer.id == transfer.id], TransferDecided)
    if not await decide_request(db, decision, scope.user.user_id):
        return
    if await compute_preview_version(db, transfer) != preview:
        raise PreviewStale
    instant = await db.scalar(select(func.clock_timestamp()))
    if await end_edge(db, scope, transfer.org_id, superior_id=transfer.from_id, at=instant) is None:
        raise AlreadyCertified  # cannot happen while the org's row is locked
    await begin_edge(
        db,
        scope.org_id,
        transfer.org_id,
        requested_by=transfer.requested_by,
        decided_by=scope.user.user_id,
        invitation_id=transfer.invitation_id,
        at=instant,
    )
    await _record(db, scope, transfer, "transfer.accepted")
    # The requester has the message that the request is accepted.
    kind, requester = MessageKind.ORG_TRANSFERRED, transfer.requested_by
    await add_message_to_admins(db, transfer.org_id, kind, actor_id=requester)


def _has_superior(org_id: UUID) -> ColumnElement[bool]:
    return or_(Transfer.from_id == org_id, Transfer.to_id == org_id)


async def _get_transfer(db: AsyncConnection, transfer_id: UUID, condition: ColumnElement[bool]) -> _Transfer:
    columns = (getattr(Transfer, name) for name in _Transfer._fields)
    return await one_or_404(db, select(*columns).where(Transfer.id == transfer_id, condition), _Transfer)


async def _record(
    db: AsyncConnection, scope: OrgScope, transfer: _Transfer, action: str, reason: str | None = None
) -> None:
    """Record the action for all three orgs."""
    after = {"org_id": str(transfer.org_id), "from_id": str(transfer.from_id), "to_id": str(transfer.to_id)}
    if reason is not None:
        after["reason"] = reason
    org_ids = (transfer.org_id, transfer.from_id, transfer.to_id)
    await record_for_each_org(db, scope, action, *org_ids, subject=("transfer", transfer.id), after=after)
