"""Decisions on change requests, and the changes that they make (S4, S5).

A decision locks the org's row. Under this lock the org's edges cannot change, so the superior that the decision finds
is the one that consents. An org without a superior needs no consent: its pending rename and hand-over take effect at
once.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale
from app.admins.superseded_requests import supersede_main_admin_requests
from app.approvals.kinds import CHANGE_REQUEST
from app.approvals.requests import Decision, decide_request, finish_request, get_request_to_decide
from app.audit_log.entries import Actor, record
from app.authz.access import OrgScope
from app.certification.audit import record_for_each_org
from app.core.search import spell_title
from app.core.sort_keys import make_sort_key
from app.database.db import on_constraint
from app.database.rows import fetch_rows, one_or_404
from app.hierarchy.tree import find_superior_id
from app.messages.delivery import add_message
from app.messages.kinds import MessageKind
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.schema.admins import ChangeRequest, OrgAdmin
from app.schema.approvals import State
from app.schema.certification import Certification
from app.schema.orgs import Org
from app.web.errors import NotFound, Problem


class Change(NamedTuple):
    """A change request: the values at the time of the request (`…_before`), and the requested values (`…_after`)."""

    id: UUID
    org_id: UUID
    kind: str
    name_before: str | None
    name_after: str | None
    main_admin_before: UUID | None
    main_admin_after: UUID | None

    @property
    def before(self) -> dict[str, str | None]:
        """Return the old value for the org's audit entry."""
        return {"name": self.name_before} if self.kind == "rename" else {"main_admin_id": str(self.main_admin_before)}

    @property
    def after(self) -> dict[str, str | None]:
        """Return the new value for the org's audit entry."""
        return {"name": self.name_after} if self.kind == "rename" else {"main_admin_id": str(self.main_admin_after)}


_COLUMNS = tuple(getattr(ChangeRequest, name) for name in Change._fields)


async def approve_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> UUID | Problem:
    """Approve a change request, as the superior, and make the change in this transaction. Return the id of the
    org that is changed.

    If the name or the admins have changed since the request, the request becomes superseded and the result is
    ChangeRequestStale. It is returned and not raised, so that the new state is committed. Raises NotFound (also if the
    org now has another superior), ChangeRequestDecided, ChangeRequestExpired, SiblingNameTaken.
    """
    decision = _build_decision(State.ACCEPTED, request_id, _was_under(scope.org_id))
    change, repeated = await _lock_received_request(db, scope, request_id, decision)
    if repeated:
        return change.org_id
    if not await accept_change(db, scope.actor.get_actor_for_other_org(), change, scope.user.user_id):
        return ChangeRequestStale()
    await _record_decision(db, scope, change, "change_request.accepted")
    return change.org_id


