"""Writes of mergers: an org requests to merge into another org, and the other org accepts or declines (S20)."""

from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import MERGER
from app.approvals.requests import (
    Decision,
    create_request,
    decide_request,
    get_request_to_decide,
    withdraw_request,
)
from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.certification.audit import record_for_each_org
from app.certification.errors import PreviewStale
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.members.activation import enqueue_row_activations
from app.members.errors import PartyMembersOnly
from app.members.links.operations import lock_named_org
from app.mergers.errors import MergerDecided, MergerExpired, MergerIntoItself, MergerOpen, UnitNamesClash
from app.mergers.moves import move_org_into
from app.mergers.queries import compute_preview_version, count_unit_levels, find_unit_depth, list_clashing_units
from app.mergers.schemas import MergerAcceptance, MergerCreate
from app.messages.kinds import MessageKind
from app.org_lifecycle.closure import close_org, require_no_subordinates
from app.orgs.errors import UnitNameTaken, UnitTooDeep, UnknownUnit
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.orgs.names import Kind
from app.orgs.queries import get_card
from app.schema.approvals import State
from app.schema.members import Member
from app.schema.orgs import Merger, Unit


class _Merger(NamedTuple):
    org_id: UUID
    to_id: UUID


_COLUMNS = (Merger.org_id, Merger.to_id)


async def create_merger(db: AsyncConnection, scope: OrgScope, body: MergerCreate) -> UUID:
    """Request that the scope's org merges into another org. Return the merger's id.

    Raises RealNameRequired, UnknownOrg, MergerIntoItself, OrgHasSubordinates, PartyMembersOnly, MergerOpen, Forbidden.
    """
    scope.user.require_real_name()
    await lock_orgs_for_edit(db, scope, main_admin=True)
    to = await lock_named_org(db, body)
    if to.id == scope.org_id:
        raise MergerIntoItself
    await require_no_subordinates(db, scope.org_id)
    await _require_party(db, scope.org_id, to.kind)
    opened = {"org_id": scope.org_id, "to_id": to.id, "requested_by": scope.user.user_id}
    merger_id = await create_request(db, MERGER, MergerOpen, **opened)
    await _record(db, scope, "merger.created", merger_id, _Merger(scope.org_id, to.id))
    return merger_id


async def withdraw_merger(db: AsyncConnection, scope: OrgScope, merger_id: UUID) -> None:
    """Withdraw a merger that the scope's org has requested. Raises NotFound, MergerDecided, MergerExpired."""
    await lock_orgs_for_edit(db, scope, main_admin=True)
    own = (Merger.id == merger_id, Merger.org_id == scope.org_id)
    merger = await one_or_404(db, select(*_COLUMNS).where(*own), _Merger)
    by = scope.user.user_id
    await withdraw_request(db, MERGER, *own, by=by, decided=MergerDecided, expired=MergerExpired)
    await _record(db, scope, "merger.withdrawn", merger_id, merger)


async def refuse_merger(db: AsyncConnection, scope: OrgScope, merger_id: UUID, reason: str) -> None:
    """Decline a merger into the scope's org, with a reason that the other org's admins read.

    Raises NotFound, MergerDecided, MergerExpired.
    """
    await lock_orgs_for_edit(db, scope)
    decision = _build_decision(scope, State.DECLINED, merger_id, Merger.reason == reason)
    merger, repeated = await get_request_to_decide(db, decision, _COLUMNS, _Merger)
    if repeated or not await decide_request(db, decision, scope.user.user_id, reason=reason):
        return
    await _record(db, scope, "merger.declined", merger_id, merger, reason=reason)


