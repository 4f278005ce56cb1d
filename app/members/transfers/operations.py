"""A person goes from one org to another (S20): asked by an admin of the org they are in, accepted by one of the other.

The asking side is the one that knows the person, so that nobody can find out by asking who is in which directory.
Until it is accepted the other side sees a name and nothing else. At the acceptance the old row, its unit memberships
and its activation end and the new ones begin, at one instant. Past days do not change, nor do the account and its
points, and the person is counted as before.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Uuid, and_, bindparam, exists, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import PERSON_TRANSFER
from app.approvals.requests import finish, finish_all, open_request
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.database.db import on_constraint
from app.database.rows import fetch_row, one_or_404
from app.members.activation import activate_member, enqueue_user_activations, lock_accounts_and_phones
from app.members.encryption import encrypt_phone
from app.members.errors import PartyMembersOnly
from app.members.links.operations import lock_named_org
from app.members.locks import require_not_admin
from app.members.transfers.errors import PersonIsHere, PersonTransferDecided, PersonTransferOpen, SameOrg
from app.members.transfers.queries import PERSON
from app.members.transfers.schemas import PersonTransferCreate
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared, lock_orgs_for_edit
from app.orgs.names import Kind
from app.schema.approvals import State
from app.schema.members import Activation, Member, UnitMembership
from app.schema.person_transfers import PersonTransfer


class _Waiting(NamedTuple):
    org_id: UUID
    member_id: UUID
    to_id: UUID
    waits: bool


class _Person(NamedTuple):
    id: UUID
    user_id: UUID | None
    phone_cipher: bytes
    phone_index: bytes
    name: str
    pinyin: str
    initials: str
    party: bool


async def create_person_transfer(
    db: AsyncConnection, scope: OrgScope, member_id: UUID, body: PersonTransferCreate
) -> UUID:
    """Ask that another org take a person; gives the transfer's id.

    Raises NotFound, UnknownOrg, SameOrg, MemberIsAdmin, PartyMembersOnly, PersonTransferOpen.
    """
    await lock_org_shared(db, scope)
    to = await lock_named_org(db, body)
    if to.id == scope.org_id:
        raise SameOrg
    member = await one_or_404(
        db,
        select(Member.user_id, Member.phone_index, Member.party)
        .where(Member.org_id == scope.org_id, Member.id == member_id, Member.removed_at.is_(None))
        .with_for_update(read=True),
    )
    await require_not_admin(db, scope.org_id, member)
    if to.kind == Kind.PARTY and not member.party:
        raise PartyMembersOnly
    opened = {"org_id": scope.org_id, "member_id": member_id, "to_id": to.id, "requested_by": scope.user.user_id}
    transfer_id = await open_request(db, PERSON_TRANSFER, PersonTransferOpen, **opened)
    await _record(db, scope, "person_transfer.created", transfer_id, scope.org_id, to.id)
    return transfer_id


async def withdraw_person_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID) -> None:
    """Take back what one's own org asked. Raises NotFound, PersonTransferDecided."""
    await lock_org_shared(db, scope)
    mine = and_(PersonTransfer.id == transfer_id, PersonTransfer.org_id == scope.org_id)
    transfer = await _get(db, mine)
    if not await finish(db, PERSON_TRANSFER, State.WITHDRAWN, mine, decided_by=scope.user.user_id):
        raise PersonTransferDecided
    await _record(db, scope, "person_transfer.withdrawn", transfer_id, scope.org_id, transfer.to_id)


async def refuse_person_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID, reason: str) -> None:
    """Decline, with a reason that the other org's admins read. Raises NotFound, PersonTransferDecided."""
    await lock_org_shared(db, scope)
    ours = and_(PersonTransfer.id == transfer_id, PersonTransfer.to_id == scope.org_id)
    transfer = await _get(db, ours)
    declined = {"decided_by": scope.user.user_id, "reason": reason}
    if not await finish(db, PERSON_TRANSFER, State.DECLINED, ours, **declined):
        raise PersonTransferDecided
    await _record(db, scope, "person_transfer.declined", transfer_id, transfer.org_id, scope.org_id)


