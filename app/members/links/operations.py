"""Writes of link requests (S18): a verified user requests a link, an admin of the org decides; and undoing a link.

A link changes the org's row. The account, its phone and its points never change here, and neither side learns a phone
of the other side. The answer to the requester does not depend on the content of the directory.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import LINK_REQUEST
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    require_repeated,
)
from app.approvals.user_requests import withdraw_user_request
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.core.search import spell_person
from app.database.db import on_constraint
from app.database.rows import fetch_row, one_or_404
from app.members.activation import deactivate_member
from app.members.blocks import lift_block
from app.members.links.errors import (
    AlreadyInDirectory,
    LinkRequestDecided,
    LinkRequestOpen,
    NoCandidate,
    SeveralCandidates,
    TooManyLinkRequests,
    UnknownOrg,
)
from app.members.links.queries import REQUEST_MATCHES_ROW, get_requester, get_waiting_requester
from app.members.links.schemas import LinkRequestCreate, NamedOrg
from app.members.locks import increment_version, require_not_admin
from app.members.superseded_requests import supersede_requests_of_removed
from app.orgs.locks import lock_org_shared, lock_orgs_for_edit
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.members import Activation, LinkRequest, Member
from app.schema.orgs import Org

MAX_WAITING_REQUESTS = 10
"""The maximum number of one user's waiting requests."""


async def create_link_request(db: AsyncConnection, user: UserScope, body: LinkRequestCreate) -> UUID:
    """Request that a row of an org's directory be linked to the user's account. This ends the user's block of the org.
    Return the request's id.

    Locks the org FOR KEY SHARE. Raises RealNameRequired, UnknownOrg, AlreadyInDirectory (such a user can see the org
    anyway), LinkRequestOpen, TooManyLinkRequests.
    """
    name = user.require_real_name()
    key: str = (await db.execute(select(func.name_key(name)))).scalar_one()
    pinyin = spell_person("".join(name.split())).pinyin
    org_id: UUID = (await lock_named_org(db, body)).id
    is_linked = exists().where(Member.org_id == org_id, Member.user_id == user.user_id)
    if await db.scalar(select(is_linked)):
        raise AlreadyInDirectory
    waiting = select(func.count()).where(LinkRequest.user_id == user.user_id, LINK_REQUEST.waiting)
    if (await db.execute(waiting)).scalar_one() >= MAX_WAITING_REQUESTS:
        raise TooManyLinkRequests
    await lift_block(db, user.user_id, org_id)
    opened = {"org_id": org_id, "user_id": user.user_id, "name_key": key, "pinyin": pinyin}
    request_id = await create_request(db, LINK_REQUEST, LinkRequestOpen, **opened)
    await record(db, user.actor, "link_request.created", subject=("link_request", request_id))
    return request_id


class FoundOrg(NamedTuple):
    """A live org found by its id or its name."""

    id: UUID
    kind: str


async def lock_named_org(db: AsyncConnection, body: NamedOrg) -> FoundOrg:
    """Return the live org that the body names, locked FOR KEY SHARE: it cannot be closed until the transaction ends.

    Raises UnknownOrg, also if several orgs have the name.
    """
    named = func.name_key(Org.name) == func.name_key(body.org_name), Org.region_code == body.region_code
    named_org = (Org.id == body.org_id,) if body.org_id is not None else named
    found = list((await db.scalars(select(Org.id).where(*named_org, Org.status == "live").limit(2))).all())
    if len(found) != 1:
        raise UnknownOrg
    # The org may have been closed meanwhile, so it is read again under the lock.
    live = select(Org.id, Org.kind).where(Org.id == found[0], Org.status == "live")
    org = await fetch_row(db, live.with_for_update(read=True, key_share=True), FoundOrg)
    if org is None:
        raise UnknownOrg
    return org


async def withdraw_link_request(db: AsyncConnection, user: UserScope, request_id: UUID) -> None:
    """Withdraw the user's own request. Raises NotFound, LinkRequestDecided."""
    await withdraw_user_request(db, user, LINK_REQUEST, request_id, LinkRequestDecided)


