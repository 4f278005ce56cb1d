"""Reads of link requests: the requests of a user, and the requests that match rows of an org's directory.

Only its requester sees a request that matches no row. The admins learn nothing from it, and the requester does not
learn whether a row matches.
"""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, func, or_, select

from app.approvals.kinds import LINK_REQUEST
from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members.links.errors import LinkRequestDecided
from app.members.links.schemas import LinkRequestOut, ReceivedLinkRequestOut
from app.members.queries import list_members_by_id
from app.schema.auth import User
from app.schema.members import LinkRequest, Member
from app.schema.orgs import Org

REQUEST_MATCHES_ROW = and_(
    Member.org_id == LinkRequest.org_id,
    Member.removed_at.is_(None),
    Member.user_id.is_(None),
    Member.phone_index.is_not(None),  # nothing is matched to a person without a phone
    or_(
        and_(Member.pinyin == LinkRequest.pinyin, func.name_key(Member.name) == LinkRequest.name_key),
        Member.phone_index == User.phone_index,
    ),
)


class _MatchingRequest(NamedTuple):
    """A waiting request, with the rows of the directory that it matches."""

    id: UUID
    name: str
    requested_at: datetime
    expires_at: datetime
    member_ids: list[UUID]


# The requests that wait for a decision by the org's admins.
_MATCHING_REQUESTS = (
    select(
        LinkRequest.id,
        User.verified_name.label("name"),
        LinkRequest.requested_at,
        LinkRequest.expires_at,
        func.array_agg(Member.id).label("member_ids"),
    )
    .join(User, and_(User.id == LinkRequest.user_id, User.status == "active"))
    .join(Member, REQUEST_MATCHES_ROW)
    .where(LinkRequest.org_id == bindparam("org_id"), LINK_REQUEST.waiting)
    .group_by(LinkRequest.org_id, LinkRequest.id, User.id)
)
_MATCHING_REQUEST_IDS = select(_MATCHING_REQUESTS.subquery().c.id)
_RECEIVED_REQUESTS = PagedStatement(_MATCHING_REQUESTS, LinkRequest.id.desc(), row=_MatchingRequest)
_RECEIVED_REQUEST = _MATCHING_REQUESTS.where(LinkRequest.id == bindparam("request_id"))


async def list_received_requests(
    db: Readable, cipher: Cipher, org_id: UUID, paging: Paging
) -> Page[ReceivedLinkRequestOut]:
    """Return a page of the requests that wait for the org's admins, the newest first."""
    found = await _RECEIVED_REQUESTS.fetch(db, paging, org_id=org_id)
    return Page[ReceivedLinkRequestOut](
        items=await _make_received_out(db, cipher, org_id, found.rows), next_cursor=found.next_cursor
    )


async def get_received_request(db: Readable, cipher: Cipher, org_id: UUID, request_id: UUID) -> ReceivedLinkRequestOut:
    """Return one request that waits for the org's admins. Raises NotFound."""
    found = await one_or_404(db, _RECEIVED_REQUEST, _MatchingRequest, {"org_id": org_id, "request_id": request_id})
    return (await _make_received_out(db, cipher, org_id, [found]))[0]


async def list_matching_request_ids(db: Readable, org_id: UUID) -> Set[UUID]:
    """Return the ids of all requests that wait for the org's admins. The admins see no other requests."""
    return set((await db.scalars(_MATCHING_REQUEST_IDS, {"org_id": org_id})).all())


class Requester(NamedTuple):
    """The user who made a request. `is_waiting` says whether the request can still be decided."""

    user_id: UUID
    name: str | None
    is_waiting: bool


_MATCHES_ANY_ROW = select(Member.id).where(REQUEST_MATCHES_ROW).correlate(LinkRequest, User).exists()
_REQUESTER = (
    select(LinkRequest.user_id, User.verified_name.label("name"), LINK_REQUEST.waiting.label("is_waiting"))
    .join(User, User.id == LinkRequest.user_id)
    .where(LinkRequest.org_id == bindparam("org_id"), LinkRequest.id == bindparam("request_id"))
    .where(or_(LinkRequest.decided_by != LinkRequest.user_id, _MATCHES_ANY_ROW))
)


async def get_requester(db: Readable, org_id: UUID, request_id: UUID) -> Requester:
    """Return the user who made a request to the org. The admins see a request if it matches a row or if an admin
    decided it. Raises NotFound."""
    return await one_or_404(db, _REQUESTER, Requester, {"org_id": org_id, "request_id": request_id})


async def get_waiting_requester(db: Readable, org_id: UUID, request_id: UUID) -> Requester:
    """Return the user who made a request that waits for the org's admins. Raises NotFound, LinkRequestDecided."""
    found = await get_requester(db, org_id, request_id)
    if not found.is_waiting:
        raise LinkRequestDecided
    return found


async def _make_received_out(
    db: Readable, cipher: Cipher, org_id: UUID, rows: Sequence[_MatchingRequest]
) -> list[ReceivedLinkRequestOut]:
    wanted = {member_id for row in rows for member_id in row.member_ids}
    people = await list_members_by_id(db, cipher, org_id, wanted)
    return [
        ReceivedLinkRequestOut(
            id=row.id,
            name=row.name,
            requested_at=row.requested_at,
            expires_at=row.expires_at,
            candidates=[people[member_id] for member_id in sorted(row.member_ids) if member_id in people],
        )
        for row in rows
    ]


_REQUESTS_OF_USER = (
    select(
        LinkRequest.id,
        Org.name.label("org_name"),
        LINK_REQUEST.state,
        LinkRequest.requested_at,
        LinkRequest.expires_at,
        LinkRequest.decided_at,
        LinkRequest.reason,
    )
    .join(Org, Org.id == LinkRequest.org_id)
    .where(LinkRequest.user_id == bindparam("user_id"))
)
_OWN_REQUESTS = PagedStatement(_REQUESTS_OF_USER, LinkRequest.id.desc(), row=LinkRequestOut)
_OWN_REQUEST = _REQUESTS_OF_USER.where(LinkRequest.id == bindparam("request_id"))


async def list_own_requests(db: Readable, user_id: UUID, paging: Paging) -> Page[LinkRequestOut]:
    """Return a page of the user's own requests, the newest first."""
    return Page[LinkRequestOut].from_slice(await _OWN_REQUESTS.fetch(db, paging, user_id=user_id))


async def get_own_request(db: Readable, user_id: UUID, request_id: UUID) -> LinkRequestOut:
    """Return one of the user's own requests. Raises NotFound."""
    return await one_or_404(db, _OWN_REQUEST, LinkRequestOut, {"user_id": user_id, "request_id": request_id})
