"""Writes of transfers of a person from one org to another (S20).

An admin of the person's org requests a transfer, and an admin of the other org accepts it. The requesting org already
knows the person, so that a request cannot be used to find out the org of a person. Before the acceptance the other
org sees only the name and the party flag. At the acceptance the old row, its unit memberships and its activation end,
and the new ones start at the same instant. Past days, the account and its points do not change, and totals count the
person as before.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Uuid, and_, bindparam, exists, func, insert, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import GROUP_TRANSFER, PERSON_TRANSFER
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    get_request_to_decide,
    withdraw_request,
)
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.database.db import on_constraint
from app.database.rows import fetch_row, one_or_404
from app.members.activation import activate_member, enqueue_user_activations, lock_accounts_and_phones
from app.members.blocks import is_blocked
from app.members.encryption import decrypt_phone, encrypt_phone_if_any
from app.members.errors import PartyMembersOnly
from app.members.links.operations import lock_named_org
from app.members.locks import require_not_admin
from app.members.superseded_requests import supersede_requests_of_removed
from app.members.transfers.errors import PersonIsHere, PersonTransferDecided, PersonTransferOpen, SameOrg
from app.members.transfers.schemas import PersonTransferCreate
from app.messages.delivery import add_message, build_insert
from app.messages.kinds import MessageKind
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared, lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.approvals import State
from app.schema.members import Activation, Member, UnitMembership
from app.schema.person_transfers import GroupTransfer, GroupTransferPerson, PersonTransfer


class _Transfer(NamedTuple):
    org_id: UUID
    member_id: UUID
    new_member_id: UUID | None


class _PersonRow(NamedTuple):
    id: UUID
    user_id: UUID | None
    phone_cipher: bytes | None
    phone_index: bytes | None
    name: str
    pinyin: str
    initials: str
    party: bool
    probationary: bool


async def create_person_transfer(
    db: AsyncConnection, scope: OrgScope, member_id: UUID, body: PersonTransferCreate
) -> UUID:
    """Request the transfer of a person to another org. Return the transfer's id.

    Locks both orgs and the member row. Raises NotFound, UnknownOrg, SameOrg, MemberIsAdmin, PartyMembersOnly,
    PersonTransferOpen.
    """
    await lock_org_shared(db, scope)
    to = await lock_named_org(db, body)
    if to.id == scope.org_id:
        raise SameOrg
    member = await one_or_404(
        db,
        select(Member.user_id, Member.phone_index, Member.party)
        .where(Member.org_id == scope.org_id, Member.id == member_id, Member.removed_at.is_(None))
        .with_for_update(key_share=True),
    )
    await require_not_admin(db, scope.org_id, member)
    if to.kind == Kind.PARTY and not member.party:
        raise PartyMembersOnly
    await _require_not_in_group_transfer(db, scope.org_id, member_id)
    opened = {"org_id": scope.org_id, "member_id": member_id, "to_id": to.id, "requested_by": scope.user.user_id}
    transfer_id = await create_request(db, PERSON_TRANSFER, PersonTransferOpen, **opened)
    await _record_on_both_orgs(db, scope, "person_transfer.created", transfer_id, scope.org_id, to.id)
    return transfer_id


async def _require_not_in_group_transfer(db: AsyncConnection, org_id: UUID, member_id: UUID) -> None:
    """Raise PersonTransferOpen if a transfer of several people that waits names the person, whose row is locked."""
    in_group = exists().where(
        GroupTransferPerson.org_id == org_id,
        GroupTransferPerson.member_id == member_id,
        GroupTransfer.id == GroupTransferPerson.transfer_id,
        GROUP_TRANSFER.waiting,
    )
    if await db.scalar(select(in_group)):
        raise PersonTransferOpen


async def withdraw_person_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID) -> None:
    """Withdraw a transfer that the caller's org requested. Raises NotFound, PersonTransferDecided."""
    await lock_org_shared(db, scope)
    is_own = and_(PersonTransfer.id == transfer_id, PersonTransfer.org_id == scope.org_id)
    decided, by = PersonTransferDecided, scope.user.user_id
    await withdraw_request(db, PERSON_TRANSFER, is_own, by=by, decided=decided, expired=decided)
    to_id = (await db.execute(select(PersonTransfer.to_id).where(is_own))).scalar_one()
    await _record_on_both_orgs(db, scope, "person_transfer.withdrawn", transfer_id, scope.org_id, to_id)