async def accept_link_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, member_id: UUID | None) -> UUID:
    """Consent to a request: link the row to the requester's account until the link is undone. Return the row's id.

    Locks the org for edit, the account, then the row. Raises NotFound, LinkRequestDecided, NoCandidate,
    SeveralCandidates, AlreadyInDirectory.
    """
    # The org's lock prevents an import from linking the account to another row meanwhile.
    await lock_orgs_for_edit(db, scope)
    requester = await get_requester(db, scope.org_id, request_id)
    same = true() if member_id is None else LinkRequest.member_id == member_id
    decision = _build_decision(scope, State.ACCEPTED, request_id, same)
    if not requester.is_waiting:
        await require_repeated(db, decision)
        linked_id = await db.scalar(select(LinkRequest.member_id).where(*decision.conditions))
        assert linked_id is not None, "an accepted request has a row"
        return linked_id
    # The account's lock prevents the same for a change of its phone and for the addition of a person with that phone.
    await db.execute(select(User.id).where(User.id == requester.user_id).with_for_update(key_share=True))
    member_id = await _get_candidate_of_waiting(db, scope.org_id, request_id, member_id)
    row = select(Member.user_id).where(Member.org_id == scope.org_id, Member.id == member_id)
    await db.execute(row.with_for_update())
    # The row may have changed before it was locked, so the decision is repeated.
    await _get_candidate_of_waiting(db, scope.org_id, request_id, member_id)
    await decide_request(db, decision, scope.user.user_id, member_id=member_id)
    with on_constraint(("members_org_id_user_id_key", AlreadyInDirectory)):
        await db.execute(
            update(Member)
            .where(Member.org_id == scope.org_id, Member.id == member_id)
            .values(user_id=requester.user_id, version=Member.version + 1)
        )
    linked = {"org_id": scope.org_id, "member_id": member_id, "user_id": requester.user_id}
    await db.execute(insert(Activation).values(**linked, consented_by=scope.user.user_id))
    after = {"member_id": str(member_id)}
    subject = ("link_request", request_id)
    await record(db, scope.actor, "link_request.accepted", org_id=scope.org_id, subject=subject, after=after)
    return member_id


async def refuse_link_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Decline a request with a reason that the requester reads. Raises NotFound, LinkRequestDecided."""
    await lock_org_shared(db, scope)
    await get_requester(db, scope.org_id, request_id)
    decision = _build_decision(scope, State.DECLINED, request_id, LinkRequest.reason == reason)
    if not await decide_request(db, decision, scope.user.user_id, reason=reason):
        return
    subject = ("link_request", request_id)
    await record(db, scope.actor, "link_request.declined", org_id=scope.org_id, subject=subject)


def _build_decision(scope: OrgScope, state: State, request_id: UUID, same: ColumnElement[bool]) -> Decision:
    received = (LinkRequest.org_id == scope.org_id, LinkRequest.id == request_id)
    return Decision(LINK_REQUEST, state, received, LinkRequestDecided, repeated=same)


async def undo_link(db: AsyncConnection, scope: OrgScope, member_id: UUID) -> None:
    """Unlink a row from its account. The two are not linked again without an admin's consent.

    Locks the org and the row. Raises NotFound (also if the row is inactive), MemberIsAdmin.
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
    await supersede_requests_of_removed(db, scope.org_id, scope.actor)
    await record(db, scope.actor, "member.unlinked", org_id=scope.org_id, subject=("member", member_id))


async def _get_candidate_of_waiting(
    db: AsyncConnection, org_id: UUID, request_id: UUID, member_id: UUID | None
) -> UUID:
    """Return the member row that the waiting link request matches.

    Raises NoCandidate or SeveralCandidates. If the request has ended meanwhile, its name is erased and no row matches:
    then this function raises NotFound or LinkRequestDecided.
    """
    try:
        return await _get_candidate(db, org_id, request_id, member_id)
    except NoCandidate:
        await get_waiting_requester(db, org_id, request_id)
        raise


async def _get_candidate(db: AsyncConnection, org_id: UUID, request_id: UUID, member_id: UUID | None) -> UUID:
    """Return the row that the request matches. Raises NoCandidate, SeveralCandidates."""
    statement = (
        select(Member.id)
        .select_from(LinkRequest)
        .join(User, and_(User.id == LinkRequest.user_id, User.status == "active"))
        .join(Member, REQUEST_MATCHES_ROW)
        .where(LinkRequest.org_id == org_id, LinkRequest.id == request_id)
        .order_by(Member.id)
    )
    if member_id is not None:
        statement = statement.where(Member.id == member_id)
    found = list((await db.scalars(statement)).all())
    if not found:
        raise NoCandidate
    if len(found) > 1:
        raise SeveralCandidates(member_ids=[str(candidate) for candidate in found])
    return found[0]
