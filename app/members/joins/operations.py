"""Writes of requests to join an org: a user asks, an admin of the org accepts with units or declines.

An acceptance adds the person by the function that adding by hand uses. Nothing about the person but the name is shown
before.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import JOIN_REQUEST
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    require_repeated,
)
from app.approvals.user_requests import withdraw_user_request
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.database.rows import fetch_row
from app.members.activation import activate_member, lock_accounts_and_phones
from app.members.blocks import lift_block
from app.members.errors import PartyMembersOnly
from app.members.joins.errors import (
    AlreadyMember,
    JoinRequestDecided,
    JoinRequestOpen,
    NameNeeded,
    TooManyJoinRequests,
)
from app.members.joins.links import LiveJoinLink, get_live_join_link, use_join_link
from app.members.joins.queries import Asker, get_asker
from app.members.joins.schemas import JoinRequestCreate
from app.members.links.operations import lock_named_org
from app.members.links.schemas import NamedOrg
from app.members.locks import increment_version
from app.members.operations import insert_member, make_phone_exists
from app.members.unit_memberships import add_to_units
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared
from app.orgs.names import Kind
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.joins import JoinRequest
from app.schema.members import Activation, Member, UnitMembership
from app.schema.orgs import Org, Unit
from app.web.errors import TooManyRequests, Unavailable

MAX_WAITING_REQUESTS = 5
"""The maximum number of one user's waiting requests."""
MAX_REQUESTS_A_DAY = 20
"""The maximum number of requests that one user makes in a day, also if they are withdrawn."""


async def create_join_request(db: AsyncConnection, user: UserScope, body: JoinRequestCreate) -> UUID:
    """Ask an org to be in its directory. This ends the user's block of the org. Return the request's id.

    Locks the org FOR KEY SHARE, then the account. Raises UnknownOrg, the errors of `get_live_join_link`, AlreadyMember
    with the units, NameNeeded, PartyMembersOnly, TooManyJoinRequests, TooManyRequests, JoinRequestOpen.
    """
    link: LiveJoinLink | None = None
    if body.link_token is not None:
        link = await get_live_join_link(db, body.link_token)
        org = await lock_named_org(db, NamedOrg(org_id=link.org_id))
    else:
        org = await lock_named_org(
            db, NamedOrg(org_id=body.org_id, org_name=body.org_name, region_code=body.region_code)
        )
    await _require_not_member(db, org.id, user.user_id)
    name = user.verified_name or body.name
    if name is None:
        raise NameNeeded
    if org.kind == Kind.PARTY and not user.party_member:
        raise PartyMembersOnly
    await _require_few_requests(db, user.user_id)
    if link is not None:
        await use_join_link(db, link.id)
    unit_id = None if link is None else link.unit_id
    await lift_block(db, user.user_id, org.id)
    opened = {"org_id": org.id, "user_id": user.user_id, "name": name, "unit_id": unit_id}
    request_id = await create_request(db, JOIN_REQUEST, JoinRequestOpen, **opened)
    actor, subject = user.actor.get_actor_for_other_org(), ("join_request", request_id)
    await record(db, actor, "join_request.created", org_id=org.id, subject=subject)
    return request_id


