"""“That is me” (S18): asked by a verified user, decided by an admin of the org; and undoing a link.

What is linked is the org's row. The account, its phone and its points never change by anything here, and neither side
learns a phone of the other's. What the asker is answered does not depend on what the directory holds.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import LINK_REQUEST
from app.approvals.requests import finish, finish_all, open_request
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.core.search import spell_person
from app.database.db import on_constraint
from app.database.rows import fetch_row, one_or_404
from app.members.activation import deactivate_member
from app.members.links.errors import (
    AlreadyInDirectory,
    LinkRequestDecided,
    LinkRequestOpen,
    NoCandidate,
    SeveralCandidates,
    TooManyLinkRequests,
    UnknownOrg,
)
from app.members.links.queries import FITS, get_waiting
from app.members.links.schemas import LinkRequestCreate, NamedOrg
from app.members.locks import increment_version, require_not_admin
from app.orgs.locks import lock_org_shared, lock_orgs_for_edit
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.members import Activation, LinkRequest, Member
from app.schema.orgs import Org
from app.web.errors import NotFound

MOST = 10
"""Requests of one user that may wait at a time."""


async def create_link_request(db: AsyncConnection, user: UserScope, body: LinkRequestCreate) -> UUID:
    """Ask an org to link a row of its directory to one's account; gives the request's id.

    Raises RealNameRequired, UnknownOrg, AlreadyInDirectory (one sees the org then), LinkRequestOpen,
    TooManyLinkRequests.
    """
    name = user.require_real_name()
    key: str = (await db.execute(select(func.name_key(name)))).scalar_one()
    pinyin = spell_person("".join(name.split())).pinyin
    org_id: UUID = (await lock_named_org(db, body)).id
    standing = exists().where(Member.org_id == org_id, Member.user_id == user.user_id)
    if await db.scalar(select(standing)):
        raise AlreadyInDirectory
    mine = select(func.count()).where(LinkRequest.user_id == user.user_id, LINK_REQUEST.waiting)
    if (await db.execute(mine)).scalar_one() >= MOST:
        raise TooManyLinkRequests
    opened = {"org_id": org_id, "user_id": user.user_id, "name_key": key, "pinyin": pinyin}
    request_id = await open_request(db, LINK_REQUEST, LinkRequestOpen, **opened)
    await record(db, user.actor, "link_request.created", subject=("link_request", request_id))
    return request_id


class FoundOrg(NamedTuple):
    """A live org that was found by its id or its name."""

    id: UUID
    kind: str


async def lock_named_org(db: AsyncConnection, body: NamedOrg) -> FoundOrg:
    """The live org that is meant, locked FOR KEY SHARE: until the transaction ends nobody closes it. Raises UnknownOrg,
    also where several are called so."""
    named = Org.name == body.org_name, Org.region_code == body.region_code
    which = (Org.id == body.org_id,) if body.org_id is not None else named
    found = list((await db.scalars(select(Org.id).where(*which, Org.status == "live").limit(2))).all())
    if len(found) != 1:
        raise UnknownOrg
    # Read again under the lock: the org may have been closed meanwhile.
    live = select(Org.id, Org.kind).where(Org.id == found[0], Org.status == "live")
    org = await fetch_row(db, live.with_for_update(read=True, key_share=True), FoundOrg)
    if org is None:
        raise UnknownOrg
    return org


async def withdraw_link_request(db: AsyncConnection, user: UserScope, request_id: UUID) -> None:
    """Take back one's own request. Raises NotFound, LinkRequestDecided."""
    mine = (LinkRequest.id == request_id, LinkRequest.user_id == user.user_id)
    if not await finish(db, LINK_REQUEST, State.WITHDRAWN, *mine, decided_by=user.user_id):
        if await db.scalar(select(LinkRequest.id).where(*mine)) is None:
            raise NotFound
        raise LinkRequestDecided
    await record(db, user.actor, "link_request.withdrawn", subject=("link_request", request_id))


async def forget_link_requests(db: AsyncConnection, user_id: UUID) -> None:
    """End what a user asked for, with the name that it was asked by: their account is being closed."""
    await finish_all(db, LINK_REQUEST, State.WITHDRAWN, LinkRequest.user_id == user_id)


