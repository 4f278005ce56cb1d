"""Writes of transfers of several people from one org to another (S20), with one consent of each side.

An admin of the present org requests the transfer of people whom it knows, and an admin of the other org decides about
all of them at once. Each person is treated as by a transfer of one person. Who cannot be transferred stays, and the
others go: each org reads the reason, but only the receiving org reads that a person is in its directory already.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import GROUP_TRANSFER
from app.approvals.requests import Decision, create_request, decide_request, get_request_to_decide, withdraw_request
from app.audit_log.entries import EntryOfMany, record, record_each
from app.authz.access import OrgScope
from app.core.cipher import Cipher
from app.database.rows import one_or_404
from app.members.group_transfers.errors import GroupTransferDecided, GroupTransferOpen, NobodyCanTransfer
from app.members.group_transfers.moves import MovedPerson, move_people_into
from app.members.group_transfers.queries import ChosenPerson, list_chosen_people
from app.members.group_transfers.schemas import (
    ExcludedPersonOut,
    GroupTransferCreate,
    GroupTransferPreviewOut,
)
from app.members.links.operations import FoundOrg, lock_named_org
from app.members.superseded_requests import supersede_requests_of_removed
from app.members.transfers.errors import SameOrg
from app.orgs.locks import lock_org_shared, lock_orgs_for_edit
from app.orgs.queries import get_card
from app.schema.approvals import State
from app.schema.person_transfers import GroupTransfer

# In the order of their ids, as everywhere. The lock is exclusive: a concurrent request for one of them waits.
_LOCK_CHOSEN = text("""
SELECT FROM members WHERE org_id = :org_id AND id = ANY (:member_ids) AND removed_at IS NULL
ORDER BY id FOR NO KEY UPDATE
""").bindparams(bindparam("org_id", type_=Uuid()), bindparam("member_ids", type_=ARRAY(Uuid)))
_ADD_PEOPLE = text("""
INSERT INTO group_transfer_people (transfer_id, place, org_id, member_id)
SELECT :transfer_id, place, :org_id, member_id FROM unnest(:member_ids) WITH ORDINALITY AS given (member_id, place)
""").bindparams(
    bindparam("transfer_id", type_=Uuid()),
    bindparam("org_id", type_=Uuid()),
    bindparam("member_ids", type_=ARRAY(Uuid)),
)


class _Transfer(NamedTuple):
    org_id: UUID
    to_id: UUID


_COLUMNS = [getattr(GroupTransfer, name) for name in _Transfer._fields]


async def preview_group_transfer(
    db: AsyncConnection, scope: OrgScope, body: GroupTransferCreate
) -> GroupTransferPreviewOut:
    """Return whom a request would name, and whom not and why. Locks both orgs FOR KEY SHARE. Raises UnknownOrg,
    SameOrg."""
    to, chosen = await _choose(db, scope, body)
    excluded = list_excluded(chosen)
    to_name = (await get_card(db, to.id)).name
    return GroupTransferPreviewOut(to_id=to.id, to_name=to_name, people=len(chosen) - len(excluded), excluded=excluded)


async def create_group_transfer(
    db: AsyncConnection, scope: OrgScope, body: GroupTransferCreate
) -> tuple[UUID, list[ExcludedPersonOut]]:
    """Request the transfer of people to another org. Return the transfer's id, and the chosen people whom it does not
    name.

    Locks both orgs and the rows. Raises UnknownOrg, SameOrg, NobodyCanTransfer, GroupTransferOpen.
    """
    to, chosen = await _choose(db, scope, body, lock=True)
    excluded = list_excluded(chosen)
    member_ids = [person.id for person in chosen if person.obstacle is None]
    if not member_ids:
        raise NobodyCanTransfer
    opened = {"org_id": scope.org_id, "to_id": to.id, "people": len(member_ids), "requested_by": scope.user.user_id}
    transfer_id = await create_request(db, GROUP_TRANSFER, GroupTransferOpen, **opened)
    people = {"transfer_id": transfer_id, "org_id": scope.org_id, "member_ids": member_ids}
    await db.execute(_ADD_PEOPLE, people)
    transfer = _Transfer(scope.org_id, to.id)
    await _record(db, scope, "group_transfer.created", transfer_id, transfer, people=len(member_ids))
    return transfer_id, excluded


async def _choose(
    db: AsyncConnection, scope: OrgScope, body: GroupTransferCreate, *, lock: bool = False
) -> tuple[FoundOrg, list[ChosenPerson]]:
    await lock_org_shared(db, scope)
    to = await lock_named_org(db, body)
    if to.id == scope.org_id:
        raise SameOrg
    if lock:
        await db.execute(_LOCK_CHOSEN, {"org_id": scope.org_id, "member_ids": body.member_ids})
    return to, await list_chosen_people(db, scope.org_id, to.kind, body.member_ids)


def list_excluded(chosen: Sequence[ChosenPerson]) -> list[ExcludedPersonOut]:
    """Return those of the chosen people whom a request does not name."""
    return [
        ExcludedPersonOut(member_id=person.id, name=person.name, obstacle=person.obstacle)
        for person in chosen
        if person.obstacle is not None
    ]


async def withdraw_group_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID) -> None:
    """Withdraw a transfer that the caller's org requested. Raises NotFound, GroupTransferDecided."""
    await lock_org_shared(db, scope)
    own = and_(GroupTransfer.id == transfer_id, GroupTransfer.org_id == scope.org_id)
    transfer = await one_or_404(db, select(*_COLUMNS).where(own), _Transfer)
    decided, by = GroupTransferDecided, scope.user.user_id
    await withdraw_request(db, GROUP_TRANSFER, own, by=by, decided=decided, expired=decided)
    await _record(db, scope, "group_transfer.withdrawn", transfer_id, transfer)