async def accept_person_transfer(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, transfer_id: UUID, unit_ids: list[UUID]
) -> UUID:
    """Take the person in: out of the one org and into this one in this transaction; gives the new row's id.

    Raises NotFound, PersonTransferDecided (also where the person has left meanwhile), MemberIsAdmin,
    PartyMembersOnly, PersonIsHere, UnknownUnit, OrgClosed.
    """
    ours = and_(PersonTransfer.id == transfer_id, PersonTransfer.to_id == scope.org_id)
    transfer = await _get(db, ours)
    orgs = await lock_orgs_for_edit(db, scope, transfer.org_id)
    indexer = await lock_index_key(db, cipher)
    member = await _lock_member(db, transfer)
    await require_not_admin(db, transfer.org_id, member)
    if orgs[scope.org_id].kind == Kind.PARTY and not member.party:
        raise PartyMembersOnly
    new_id = make_id()
    accepted = {"decided_by": scope.user.user_id, "new_member_id": new_id}
    with on_constraint(
        ("members_org_id_phone_index_key", PersonIsHere),
        ("members_org_id_user_id_key", PersonIsHere),
        ("unit_memberships_unit_fkey", UnknownUnit),
    ):
        now = await db.scalar(select(func.clock_timestamp()))
        await _bring_in(db, indexer, scope.org_id, new_id, member, unit_ids or [None], now)
    left = {"org_id": transfer.org_id, "member_id": transfer.member_id, "now": now}
    await db.execute(_KEEP_UNDONE, left | {"to_id": scope.org_id, "new_id": new_id})
    # In the old org another row may have been active through the account that holds this one's phone.
    await activate_member(db, scope.org_id, new_id, active=member.user_id is not None)
    await enqueue_user_activations(db, (await db.scalars(_LEAVE, left)).all())
    if not await finish(db, PERSON_TRANSFER, State.ACCEPTED, ours, **accepted):
        raise PersonTransferDecided
    await _record(db, scope, "person_transfer.accepted", transfer_id, transfer.org_id, scope.org_id)
    return new_id


async def supersede_transfers_of_removed(db: AsyncConnection, org_id: UUID) -> None:
    """Supersede the pending transfers out of the org whose person has left it in another way.

    For every operation that removes people from a directory, after the removal and in its transaction.
    """
    removed = exists().where(PERSON, Member.removed_at.is_not(None)).correlate(PersonTransfer)
    await finish_all(db, PERSON_TRANSFER, State.SUPERSEDED, PersonTransfer.org_id == org_id, removed)


async def _lock_member(db: AsyncConnection, transfer: _Waiting) -> _Person:
    """The person's row, locked, with what it is active through. Raises PersonTransferDecided where they have left."""
    there = (Member.org_id == transfer.org_id, Member.id == transfer.member_id, Member.removed_at.is_(None))
    for index, user_id in (await db.execute(select(Member.phone_index, Member.user_id).where(*there))).all():
        await lock_accounts_and_phones(db, index, account=user_id)
    columns = (getattr(Member, name) for name in _Person._fields)
    locked = await fetch_row(db, select(*columns).where(*there).with_for_update(), _Person)
    if locked is None:
        raise PersonTransferDecided
    return locked


async def _bring_in(
    db: AsyncConnection,
    indexer: BlindIndexer,
    org_id: UUID,
    new_id: UUID,
    member: _Person,
    units: list[UUID] | list[None],
    now: Any,
) -> None:
    phone = indexer.cipher.decrypt_text(member.phone_cipher, member.id)
    copied = {name: getattr(member, name) for name in ("user_id", "name", "pinyin", "initials", "party")}
    sealed = encrypt_phone(indexer, org_id, new_id, phone)
    await db.execute(insert(Member).values(org_id=org_id, id=new_id, **copied, **sealed))
    # A link that rested on consent rests on it still: the same account is behind the same person.
    consent = select(Activation.consented_by).where(Activation.member_id == member.id, Activation.until.is_(None))
    if member.user_id is not None:
        consented_by = await db.scalar(consent.where(Activation.user_id == member.user_id))
        linked = {"org_id": org_id, "member_id": new_id, "user_id": member.user_id, "since": now}
        await db.execute(insert(Activation).values(**linked, consented_by=consented_by))
    places = [{"org_id": org_id, "member_id": new_id, "unit_id": unit, "since": now} for unit in units]
    await db.execute(insert(UnitMembership).values(places))


# Neither is a link that an admin undid made again by going elsewhere.
_KEEP_UNDONE = text("""
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
_LEAVE = text("""
WITH ended AS (
    UPDATE activations SET until = :now WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
    RETURNING user_id, consented_by
), left_places AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
), removed AS (
    UPDATE members SET removed_at = :now, user_id = NULL, version = version + 1
    WHERE org_id = :org_id AND id = :member_id
)
SELECT user_id FROM ended WHERE consented_by IS NOT NULL
""").bindparams(
    bindparam("org_id", type_=Uuid()),
    bindparam("member_id", type_=Uuid()),
    bindparam("now", type_=DateTime(timezone=True)),
)


async def _get(db: AsyncConnection, which: ColumnElement[bool]) -> _Waiting:
    """The transfer, where it can be decided. Raises NotFound, PersonTransferDecided."""
    columns = (PersonTransfer.org_id, PersonTransfer.member_id, PersonTransfer.to_id)
    found = await one_or_404(db, select(*columns, PERSON_TRANSFER.waiting.label("waits")).where(which), _Waiting)
    if not found.waits:
        raise PersonTransferDecided
    return found


async def _record(
    db: AsyncConnection, scope: OrgScope, action: str, transfer_id: UUID, from_id: UUID, to_id: UUID
) -> None:
    """On both orgs; only the actor's own learns who acted, and neither entry holds a row of the other's."""
    subject, orgs = ("person_transfer", transfer_id), {"from_id": str(from_id), "to_id": str(to_id)}
    for org_id in (from_id, to_id):
        actor = scope.actor if org_id == scope.org_id else scope.actor.elsewhere()
        await record(db, actor, action, org_id=org_id, subject=subject, after=orgs)