async def refuse_person_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID, reason: str) -> None:
    """Decline a transfer with a reason that the other org's admins read. Raises NotFound, PersonTransferDecided."""
    await lock_org_shared(db, scope)
    decision = _build_decision(scope, State.DECLINED, transfer_id, PersonTransfer.reason == reason)
    transfer, _ = await get_request_to_decide(db, decision, _COLUMNS, _Transfer)
    if not await decide_request(db, decision, scope.user.user_id, reason=reason):
        return
    await _record_on_both_orgs(db, scope, "person_transfer.declined", transfer_id, transfer.org_id, scope.org_id)


async def accept_person_transfer(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, transfer_id: UUID, unit_ids: list[UUID]
) -> UUID:
    """Accept a transfer: remove the person from the other org and add them to this one. Return the new row's id.

    Locks both orgs for edit, the account and the phone, then the row. Raises NotFound, PersonTransferDecided (also if
    the person has left the other org meanwhile), MemberIsAdmin, PartyMembersOnly, PersonIsHere, UnknownUnit, OrgClosed.
    """
    decision = _build_decision(scope, State.ACCEPTED, transfer_id)
    transfer, _ = await get_request_to_decide(db, decision, _COLUMNS, _Transfer)
    orgs = await lock_orgs_for_edit(db, scope, transfer.org_id)
    transfer, _ = await get_request_to_decide(db, decision, _COLUMNS, _Transfer)
    if transfer.new_member_id is not None:
        return transfer.new_member_id
    indexer = await lock_index_key(db, cipher)
    member = await _lock_member(db, transfer)
    await require_not_admin(db, transfer.org_id, member)
    if orgs[scope.org_id].kind == Kind.PARTY and not member.party:
        raise PartyMembersOnly
    if member.user_id is not None and await is_blocked(db, member.user_id, scope.org_id):
        member = member._replace(user_id=None)
    new_id = make_id()
    with on_constraint(
        ("members_org_id_phone_index_key", PersonIsHere),
        ("members_org_id_user_id_key", PersonIsHere),
        ("unit_memberships_unit_fkey", UnknownUnit),
    ):
        now = await db.scalar(select(func.clock_timestamp()))
        await _insert_person(db, indexer, scope.org_id, new_id, member, unit_ids or [None], now)
    old_row = {"org_id": transfer.org_id, "member_id": transfer.member_id, "now": now}
    await db.execute(_COPY_UNDONE_LINKS, old_row | {"to_id": scope.org_id, "new_id": new_id})
    # In the old org the account with this phone may be linked to another row, but in the new org to this one.
    await activate_member(db, scope.org_id, new_id, active=member.user_id is not None)
    await enqueue_user_activations(db, (await db.scalars(_REMOVE_PERSON, old_row)).all())
    await decide_request(db, decision, scope.user.user_id, new_member_id=new_id)
    await supersede_requests_of_removed(db, transfer.org_id, scope.actor.get_actor_for_other_org())
    await _record_on_both_orgs(db, scope, "person_transfer.accepted", transfer_id, transfer.org_id, scope.org_id)
    return new_id


async def _lock_member(db: AsyncConnection, transfer: _Transfer) -> _PersonRow:
    """Return the person's row. Locks the account and the phone, then the row.

    Raises PersonTransferDecided if the person has left the org.
    """
    of_person = (Member.org_id == transfer.org_id, Member.id == transfer.member_id, Member.removed_at.is_(None))
    for index, user_id in (await db.execute(select(Member.phone_index, Member.user_id).where(*of_person))).all():
        await lock_accounts_and_phones(db, index, account=user_id)
    columns = (getattr(Member, name) for name in _PersonRow._fields)
    locked = await fetch_row(db, select(*columns).where(*of_person).with_for_update(), _PersonRow)
    if locked is None:
        raise PersonTransferDecided
    return locked


