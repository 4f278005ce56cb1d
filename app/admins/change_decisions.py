"""Deciding on a change request, and making the change (S4, S5).

A decision locks the org's row, under which its edges do not change, so that the superior found then is the one whose
consent this is. Where the org stands alone, nobody is asked: what is pending then takes effect at once.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale
from app.approvals.kinds import CHANGE_REQUEST
from app.approvals.requests import finish, read_waiting
from app.audit_log.entries import Actor, record
from app.authz.access import OrgScope
from app.certification.audit import record_for_each_org
from app.core.search import spell_title
from app.database.db import on_constraint
from app.database.rows import fetch_rows, one_or_404
from app.hierarchy.tree import find_superior_id
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.schema.admins import ChangeRequest, OrgAdmin
from app.schema.approvals import State
from app.schema.orgs import Org
from app.web.errors import NotFound, Problem


class Change(NamedTuple):
    """A change request: what was there when it was made, and what is to be there instead."""

    id: UUID
    org_id: UUID
    kind: str
    name_before: str | None
    name_after: str | None
    main_admin_before: UUID | None
    main_admin_after: UUID | None

    @property
    def before(self) -> dict[str, str | None]:
        """As the org's own audit shows it."""
        return {"name": self.name_before} if self.kind == "rename" else {"main_admin_id": str(self.main_admin_before)}

    @property
    def after(self) -> dict[str, str | None]:
        """As the org's own audit shows it."""
        return {"name": self.name_after} if self.kind == "rename" else {"main_admin_id": str(self.main_admin_after)}


_COLUMNS = tuple(getattr(ChangeRequest, name) for name in Change._fields)


async def approve_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> UUID | Problem:
    """Consent, as the superior: the change is made in this transaction.

    Returns the org's id; or, where what it would change has changed meanwhile, the problem, to be answered and not
    raised, since the request is superseded. Raises NotFound (also where the org has another superior by now),
    ChangeRequestDecided, ChangeRequestExpired, SiblingNameTaken.
    """
    change = await _lock_received(db, scope, request_id)
    if not await accept_change(db, scope.actor.elsewhere(), change, scope.user.user_id):
        return ChangeRequestStale()
    await _record_decision(db, scope, change, "change_request.accepted")
    return change.org_id


async def refuse_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Decline, as the superior, with a reason that the org's admins read. Raises NotFound, ChangeRequestDecided,
    ChangeRequestExpired."""
    change = await _lock_received(db, scope, request_id)
    await _decline(db, request_id, scope.user.user_id, reason)
    await _record_decision(db, scope, change, "change_request.declined", reason)


async def _lock_received(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> Change:
    """The waiting request, its org locked, where the scope's org is its superior now."""
    change = await get_change(db, request_id)
    # Lock only an org that is certified under this one: otherwise a caller could delay any org by guessing ids.
    if await find_superior_id(db, change.org_id) != scope.org_id:
        raise NotFound
    await lock_orgs_for_edit(db, scope, change.org_id)
    if await find_superior_id(db, change.org_id) != scope.org_id:
        raise NotFound
    return await _read_waiting(db, request_id)


async def approve_recovery(db: AsyncConnection, operator: Actor, request_id: UUID) -> UUID | Problem:
    """Consent, as the platform operator, to the recovery of an org without a superior. As above."""
    change = await _lock_orphan(db, request_id)
    assert operator.user_id is not None
    if not await accept_change(db, operator, change, operator.user_id):
        return ChangeRequestStale()
    subject = ("change_request", change.id)
    await record(db, operator, "change_request.accepted", org_id=change.org_id, subject=subject)
    return change.org_id


async def refuse_recovery(db: AsyncConnection, operator: Actor, request_id: UUID, reason: str) -> None:
    """Decline it, with a reason. Raises NotFound, ChangeRequestDecided, ChangeRequestExpired."""
    change = await _lock_orphan(db, request_id)
    assert operator.user_id is not None
    await _decline(db, request_id, operator.user_id, reason)
    subject = ("change_request", change.id)
    after = {"reason": reason}
    await record(db, operator, "change_request.declined", org_id=change.org_id, subject=subject, after=after)


