"""Reads of link requests: the asker's own, and those that fit rows of an org's directory.

A request that fits no row is shown to nobody but its asker: it tells the admins nothing, and the asker nothing either.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher
from app.core.db import Readable
from app.core.errors import NotFound
from app.core.paging import Page, Paging
from app.members.links.errors import LinkRequestDecided
from app.members.links.schemas import LinkRequestOut, ReceivedLinkRequestOut
from app.members.queries import list_members_by_id
from app.schema.auth import User
from app.schema.members import LinkRequest, Member
from app.schema.orgs import Org

WAITS = and_(LinkRequest.state == "asked", LinkRequest.expires_at > func.now())
FITS = and_(
    Member.org_id == LinkRequest.org_id,
    Member.removed_at.is_(None),
    Member.user_id.is_(None),
    or_(
        and_(Member.pinyin == LinkRequest.pinyin, func.name_key(Member.name) == LinkRequest.name_key),
        Member.phone_index == User.phone_index,
    ),
)


def _candidates(org_id: UUID) -> Select[*tuple[Any, ...]]:
    """The org's waiting requests, a row each for every member that they fit."""
    return (
        select(
            LinkRequest.id,
            User.verified_name.label("name"),
            LinkRequest.asked_at,
            LinkRequest.expires_at,
            func.array_agg(Member.id).label("member_ids"),
        )
        .join(User, and_(User.id == LinkRequest.user_id, User.status == "active"))
        .join(Member, FITS)
        .where(LinkRequest.org_id == org_id, WAITS)
        .group_by(LinkRequest.org_id, LinkRequest.id, User.id)
    )


async def list_received(db: Readable, cipher: Cipher, org_id: UUID, paging: Paging) -> Page[ReceivedLinkRequestOut]:
    """A page of what waits for the org's admins, newest first."""
    statement = _candidates(org_id).order_by(LinkRequest.id.desc()).limit(paging.limit + 1)
    if paging.after is not None:
        statement = statement.where(LinkRequest.id < paging.after[0])
    rows = (await db.execute(statement)).all()
    page = Page[Any].of(rows, paging, lambda row: (row.id,), object)
    return Page[ReceivedLinkRequestOut](
        items=await _received(db, cipher, org_id, page.items), next_cursor=page.next_cursor
    )


async def get_received(db: Readable, cipher: Cipher, org_id: UUID, request_id: UUID) -> ReceivedLinkRequestOut:
    """One that waits for the org's admins. Raises NotFound."""
    rows = (await db.execute(_candidates(org_id).where(LinkRequest.id == request_id))).all()
    if not rows:
        raise NotFound
    return (await _received(db, cipher, org_id, rows))[0]


async def get_waiting(db: Readable, org_id: UUID, request_id: UUID) -> Any:
    """A request that waits for the org's admins: whose it is, and their verified name.

    One they see fits a row, or they decided it. Raises NotFound, LinkRequestDecided.
    """
    fits = select(Member.id).where(FITS).correlate(LinkRequest, User).exists()
    shown = or_(LinkRequest.decided_by != LinkRequest.user_id, fits)
    statement = (
        select(LinkRequest.user_id, User.verified_name.label("name"), WAITS.label("waits"))
        .join(User, User.id == LinkRequest.user_id)
        .where(LinkRequest.org_id == org_id, LinkRequest.id == request_id, shown)
    )
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    if not row.waits:
        raise LinkRequestDecided
    return row


async def _received(db: Readable, cipher: Cipher, org_id: UUID, rows: Sequence[Any]) -> list[ReceivedLinkRequestOut]:
    wanted = {member_id for row in rows for member_id in row.member_ids}
    people = await list_members_by_id(db, cipher, org_id, wanted)
    return [
        ReceivedLinkRequestOut(
            id=row.id,
            name=row.name,
            asked_at=row.asked_at,
            expires_at=row.expires_at,
            candidates=[people[member_id] for member_id in sorted(row.member_ids) if member_id in people],
        )
        for row in rows
    ]


def _mine(user_id: UUID) -> Select[*tuple[Any, ...]]:
    lapsed = and_(LinkRequest.state == "asked", LinkRequest.expires_at <= func.now())
    return (
        select(
            LinkRequest.id,
            Org.name.label("org_name"),
            case((lapsed, "expired"), else_=LinkRequest.state).label("state"),
            LinkRequest.asked_at,
            LinkRequest.expires_at,
            LinkRequest.decided_at,
            LinkRequest.reason,
        )
        .join(Org, Org.id == LinkRequest.org_id)
        .where(LinkRequest.user_id == user_id)
    )


async def list_mine(db: Readable, user_id: UUID, paging: Paging) -> Page[LinkRequestOut]:
    """A page of a user's own requests, newest first."""
    statement = _mine(user_id).order_by(LinkRequest.id.desc()).limit(paging.limit + 1)
    if paging.after is not None:
        statement = statement.where(LinkRequest.id < paging.after[0])
    rows = (await db.execute(statement)).all()
    return Page[LinkRequestOut].of(rows, paging, lambda row: (row.id,), LinkRequestOut)


async def get_mine(db: AsyncConnection, user_id: UUID, request_id: UUID) -> LinkRequestOut:
    """One of a user's own. Raises NotFound."""
    row = (await db.execute(_mine(user_id).where(LinkRequest.id == request_id))).one_or_none()
    if row is None:
        raise NotFound
    return LinkRequestOut.model_validate(row)
