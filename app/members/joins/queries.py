"""Reads of requests to join: those of a user, and those that wait for an org's admins."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, func, literal_column, select

from app.approvals.kinds import JOIN_REQUEST
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members.joins.errors import JoinRequestDecided
from app.members.joins.schemas import JoinRequestOut, ReceivedJoinRequestOut
from app.schema.auth import User
from app.schema.joins import JoinRequest
from app.schema.orgs import Org, Unit

_UNIT_OF_REQUEST = and_(Unit.org_id == JoinRequest.org_id, Unit.id == JoinRequest.unit_id)
ASKER_IS_ACTIVE = and_(User.id == JoinRequest.user_id, User.status == literal_column("'active'"))
ASKER_NAME = func.coalesce(User.verified_name, JoinRequest.name)

_RECEIVED = (
    select(
        JoinRequest.id,
        ASKER_NAME.label("name"),
        User.verified_at.is_not(None).label("verified"),
        User.party_member,
        JoinRequest.unit_id,
        Unit.name.label("unit_name"),
        JoinRequest.requested_at,
        JoinRequest.expires_at,
    )
    .select_from(JoinRequest)
    .join(User, ASKER_IS_ACTIVE)
    .join(Unit, _UNIT_OF_REQUEST, isouter=True)
    .where(JoinRequest.org_id == bindparam("org_id"), JOIN_REQUEST.waiting)
)
_RECEIVED_REQUESTS = PagedStatement(_RECEIVED, JoinRequest.id.desc(), row=ReceivedJoinRequestOut)
_RECEIVED_REQUEST = _RECEIVED.where(JoinRequest.id == bindparam("request_id"))
_OF_USER = (
    select(
        JoinRequest.id,
        JoinRequest.org_id,
        Org.name.label("org_name"),
        Unit.name.label("unit_name"),
        JOIN_REQUEST.state,
        JoinRequest.requested_at,
        JoinRequest.expires_at,
        JoinRequest.decided_at,
        JoinRequest.reason,
    )
    .select_from(JoinRequest)
    .join(Org, Org.id == JoinRequest.org_id)
    .join(Unit, _UNIT_OF_REQUEST, isouter=True)
    .where(JoinRequest.user_id == bindparam("user_id"))
)
_OWN_REQUESTS = PagedStatement(_OF_USER, JoinRequest.id.desc(), row=JoinRequestOut)
_OWN_REQUEST = _OF_USER.where(JoinRequest.id == bindparam("request_id"))


async def list_received_join_requests(db: Readable, org_id: UUID, paging: Paging) -> Page[ReceivedJoinRequestOut]:
    """Return a page of the requests that wait for the org's admins, the newest first."""
    return Page[ReceivedJoinRequestOut].from_slice(await _RECEIVED_REQUESTS.fetch(db, paging, org_id=org_id))


async def get_received_join_request(db: Readable, org_id: UUID, request_id: UUID) -> ReceivedJoinRequestOut:
    """Return one request that waits for the org's admins. Raises NotFound."""
    given = {"org_id": org_id, "request_id": request_id}
    return await one_or_404(db, _RECEIVED_REQUEST, ReceivedJoinRequestOut, given)


async def list_own_join_requests(db: Readable, user_id: UUID, paging: Paging) -> Page[JoinRequestOut]:
    """Return a page of the user's own requests, the newest first."""
    return Page[JoinRequestOut].from_slice(await _OWN_REQUESTS.fetch(db, paging, user_id=user_id))


async def get_own_join_request(db: Readable, user_id: UUID, request_id: UUID) -> JoinRequestOut:
    """Return one of the user's own requests. Raises NotFound."""
    return await one_or_404(db, _OWN_REQUEST, JoinRequestOut, {"user_id": user_id, "request_id": request_id})


class Asker(NamedTuple):
    """The user who requests to join, and the unit that the request names."""

    user_id: UUID
    name: str | None
    verified_name: str | None
    party_member: bool
    phone_cipher: bytes | None
    phone_index: bytes | None
    unit_id: UUID | None
    is_waiting: bool


_ASKER = (
    select(
        JoinRequest.user_id,
        JoinRequest.name,
        User.verified_name,
        User.party_member,
        User.phone_cipher,
        User.phone_index,
        JoinRequest.unit_id,
        and_(JOIN_REQUEST.waiting, User.status == literal_column("'active'")).label("is_waiting"),
    )
    .select_from(JoinRequest)
    .join(User, User.id == JoinRequest.user_id)
    .where(JoinRequest.org_id == bindparam("org_id"), JoinRequest.id == bindparam("request_id"))
)


async def get_asker(db: Readable, org_id: UUID, request_id: UUID) -> Asker:
    """Return the user of a request, which may have ended. Raises NotFound."""
    return await one_or_404(db, _ASKER, Asker, {"org_id": org_id, "request_id": request_id})


async def get_waiting_asker(db: Readable, org_id: UUID, request_id: UUID) -> Asker:
    """Return the user of a request that can be decided. Raises NotFound, JoinRequestDecided."""
    found = await get_asker(db, org_id, request_id)
    if not found.is_waiting:
        raise JoinRequestDecided
    return found
