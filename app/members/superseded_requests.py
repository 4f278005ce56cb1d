"""Requests about a member row: the condition that finds the row, and their end once the row is removed or unlinked."""

from uuid import UUID

from sqlalchemy import and_, exists
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import PERSON_TRANSFER, REMOVAL_REQUEST
from app.approvals.requests import finish_requests
from app.audit_log.entries import Actor
from app.schema.approvals import State
from app.schema.members import Member
from app.schema.own_rows import RemovalRequest
from app.schema.person_transfers import PersonTransfer

IS_PERSON_OF_TRANSFER = and_(Member.org_id == PersonTransfer.org_id, Member.id == PersonTransfer.member_id)
"""The condition that a member row is the row of the transferred person."""
IS_ROW_OF_REQUEST = and_(
    Member.org_id == RemovalRequest.org_id,
    Member.id == RemovalRequest.member_id,
    Member.user_id == RemovalRequest.user_id,
)
"""The condition that a member row is the row to remove: it is still linked to the user who asks."""

_IS_REMOVED = exists().where(IS_PERSON_OF_TRANSFER, Member.removed_at.is_not(None)).correlate(PersonTransfer)
_IS_LINKED = exists().where(IS_ROW_OF_REQUEST).correlate(RemovalRequest)


async def supersede_requests_of_removed(db: AsyncConnection, org_id: UUID, actor: Actor) -> None:
    """Supersede the waiting transfers out of the org whose person is removed from the directory, and the waiting
    requests to be removed whose row is no longer linked to the user.

    Every operation that removes people from a directory, or unlinks their rows, calls it afterwards, in the same
    transaction.
    """
    transfers = (PersonTransfer.org_id == org_id, _IS_REMOVED)
    await finish_requests(db, PERSON_TRANSFER, State.SUPERSEDED, *transfers, actor=actor, of_org=org_id)
    removals = (RemovalRequest.org_id == org_id, ~_IS_LINKED)
    await finish_requests(db, REMOVAL_REQUEST, State.SUPERSEDED, *removals, actor=actor, of_org=org_id)