async def accept_merger(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, merger_id: UUID, body: MergerAcceptance
) -> None:
    """Merge the other org into the scope's org: its units and people move, and the other org is closed permanently.

    Locks the hierarchy, then both orgs for edit, then the org that merges FOR UPDATE. The order of the last two lets
    transactions of both orgs' people finish, so that no person is added while the people move. Raises NotFound,
    MergerDecided, MergerExpired, PreviewStale, OrgHasSubordinates, PartyMembersOnly, UnknownUnit, UnitNameTaken,
    UnitNamesClash, UnitTooDeep, PhoneOfTwoAccounts, OrgClosed.
    """
    await tree.lock_hierarchy(db)
    decision = _build_decision(scope, State.ACCEPTED, merger_id, _has_place(body))
    merger, repeated = await get_request_to_decide(db, decision, _COLUMNS, _Merger)
    if repeated:  # the other org is closed
        await lock_orgs_for_edit(db, scope)
        return
    orgs = await lock_orgs_for_edit(db, scope, merger.org_id)
    await lock_orgs(db, merger.org_id, exclusive=True)
    await get_request_to_decide(db, decision, _COLUMNS, _Merger)
    if await compute_preview_version(db, merger.org_id, scope.org_id) != body.preview:
        raise PreviewStale
    await require_no_subordinates(db, merger.org_id)
    await _require_party(db, merger.org_id, orgs[scope.org_id].kind)
    unit_id = await _prepare_unit(db, scope, merger.org_id, body)
    moved = await move_org_into(db, cipher, merger.org_id, scope.org_id, unit_id)
    numbers = {"people": moved.people, "in_both": moved.in_both, "units": moved.units}
    await decide_request(db, decision, scope.user.user_id, unit_id=unit_id, **numbers)
    # The other org's audit does not name the admin of this one.
    closing = replace(
        scope,
        user=replace(scope.user, actor=scope.actor.get_actor_for_other_org()),
        org=await get_card(db, merger.org_id),
        roles=frozenset(),
    )
    await close_org(db, closing, MessageKind.ORG_MERGED)
    # A user who registers during this transaction can see neither the old rows nor the new rows.
    await enqueue_row_activations(db, scope.org_id)
    place = {"unit_id": None if unit_id is None else str(unit_id)}
    await _record(db, scope, "merger.accepted", merger_id, merger, **place, **numbers)


async def _prepare_unit(db: AsyncConnection, scope: OrgScope, org_id: UUID, body: MergerAcceptance) -> UUID | None:
    """Return the unit under which the merging org's people and units are placed; None: the receiving org itself.

    If the body contains a new unit, that unit is created and returned.

    Raises UnknownUnit, UnitNameTaken, UnitNamesClash, UnitTooDeep.
    """
    depth = 0
    if body.unit_id is not None:
        found = await find_unit_depth(db, scope.org_id, body.unit_id)
        if found is None:
            raise UnknownUnit
        depth = found
    levels = await count_unit_levels(db, org_id) + (body.new_unit is not None)
    if depth + levels > tree.UNIT_DEPTH:
        raise UnitTooDeep
    if body.new_unit is None:
        if clashing := await list_clashing_units(db, org_id, scope.org_id, body.unit_id):
            raise UnitNamesClash.of(clashing)
        return body.unit_id
    new = {"parent_id": body.unit_id, "name": body.new_unit.name, "kind": body.new_unit.kind}
    with on_constraint(("units_org_id_parent_id_name_key", UnitNameTaken)):
        inserted = await db.execute(insert(Unit).values(org_id=scope.org_id, **new).returning(Unit.id))
    unit_id: UUID = inserted.scalar_one()
    after = new | {"parent_id": None if body.unit_id is None else str(body.unit_id)}
    await record(db, scope.actor, "unit.created", org_id=scope.org_id, subject=("unit", unit_id), after=after)
    return unit_id


async def _require_party(db: AsyncConnection, org_id: UUID, kind: str) -> None:
    """Raise PartyMembersOnly if people outside the party would come into a party org (S17)."""
    outsiders = exists().where(Member.org_id == org_id, Member.removed_at.is_(None), Member.party.is_(False))
    if kind == Kind.PARTY and await db.scalar(select(outsiders)):
        raise PartyMembersOnly


def _build_decision(scope: OrgScope, state: State, merger_id: UUID, same: ColumnElement[bool]) -> Decision:
    received = (Merger.id == merger_id, Merger.to_id == scope.org_id)
    return Decision(MERGER, state, received, MergerDecided, MergerExpired, same)


def _has_place(body: MergerAcceptance) -> ColumnElement[bool]:
    """Return the SQL condition that the accepted merger moved the people to the unit that the body names."""
    if body.new_unit is None:
        return Merger.unit_id.is_not_distinct_from(body.unit_id)
    made = (Unit.org_id == Merger.to_id, Unit.id == Merger.unit_id, Unit.parent_id.is_not_distinct_from(body.unit_id))
    named = (Unit.name == body.new_unit.name, Unit.kind == body.new_unit.kind)
    return exists().where(*made, *named).correlate(Merger)


async def _record(
    db: AsyncConnection, scope: OrgScope, action: str, merger_id: UUID, merger: _Merger, **values: object
) -> None:
    after = {"org_id": str(merger.org_id), "to_id": str(merger.to_id)} | values
    subject = ("merger", merger_id)
    await record_for_each_org(db, scope, action, merger.org_id, merger.to_id, subject=subject, after=after)