async def refuse_group_transfer(db: AsyncConnection, scope: OrgScope, transfer_id: UUID, reason: str) -> None:
    """Decline a transfer with a reason that the other org's admins read. Raises NotFound, GroupTransferDecided."""
    await lock_org_shared(db, scope)
    decision = _build_decision(scope, State.DECLINED, transfer_id, GroupTransfer.reason == reason)
    transfer, _ = await get_request_to_decide(db, decision, _COLUMNS, _Transfer)
    if await decide_request(db, decision, scope.user.user_id, reason=reason):
        await _record(db, scope, "group_transfer.declined", transfer_id, transfer, reason=reason)


async def accept_group_transfer(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, transfer_id: UUID, unit_ids: Sequence[UUID]
) -> None:
    """Accept a transfer: who can be transferred leaves the other org and comes to this one, in these units. Who
    cannot stays, with the reason stored.

    Locks both orgs for edit, then as `move_people_into`. Raises NotFound, GroupTransferDecided, NobodyCanTransfer,
    UnknownUnit, OrgClosed, Unavailable.
    """
    decision = _build_decision(scope, State.ACCEPTED, transfer_id)
    transfer, _ = await get_request_to_decide(db, decision, _COLUMNS, _Transfer)
    orgs = await lock_orgs_for_edit(db, scope, transfer.org_id)
    _, repeated = await get_request_to_decide(db, decision, _COLUMNS, _Transfer)
    if repeated:
        return
    kind = orgs[scope.org_id].kind
    units: Sequence[UUID | None] = unit_ids or [None]
    moved = await move_people_into(db, cipher, transfer_id, transfer.org_id, scope.org_id, kind, units)
    if not moved:
        raise NobodyCanTransfer
    await decide_request(db, decision, scope.user.user_id, moved=len(moved))
    await supersede_requests_of_removed(db, transfer.org_id, scope.actor.get_actor_for_other_org())
    await _record_people(db, scope, transfer, moved, unit_ids)
    await _record(db, scope, "group_transfer.accepted", transfer_id, transfer, people=len(moved))


def _build_decision(scope: OrgScope, state: State, transfer_id: UUID, *same: ColumnElement[bool]) -> Decision:
    received = (GroupTransfer.id == transfer_id, GroupTransfer.to_id == scope.org_id)
    return Decision(GROUP_TRANSFER, state, received, GroupTransferDecided, repeated=and_(true(), *same))


async def _record_people(
    db: AsyncConnection, scope: OrgScope, transfer: _Transfer, moved: Sequence[MovedPerson], unit_ids: Sequence[UUID]
) -> None:
    """Record of each person that they left the one org and came to the other. No entry has an id of the other org's
    directory, and only those of the scope's org name the actor."""
    left = [
        EntryOfMany(transfer.org_id, each.member_id, {"name": each.name}, {"to_id": str(transfer.to_id)})
        for each in moved
    ]
    units = [str(unit_id) for unit_id in unit_ids]
    came = [
        EntryOfMany(
            scope.org_id,
            each.new_member_id,
            {"from_id": str(transfer.org_id)},
            {"name": each.name, "party": each.party, "unit_ids": units},
        )
        for each in moved
    ]
    await record_each(db, scope.actor.get_actor_for_other_org(), "member.removed", "member", left)
    await record_each(db, scope.actor, "member.added", "member", came)


async def _record(
    db: AsyncConnection, scope: OrgScope, action: str, transfer_id: UUID, transfer: _Transfer, **values: object
) -> None:
    """Record an audit entry in both orgs. Only the entry of the actor's org names the actor."""
    subject = ("group_transfer", transfer_id)
    after = {"from_id": str(transfer.org_id), "to_id": str(transfer.to_id)} | values
    for org_id in transfer:
        actor = scope.actor if org_id == scope.org_id else scope.actor.get_actor_for_other_org()
        await record(db, actor, action, org_id=org_id, subject=subject, after=after)
