"""Reads of link requests: the asker's own, and those that fit rows of an org's directory.

A request that fits no row is shown to nobody but its asker: it tells the admins nothing, and the asker nothing either.
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

FITS = and_(
    Member.org_id == LinkRequest.org_id,
    Member.removed_at.is_(None),
    Member.user_id.is_(None),
    or_(
        and_(Member.pinyin == LinkRequest.pinyin, func.name_key(Member.name) == LinkRequest.name_key),
        Member.phone_index == User.phone_index,
    ),
)


class _Fitting(NamedTuple):
    """A waiting request, with the rows of the directory that it fits."""

    id: UUID
    name: str
    requested_at: datetime
    expires_at: datetime
    member_ids: list[UUID]


# What waits for the admins of the org.
_FITTING = (
    select(
        LinkRequest.id,
        User.verified_name.label("name"),
        LinkRequest.requested_at,
        LinkRequest.expires_at,
        func.array_agg(Member.id).label("member_ids"),
    )
    .join(User, and_(User.id == LinkRequest.user_id, User.status == "active"))
    .join(Member, FITS)
    .where(LinkRequest.org_id == bindparam("org_id"), LINK_REQUEST.waiting)
    .group_by(LinkRequest.org_id, LinkRequest.id, User.id)
)
_FITTING_IDS = select(_FITTING.subquery().c.id)
_RECEIVED = PagedStatement(_FITTING, LinkRequest.id.desc(), row=_Fitting)
_RECEIVED_ONE = _FITTING.where(LinkRequest.id == bindparam("request_id"))


async def list_received(db: Readable, cipher: Cipher, org_id: UUID, paging: Paging) -> Page[ReceivedLinkRequestOut]:
    """A page of what waits for the org's admins, newest first."""
    found = await _RECEIVED.fetch(db, paging, org_id=org_id)
    return Page[ReceivedLinkRequestOut](
        items=await _received(db, cipher, org_id, found.rows), next_cursor=found.next_cursor
    )


async def get_received(db: Readable, cipher: Cipher, org_id: UUID, request_id: UUID) -> ReceivedLinkRequestOut:
    """One that waits for the org's admins. Raises NotFound."""
    found = await one_or_404(db, _RECEIVED_ONE, _Fitting, {"org_id": org_id, "request_id": request_id})
    return (await _received(db, cipher, org_id, [found]))[0]


async def list_fitting_ids(db: Readable, org_id: UUID) -> Set[UUID]:
    """The ids of all requests that wait for the org's admins, who see no others."""
    return set((await db.scalars(_FITTING_IDS, {"org_id": org_id})).all())


class Requester(NamedTuple):
    """Who asks to be linked; `waits`: whether that can still be decided."""

    user_id: UUID
    name: str | None
    waits: bool


_FITS_A_ROW = select(Member.id).where(FITS).correlate(LinkRequest, User).exists()
_REQUESTER = (
    select(LinkRequest.user_id, User.verified_name.label("name"), LINK_REQUEST.waiting.label("waits"))
    .join(User, User.id == LinkRequest.user_id)
    .where(LinkRequest.org_id == bindparam("org_id"), LinkRequest.id == bindparam("request_id"))
    .where(or_(LinkRequest.decided_by != LinkRequest.user_id, _FITS_A_ROW))
)


async def get_waiting(db: Readable, org_id: UUID, request_id: UUID) -> Requester:
    """Who made a request that waits for the org's admins.

    One they see fits a row, or they decided it. Raises NotFound, LinkRequestDecided.
    """
    found = await one_or_404(db, _REQUESTER, Requester, {"org_id": org_id, "request_id": request_id})
    if not found.waits:
        raise LinkRequestDecided
    return found


async def _received(
    db: Readable, cipher: Cipher, org_id: UUID, rows: Sequence[_Fitting]
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


_OF_USER = (
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
_MINE = PagedStatement(_OF_USER, LinkRequest.id.desc(), row=LinkRequestOut)
_MINE_ONE = _OF_USER.where(LinkRequest.id == bindparam("request_id"))


async def list_mine(db: Readable, user_id: UUID, paging: Paging) -> Page[LinkRequestOut]:
    """A page of a user's own requests, newest first."""
    return Page[LinkRequestOut].from_slice(await _MINE.fetch(db, paging, user_id=user_id))


async def get_mine(db: Readable, user_id: UUID, request_id: UUID) -> LinkRequestOut:
    """One of a user's own. Raises NotFound."""
    return await one_or_404(db, _MINE_ONE, LinkRequestOut, {"user_id": user_id, "request_id": request_id})