async def _insert_person(
    db: AsyncConnection,
    indexer: BlindIndexer,
    org_id: UUID,
    new_id: UUID,
    member: _PersonRow,
    units: list[UUID] | list[None],
    now: Any,
) -> None:
    phone = decrypt_phone(indexer.cipher, member.phone_cipher, member.id)
    copied = {
        name: getattr(member, name) for name in ("user_id", "name", "pinyin", "initials", "party", "probationary")
    }
    encrypted = encrypt_phone_if_any(indexer, org_id, new_id, phone)
    await db.execute(insert(Member).values(org_id=org_id, id=new_id, **copied, **encrypted))
    # The consent to a link remains valid, because the account and the person are the same.
    consent = select(Activation.consented_by).where(Activation.member_id == member.id, Activation.until.is_(None))
    if member.user_id is not None:
        consented_by = await db.scalar(consent.where(Activation.user_id == member.user_id))
        linked = {"org_id": org_id, "member_id": new_id, "user_id": member.user_id, "since": now}
        await db.execute(insert(Activation).values(**linked, consented_by=consented_by))
        await add_message(db, member.user_id, MessageKind.ROW_LINKED, org_id, actor_id=None)
    memberships = [{"org_id": org_id, "member_id": new_id, "unit_id": unit, "since": now} for unit in units]
    await db.execute(insert(UnitMembership).values(memberships))


# A link that an admin undid remains undone in the new org.
_COPY_UNDONE_LINKS = text("""
INSERT INTO activations (org_id, member_id, user_id, undone_by, since, until)
SELECT DISTINCT ON (user_id) CAST(:to_id AS uuid), CAST(:new_id AS uuid), user_id, undone_by, :now, :now
FROM activations WHERE org_id = :org_id AND member_id = :member_id AND undone_by IS NOT NULL
""").bindparams(
    bindparam("org_id", type_=Uuid()),
    bindparam("member_id", type_=Uuid()),
    bindparam("to_id", type_=Uuid()),
    bindparam("new_id", type_=Uuid()),
    bindparam("now", type_=DateTime(timezone=True)),
)
_REMOVE_PERSON = text(f"""
WITH ended AS (
    UPDATE activations SET until = :now WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
    RETURNING org_id, user_id, consented_by
), messages AS (
    {build_insert(MessageKind.ROW_REMOVED, "FROM ended AS s")}
), ended_memberships AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
), removed AS (
    UPDATE members SET removed_at = :now, user_id = NULL, version = version + 1
    WHERE org_id = :org_id AND id = :member_id
)
SELECT user_id FROM ended WHERE consented_by IS NOT NULL
""").bindparams(  # noqa: S608 — a constant
    bindparam("org_id", type_=Uuid()),
    bindparam("member_id", type_=Uuid()),
    bindparam("now", type_=DateTime(timezone=True)),
)


_COLUMNS = [getattr(PersonTransfer, name) for name in _Transfer._fields]


def _build_decision(scope: OrgScope, state: State, transfer_id: UUID, *same: ColumnElement[bool]) -> Decision:
    received = (PersonTransfer.id == transfer_id, PersonTransfer.to_id == scope.org_id)
    return Decision(PERSON_TRANSFER, state, received, PersonTransferDecided, repeated=and_(true(), *same))


async def _record_on_both_orgs(
    db: AsyncConnection, scope: OrgScope, action: str, transfer_id: UUID, from_id: UUID, to_id: UUID
) -> None:
    """Record an audit entry in both orgs.

    Only the entry of the actor's org names the actor. Neither entry contains a member id of the other org.
    """
    subject, orgs = ("person_transfer", transfer_id), {"from_id": str(from_id), "to_id": str(to_id)}
    for org_id in (from_id, to_id):
        actor = scope.actor if org_id == scope.org_id else scope.actor.get_actor_for_other_org()
        await record(db, actor, action, org_id=org_id, subject=subject, after=orgs)