async def _require_not_member(db: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Raise AlreadyMember, with the org and the units, if a row of the directory is linked to the user."""
    member = select(Org.name.label("org_name"), Member.id).join(Org, Org.id == Member.org_id)
    found = (await db.execute(member.where(Member.org_id == org_id, Member.user_id == user_id))).one_or_none()
    if found is None:
        return
    units = (
        select(Unit.name)
        .join(UnitMembership, (UnitMembership.org_id == Unit.org_id) & (UnitMembership.unit_id == Unit.id))
        .where(UnitMembership.org_id == org_id, UnitMembership.member_id == found.id, UnitMembership.until.is_(None))
        .order_by(Unit.id)
    )
    raise AlreadyMember(org_id=str(org_id), org_name=found.org_name, units=list((await db.scalars(units)).all()))


async def _require_few_requests(db: AsyncConnection, user_id: UUID) -> None:
    """Lock the account, so that concurrent requests are counted. Raises TooManyJoinRequests, TooManyRequests."""
    await db.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    of_user = JoinRequest.user_id == user_id
    waiting = select(func.count()).where(of_user, JOIN_REQUEST.waiting)
    if (await db.execute(waiting)).scalar_one() >= MAX_WAITING_REQUESTS:
        raise TooManyJoinRequests
    recent = select(func.count()).where(of_user, JoinRequest.requested_at > func.now() - timedelta(days=1))
    if (await db.execute(recent)).scalar_one() >= MAX_REQUESTS_A_DAY:
        raise TooManyRequests(3600)


async def withdraw_join_request(db: AsyncConnection, user: UserScope, request_id: UUID) -> None:
    """Withdraw the user's own request. Raises NotFound, JoinRequestDecided."""
    await withdraw_user_request(db, user, JOIN_REQUEST, request_id, JoinRequestDecided)


async def accept_join_request(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, request_id: UUID, unit_ids: Sequence[UUID] | None
) -> UUID:
    """Add the person to the directory, in these units, and accept the request. Return the row's id.

    Without units the person is in the unit of the link, or else at the org itself. A row that is linked to the user, or
    that has the user's phone and name and is linked to no user, is used; only its units are added.

    Locks the org FOR KEY SHARE, the index key, the account and its phone, then the row. Raises NotFound,
    JoinRequestDecided, PartyMembersOnly, PhoneExists (the row of another person has the phone), UnknownUnit,
    Unavailable (the phone of the account changes at this moment).
    """
    await lock_org_shared(db, scope)
    asker = await get_asker(db, scope.org_id, request_id)
    indexer = await lock_index_key(db, cipher)
    await lock_accounts_and_phones(db, *_list_phones(asker), account=asker.user_id)
    locked = await get_asker(db, scope.org_id, request_id)
    decision = _build_decision(scope, State.ACCEPTED, request_id)
    if not locked.is_waiting:
        await require_repeated(db, decision)
        accepted_id = await db.scalar(select(JoinRequest.member_id).where(*decision.conditions))
        assert accepted_id is not None, "an accepted request has a row"
        return accepted_id
    if locked.phone_index != asker.phone_index:
        raise Unavailable
    if scope.org.kind == Kind.PARTY and not locked.party_member:
        raise PartyMembersOnly
    assert locked.phone_cipher is not None, "an active account has a phone"
    units: Sequence[UUID | None] = unit_ids or [locked.unit_id if unit_ids is None else None]
    name = locked.verified_name or locked.name or ""
    about = {"party": scope.org.kind == Kind.PARTY or locked.party_member, "probationary": False, "post": None}
    phone = cipher.decrypt_text(locked.phone_cipher, locked.user_id)
    member_id = await _find_own_row(db, scope.org_id, locked.user_id)
    if member_id is None:
        member_id = await insert_member(db, indexer, scope, name=name, phone=phone, about=about, units=units)
    else:
        await _add_units(db, scope.org_id, member_id, units)
    if member_id is None:
        member_id = await _claim_row(db, cipher, scope, locked, name)
        await _add_units(db, scope.org_id, member_id, units)
    await decide_request(db, decision, scope.user.user_id, member_id=member_id)
    after = {"member_id": str(member_id), "unit_ids": [str(unit) if unit else None for unit in units]}
    subject = ("join_request", request_id)
    await record(db, scope.actor, "join_request.accepted", org_id=scope.org_id, subject=subject, after=after)
    return member_id


def _list_phones(asker: Asker) -> list[bytes]:
    return [] if asker.phone_index is None else [asker.phone_index]


async def _find_own_row(db: AsyncConnection, org_id: UUID, user_id: UUID) -> UUID | None:
    """Lock the row that is linked to the user, and return its id."""
    own = select(Member.id).where(Member.org_id == org_id, Member.user_id == user_id)
    found: UUID | None = await db.scalar(own.with_for_update())
    return found


class _RowWithPhone(NamedTuple):
    id: UUID
    user_id: UUID | None
    same_name: bool


async def _claim_row(db: AsyncConnection, cipher: Cipher, scope: OrgScope, asker: Asker, name: str) -> UUID:
    """Lock the row that has the asker's phone, and link it to the asker: the acceptance is the admin's consent.

    Return its id. Raises PhoneExists if it is linked to another user or has another name.
    """
    assert asker.phone_index is not None
    of_phone = (Member.org_id == scope.org_id, Member.phone_index == asker.phone_index, Member.removed_at.is_(None))
    same_name = (func.name_key(Member.name) == func.name_key(name)).label("same_name")
    statement = select(Member.id, Member.user_id, same_name).where(*of_phone).with_for_update(of=Member)
    row = await fetch_row(db, statement, _RowWithPhone)
    if row is None:  # another transaction removed the row between the two statements
        raise Unavailable
    if row.user_id is not None or not row.same_name:
        raise await make_phone_exists(db, cipher, scope.org_id, asker.phone_index)
    undone = (
        Activation.org_id == scope.org_id,
        Activation.member_id == row.id,
        Activation.user_id == asker.user_id,
        Activation.undone_by.is_not(None),
    )
    await db.execute(update(Activation).where(*undone).values(undone_by=None))
    await activate_member(db, scope.org_id, row.id, active=False, message=False)
    return row.id


async def _add_units(db: AsyncConnection, org_id: UUID, member_id: UUID, units: Sequence[UUID | None]) -> None:
    """Add the person to units. A row without any given unit stays where it is. Raises UnknownUnit."""
    given = [unit for unit in units if unit is not None]
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit)):
        if given and await add_to_units(db, org_id, member_id, given):
            await increment_version(db, org_id, member_id)


def _build_decision(scope: OrgScope, state: State, request_id: UUID, *same: ColumnElement[bool]) -> Decision:
    received = (JoinRequest.org_id == scope.org_id, JoinRequest.id == request_id)
    return Decision(JOIN_REQUEST, state, received, JoinRequestDecided, repeated=and_(true(), *same))


async def refuse_join_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Decline a request with a reason that the user reads. Raises NotFound, JoinRequestDecided."""
    await lock_org_shared(db, scope)
    decision = _build_decision(scope, State.DECLINED, request_id, JoinRequest.reason == reason)
    if not await decide_request(db, decision, scope.user.user_id, reason=reason):
        return
    after, subject = {"reason": reason}, ("join_request", request_id)
    await record(db, scope.actor, "join_request.declined", org_id=scope.org_id, subject=subject, after=after)
