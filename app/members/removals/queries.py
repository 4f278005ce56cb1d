"""Reads of requests to be removed from a directory: those of a user, and those that wait for an org's admins."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, exists, select

from app.approvals.kinds import REMOVAL_REQUEST
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members.removals.schemas import ReceivedRemovalRequestOut, RemovalRequestOut
from app.members.superseded_requests import IS_ROW_OF_REQUEST
from app.schema.members import Member
from app.schema.orgs import Org
from app.schema.own_rows import RemovalRequest

_RECEIVED = (
    select(
        RemovalRequest.id,
        RemovalRequest.member_id,
        Member.name,
        RemovalRequest.requested_at,
        RemovalRequest.expires_at,
    )
    .join(Member, IS_ROW_OF_REQUEST)
    .where(RemovalRequest.org_id == bindparam("org_id"), REMOVAL_REQUEST.waiting)
)
_RECEIVED_REQUESTS = PagedStatement(_RECEIVED, RemovalRequest.id.desc(), row=ReceivedRemovalRequestOut)
_RECEIVED_REQUEST = _RECEIVED.where(RemovalRequest.id == bindparam("request_id"))
_OF_USER = (
    select(
        RemovalRequest.id,
        RemovalRequest.org_id,
        Org.name.label("org_name"),
        REMOVAL_REQUEST.state,
        RemovalRequest.requested_at,
        RemovalRequest.expires_at,
        RemovalRequest.decided_at,
        RemovalRequest.reason,
    )
    .join(Org, Org.id == RemovalRequest.org_id)
    .where(RemovalRequest.user_id == bindparam("user_id"))
)
_OWN_REQUESTS = PagedStatement(_OF_USER, RemovalRequest.id.desc(), row=RemovalRequestOut)
_OWN_REQUEST = _OF_USER.where(RemovalRequest.id == bindparam("request_id"))


async def list_received_removal_requests(db: Readable, org_id: UUID, paging: Paging) -> Page[ReceivedRemovalRequestOut]:
    """Return a page of the requests that wait for the org's admins, the newest first."""
    found = await _RECEIVED_REQUESTS.fetch(db, paging, org_id=org_id)
    return Page[ReceivedRemovalRequestOut].from_slice(found)


async def get_received_removal_request(db: Readable, org_id: UUID, request_id: UUID) -> ReceivedRemovalRequestOut:
    """Return one request that waits for the org's admins. Raises NotFound."""
    given = {"org_id": org_id, "request_id": request_id}
    return await one_or_404(db, _RECEIVED_REQUEST, ReceivedRemovalRequestOut, given)


async def list_own_removal_requests(db: Readable, user_id: UUID, paging: Paging) -> Page[RemovalRequestOut]:
    """Return a page of the user's own requests, the newest first."""
    return Page[RemovalRequestOut].from_slice(await _OWN_REQUESTS.fetch(db, paging, user_id=user_id))


async def get_own_removal_request(db: Readable, user_id: UUID, request_id: UUID) -> RemovalRequestOut:
    """Return one of the user's own requests. Raises NotFound."""
    return await one_or_404(db, _OWN_REQUEST, RemovalRequestOut, {"user_id": user_id, "request_id": request_id})


class RequestedRemoval(NamedTuple):
    """The row to remove, and whether the request can be decided."""

    member_id: UUID
    is_waiting: bool


_REQUESTED = select(
    RemovalRequest.member_id,
    and_(REMOVAL_REQUEST.waiting, exists(select(Member.id).where(IS_ROW_OF_REQUEST).correlate(RemovalRequest))).label(
        "is_waiting"
    ),
).where(RemovalRequest.org_id == bindparam("org_id"), RemovalRequest.id == bindparam("request_id"))


async def get_requested_removal(db: Readable, org_id: UUID, request_id: UUID) -> RequestedRemoval:
    """Return the row of a request, which may have ended. Raises NotFound."""
    return await one_or_404(db, _REQUESTED, RequestedRemoval, {"org_id": org_id, "request_id": request_id})