async def _lock_orphan(db: AsyncConnection, request_id: UUID) -> Change:
    change = await get_change(db, request_id)
    if change.kind != "recovery":
        raise NotFound
    await lock_orgs(db, change.org_id)
    if await find_superior_id(db, change.org_id) is not None:
        raise NotFound
    return await _read_waiting(db, request_id)


async def get_change(db: AsyncConnection, request_id: UUID) -> Change:
    """A request in any state. Raises NotFound."""
    return await one_or_404(db, select(*_COLUMNS).where(ChangeRequest.id == request_id), Change)


async def _read_waiting(db: AsyncConnection, request_id: UUID) -> Change:
    return await read_waiting(
        db,
        CHANGE_REQUEST,
        ChangeRequest.id == request_id,
        columns=_COLUMNS,
        row=Change,
        decided=ChangeRequestDecided,
        expired=ChangeRequestExpired,
    )


async def settle_pending_changes(db: AsyncConnection, actor: Actor, org_id: UUID) -> None:
    """Settle the pending requests of a locked org that has no superior any more.

    A new name and a hand-over take effect, or are superseded where the name or the admins have changed meanwhile. A
    recovery waits for the platform operator.
    """
    pending = (ChangeRequest.org_id == org_id, ChangeRequest.kind != "recovery", CHANGE_REQUEST.waiting)
    for change in await fetch_rows(db, select(*_COLUMNS).where(*pending).order_by(ChangeRequest.id), Change):
        if await accept_change(db, actor, change, None):
            subject = ("change_request", change.id)
            after = {"kind": change.kind}
            await record(db, actor, "change_request.accepted", org_id=org_id, subject=subject, after=after)


async def accept_change(db: AsyncConnection, actor: Actor, change: Change, user_id: UUID | None) -> bool:
    """Make the change that is requested of a locked org, and accept the request. Returns False where all is not as it
    was when it was requested: the request is superseded then. Raises SiblingNameTaken."""
    made = await apply_change(db, actor, change)
    state, decided_by = (State.ACCEPTED, user_id) if made else (State.SUPERSEDED, None)
    if not await finish(db, CHANGE_REQUEST, state, ChangeRequest.id == change.id, decided_by=decided_by):
        raise ChangeRequestDecided  # not while its org is locked
    return made


async def _decline(db: AsyncConnection, request_id: UUID, user_id: UUID, reason: str) -> None:
    which = ChangeRequest.id == request_id
    if not await finish(db, CHANGE_REQUEST, State.DECLINED, which, decided_by=user_id, refusal=reason):
        raise ChangeRequestDecided  # not while its org is locked


async def apply_change(db: AsyncConnection, actor: Actor, change: Change) -> bool:
    """Make the change where all is as it was when it was requested; False where it is not. Raises SiblingNameTaken."""
    changed = update(Org).where(Org.id == change.org_id).returning(Org.id)
    if change.kind == "rename":
        assert change.name_after is not None
        spelt = spell_title(change.name_after)._asdict()
        changed = changed.where(Org.name == change.name_before).values(name=change.name_after, **spelt)
    else:
        successor = exists().where(OrgAdmin.org_id == Org.id, OrgAdmin.user_id == change.main_admin_after)
        changed = changed.where(Org.main_admin_id == change.main_admin_before, successor).values(
            main_admin_id=change.main_admin_after
        )
    with on_constraint(("certifications_sibling_name_key", SiblingNameTaken)):
        if await db.scalar(changed.values(version=Org.version + 1)) is None:
            return False
    action = {"rename": "org.renamed", "hand-over": "org.handed_over", "recovery": "org.recovered"}[change.kind]
    subject = ("org", change.org_id)
    await record(db, actor, action, org_id=change.org_id, subject=subject, before=change.before, after=change.after)
    return True


async def _record_decision(
    db: AsyncConnection, scope: OrgScope, change: Change, action: str, reason: str | None = None
) -> None:
    """On both orgs: the superior's entry names no person of the other, and the org's none of the superior's."""
    after = {"org_id": str(change.org_id), "kind": change.kind} | ({"reason": reason} if reason else {})
    subject = ("change_request", change.id)
    await record_for_each_org(db, scope, action, change.org_id, subject=subject, after=after)