async def accept_link_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, member_id: UUID | None) -> UUID:
    """Consent: link the row to the asker's account, until it is undone; gives the row's id.

    Raises NotFound, LinkRequestDecided, NoCandidate, SeveralCandidates, AlreadyInDirectory.
    """
    await lock_orgs_for_edit(db, scope)  # no import brings the account in by another row meanwhile
    asked = await get_waiting(db, scope.org_id, request_id)
    # Nor does a change of the account's phone, or somebody who adds that phone by hand.
    await db.execute(select(User.id).where(User.id == asked.user_id).with_for_update(key_share=True))
    member_id = await _candidate_of_waiting(db, scope.org_id, request_id, member_id)
    held = select(Member.user_id).where(Member.org_id == scope.org_id, Member.id == member_id).with_for_update()
    await db.execute(held)
    await _candidate_of_waiting(db, scope.org_id, request_id, member_id)  # once more, now that the row is locked
    received = (LinkRequest.org_id == scope.org_id, LinkRequest.id == request_id)
    accepted = {"member_id": member_id, "decided_by": scope.user.user_id}
    if not await finish(db, LINK_REQUEST, State.ACCEPTED, *received, **accepted):
        raise LinkRequestDecided
    with on_constraint(("members_org_id_user_id_key", AlreadyInDirectory)):
        await db.execute(
            update(Member)
            .where(Member.org_id == scope.org_id, Member.id == member_id)
            .values(user_id=asked.user_id, version=Member.version + 1)
        )
    linked = {"org_id": scope.org_id, "member_id": member_id, "user_id": asked.user_id}
    await db.execute(insert(Activation).values(**linked, consented_by=scope.user.user_id))
    after = {"member_id": str(member_id)}
    subject = ("link_request", request_id)
    await record(db, scope.actor, "link_request.accepted", org_id=scope.org_id, subject=subject, after=after)
    return member_id


async def refuse_link_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Decline, with a reason that the asker reads. Raises NotFound, LinkRequestDecided."""
    await lock_org_shared(db, scope)
    await get_waiting(db, scope.org_id, request_id)
    received = (LinkRequest.org_id == scope.org_id, LinkRequest.id == request_id)
    declined = {"decided_by": scope.user.user_id, "reason": reason}
    if not await finish(db, LINK_REQUEST, State.DECLINED, *received, **declined):
        raise LinkRequestDecided
    subject = ("link_request", request_id)
    await record(db, scope.actor, "link_request.declined", org_id=scope.org_id, subject=subject)


async def undo_link(db: AsyncConnection, scope: OrgScope, member_id: UUID) -> None:
    """Unlink a row from the account that it is active through; they are not linked again without consent.

    Raises NotFound (also where it is inactive), MemberIsAdmin.
    """
    await lock_org_shared(db, scope)
    member = await one_or_404(
        db,
        select(Member.user_id, Member.phone_index)
        .where(Member.org_id == scope.org_id, Member.id == member_id, Member.user_id.is_not(None))
        .with_for_update(),
    )
    await require_not_admin(db, scope.org_id, member)
    await deactivate_member(db, scope.org_id, member_id, undone_by=scope.user.user_id)
    await increment_version(db, scope.org_id, member_id)
    await record(db, scope.actor, "member.unlinked", org_id=scope.org_id, subject=("member", member_id))


async def _candidate_of_waiting(db: AsyncConnection, org_id: UUID, request_id: UUID, member_id: UUID | None) -> UUID:
    """The row that the request fits. Raises what `_candidate` raises, and NotFound or LinkRequestDecided where the
    request has ended meanwhile: its name is erased then, so that it fits no row."""
    try:
        return await _candidate(db, org_id, request_id, member_id)
    except NoCandidate:
        await get_waiting(db, org_id, request_id)
        raise


async def _candidate(db: AsyncConnection, org_id: UUID, request_id: UUID, member_id: UUID | None) -> UUID:
    """The row that the request can be meant for. Raises NoCandidate, SeveralCandidates."""
    statement = (
        select(Member.id)
        .select_from(LinkRequest)
        .join(User, and_(User.id == LinkRequest.user_id, User.status == "active"))
        .join(Member, FITS)
        .where(LinkRequest.org_id == org_id, LinkRequest.id == request_id)
        .order_by(Member.id)
    )
    if member_id is not None:
        statement = statement.where(Member.id == member_id)
    found = list((await db.scalars(statement)).all())
    if not found:
        raise NoCandidate
    if len(found) > 1:
        raise SeveralCandidates(member_ids=[str(one) for one in found])
    return found[0]