async def refuse_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Decline a change request, as the superior. The org's admins can read the reason. Raises NotFound,
    ChangeRequestDecided, ChangeRequestExpired."""
    decision = _build_decision(State.DECLINED, request_id, _was_under(scope.org_id), ChangeRequest.refusal == reason)
    change, repeated = await _lock_received_request(db, scope, request_id, decision)
    if repeated or not await decide_request(db, decision, scope.user.user_id, refusal=reason):
        return
    await _record_decision(db, scope, change, "change_request.declined", reason)


async def _lock_received_request(
    db: AsyncConnection, scope: OrgScope, request_id: UUID, decision: Decision
) -> tuple[Change, bool]:
    """Lock the scope's org and the org of a request. Return the request, and whether the decision is repeated.

    Raises NotFound (also if the scope's org is not the superior now), ChangeRequestDecided, ChangeRequestExpired.
    """
    change = await get_change(db, request_id)
    # The first check precedes the lock, because otherwise a caller could delay any org by guessing ids.
    if await find_superior_id(db, change.org_id) != scope.org_id:
        raise NotFound
    await lock_orgs_for_edit(db, scope, change.org_id)
    if await find_superior_id(db, change.org_id) != scope.org_id:
        raise NotFound
    return await get_request_to_decide(db, decision, _COLUMNS, Change)


async def approve_recovery(db: AsyncConnection, operator: Actor, request_id: UUID) -> UUID | Problem:
    """Approve the recovery of an org without a superior, as the platform operator. Return the org's id, or
    ChangeRequestStale as `approve_change_request` does. Raises NotFound, ChangeRequestDecided, ChangeRequestExpired."""
    change, repeated = await _lock_operator_request(
        db, request_id, _build_decision(State.ACCEPTED, request_id, _had_no_superior())
    )
    if repeated:
        return change.org_id
    assert operator.user_id is not None
    if not await accept_change(db, operator, change, operator.user_id):
        return ChangeRequestStale()
    subject = ("change_request", change.id)
    await record(db, operator, "change_request.accepted", org_id=change.org_id, subject=subject)
    return change.org_id


async def refuse_recovery(db: AsyncConnection, operator: Actor, request_id: UUID, reason: str) -> None:
    """Decline the recovery of an org without a superior, as the platform operator. Raises NotFound,
    ChangeRequestDecided, ChangeRequestExpired."""
    same = (_had_no_superior(), ChangeRequest.refusal == reason)
    decision = _build_decision(State.DECLINED, request_id, *same)
    change, repeated = await _lock_operator_request(db, request_id, decision)
    assert operator.user_id is not None
    if repeated or not await decide_request(db, decision, operator.user_id, refusal=reason):
        return
    subject = ("change_request", change.id)
    after = {"reason": reason}
    await record(db, operator, "change_request.declined", org_id=change.org_id, subject=subject, after=after)


async def _lock_operator_request(db: AsyncConnection, request_id: UUID, decision: Decision) -> tuple[Change, bool]:
    """Lock the org of a recovery that the platform operator decides. Return the request, and whether the decision is
    repeated. Raises NotFound, ChangeRequestDecided, ChangeRequestExpired."""
    change = await get_change(db, request_id)
    if change.kind != "recovery":
        raise NotFound
    await lock_orgs(db, change.org_id)
    if await find_superior_id(db, change.org_id) is not None:
        raise NotFound
    return await get_request_to_decide(db, decision, _COLUMNS, Change)


async def get_change(db: AsyncConnection, request_id: UUID) -> Change:
    """Return a request, in any state. Raises NotFound."""
    return await one_or_404(db, select(*_COLUMNS).where(ChangeRequest.id == request_id), Change)


def _build_decision(state: State, request_id: UUID, *repeated: ColumnElement[bool]) -> Decision:
    decided_by_a_side = and_(ChangeRequest.decided_by.is_not(None), *repeated)
    conditions = [ChangeRequest.id == request_id]
    return Decision(CHANGE_REQUEST, state, conditions, ChangeRequestDecided, ChangeRequestExpired, decided_by_a_side)


# The certifications at the time of the decision say which side has decided: an admin can be an admin of several
# superiors.
_WAS_SUBORDINATE = and_(
    Certification.subordinate_id == ChangeRequest.org_id,
    Certification.certified_at <= ChangeRequest.decided_at,
    or_(Certification.ended_at.is_(None), Certification.ended_at > ChangeRequest.decided_at),
)


def _was_under(superior_id: UUID) -> ColumnElement[bool]:
    """Return the condition that this org was the superior when the request was decided."""
    return exists().where(_WAS_SUBORDINATE, Certification.superior_id == superior_id).correlate(ChangeRequest)


def _had_no_superior() -> ColumnElement[bool]:
    """Return the condition that the org had no superior when the request was decided."""
    return ~exists().where(_WAS_SUBORDINATE).correlate(ChangeRequest)


async def apply_pending_changes(db: AsyncConnection, actor: Actor, org_id: UUID) -> None:
    """Apply the pending requests of an org that no longer has a superior. The caller has locked the org.

    A rename and a hand-over take effect; if the name or the admins have changed since the request, they become
    superseded. A recovery waits for the platform operator.
    """
    pending = (ChangeRequest.org_id == org_id, ChangeRequest.kind != "recovery", CHANGE_REQUEST.waiting)
    for change in await fetch_rows(db, select(*_COLUMNS).where(*pending).order_by(ChangeRequest.id), Change):
        if await accept_change(db, actor, change, None):
            subject = ("change_request", change.id)
            after = {"kind": change.kind}
            await record(db, actor, "change_request.accepted", org_id=org_id, subject=subject, after=after)


async def accept_change(db: AsyncConnection, actor: Actor, change: Change, user_id: UUID | None) -> bool:
    """Make the requested change and accept the request. Return True. The caller has locked the org.

    If the org has changed since the request, the request becomes superseded and the result is False. Raises
    SiblingNameTaken.
    """
    applied = await apply_change(db, actor, change)
    state = State.ACCEPTED if applied else State.SUPERSEDED
    if not await finish_request(db, CHANGE_REQUEST, state, ChangeRequest.id == change.id, by=user_id):
        raise ChangeRequestDecided  # cannot happen while the org's row is locked
    return applied


async def apply_change(db: AsyncConnection, actor: Actor, change: Change) -> bool:
    """Make the requested change if the org has not changed since the request. Return whether the change was made. A new
    main admin supersedes the other requests for one. Raises SiblingNameTaken."""
    statement = update(Org).where(Org.id == change.org_id).returning(Org.id)
    if change.kind == "rename":
        assert change.name_after is not None
        spelling = spell_title(change.name_after)._asdict()
        statement = statement.where(Org.name == change.name_before).values(
            name=change.name_after, sort_key=make_sort_key(change.name_after), **spelling
        )
    else:
        is_admin = exists().where(OrgAdmin.org_id == Org.id, OrgAdmin.user_id == change.main_admin_after)
        statement = statement.where(Org.main_admin_id == change.main_admin_before, is_admin).values(
            main_admin_id=change.main_admin_after
        )
    with on_constraint(("certifications_sibling_name_key", SiblingNameTaken)):
        if await db.scalar(statement.values(version=Org.version + 1)) is None:
            return False
    if change.kind != "rename":
        await supersede_main_admin_requests(db, actor, change.org_id, change.id)
    action = {"rename": "org.renamed", "hand-over": "org.handed_over", "recovery": "org.recovered"}[change.kind]
    subject = ("org", change.org_id)
    await record(db, actor, action, org_id=change.org_id, subject=subject, before=change.before, after=change.after)
    if change.main_admin_before is not None and change.main_admin_after is not None:
        replaced, received = MessageKind.MAIN_ADMIN_REPLACED, MessageKind.MAIN_ADMIN_RECEIVED
        await add_message(db, change.main_admin_before, replaced, change.org_id, actor_id=actor.user_id)
        await add_message(db, change.main_admin_after, received, change.org_id, actor_id=actor.user_id)
    return True


async def _record_decision(
    db: AsyncConnection, scope: OrgScope, change: Change, action: str, reason: str | None = None
) -> None:
    """Record the decision for both orgs. The superior's entry names no person of the other org, and the other org's
    entry names no person of the superior."""
    after = {"org_id": str(change.org_id), "kind": change.kind} | ({"reason": reason} if reason else {})
    subject = ("change_request", change.id)
    await record_for_each_org(db, scope, action, change.org_id, subject=subject, after=after)
