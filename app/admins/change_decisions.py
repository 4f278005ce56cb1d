"""Deciding on a change request, and making the change (S4, S5).

Whoever decides holds the org's row, under which its edges do not change, so that the superior found then is the one
whose consent this is.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.errors import ChangeRequestDecided, ChangeRequestExpired, ChangeRequestStale
from app.audit_log.entries import Actor, record
from app.authz.access import OrgScope
from app.certification.trace import record_on_each
from app.core.db import on_constraint
from app.core.errors import NotFound, Problem
from app.core.search import spell
from app.hierarchy import tree
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.schema.admins import ChangeRequest, OrgAdmin
from app.schema.orgs import Org

COLUMNS = (
    ChangeRequest.id,
    ChangeRequest.org_id,
    ChangeRequest.kind,
    ChangeRequest.state,
    ChangeRequest.name_before,
    ChangeRequest.name_after,
    ChangeRequest.main_admin_before,
    ChangeRequest.main_admin_after,
    (ChangeRequest.expires_at <= func.now()).label("expired"),
)


async def approve_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> UUID | Problem:
    """Consent, as the superior: the change is made in this transaction.

    Gives the org's id; a request that has expired or gone stale is ended, and the refusal given back to be
    committed. Raises NotFound (also where the org has another superior by now), ChangeRequestDecided,
    SiblingNameTaken.
    """
    request = await _lock_received(db, scope, request_id)
    refused = await _apply_or_end(db, scope.actor.elsewhere(), request, scope.user.user_id)
    if refused is not None:
        return refused
    await _record_decision(db, scope, request, "change_request.approved")
    org_id: UUID = request.org_id
    return org_id


async def refuse_change_request(db: AsyncConnection, scope: OrgScope, request_id: UUID, reason: str) -> None:
    """Refuse, as the superior, with a reason that the org's admins read. Raises NotFound, ChangeRequestDecided."""
    request = await _lock_received(db, scope, request_id)
    await end_request(db, request_id, "refused", scope.user.user_id, reason)
    await _record_decision(db, scope, request, "change_request.refused", reason)


async def _lock_received(db: AsyncConnection, scope: OrgScope, request_id: UUID) -> Any:
    """The open request, its org held, where the scope's org is its superior now."""
    request = await get_request(db, request_id)
    # Only an org that stands under this one is held: nobody holds up another's by guessing ids.
    if await tree.find_superior_id(db, request.org_id) != scope.org_id:
        raise NotFound
    await lock_orgs_for_edit(db, scope, request.org_id)
    if await tree.find_superior_id(db, request.org_id) != scope.org_id:
        raise NotFound
    return await _get_open(db, request_id)


async def approve_recovery(db: AsyncConnection, operator: Actor, request_id: UUID) -> UUID | Problem:
    """Consent, as the platform operator, to the recovery of an org without a superior. As above."""
    request = await _lock_orphan(db, request_id)
    assert operator.user_id is not None
    refused = await _apply_or_end(db, operator, request, operator.user_id)
    if refused is not None:
        return refused
    subject = ("change_request", request.id)
    await record(db, operator, "change_request.approved", org_id=request.org_id, subject=subject)
    org_id: UUID = request.org_id
    return org_id


async def refuse_recovery(db: AsyncConnection, operator: Actor, request_id: UUID, reason: str) -> None:
    """Refuse it, with a reason. Raises NotFound, ChangeRequestDecided."""
    request = await _lock_orphan(db, request_id)
    assert operator.user_id is not None
    await end_request(db, request_id, "refused", operator.user_id, reason)
    subject = ("change_request", request.id)
    after = {"reason": reason}
    await record(db, operator, "change_request.refused", org_id=request.org_id, subject=subject, after=after)


async def _lock_orphan(db: AsyncConnection, request_id: UUID) -> Any:
    request = await get_request(db, request_id)
    if request.kind != "recovery":
        raise NotFound
    await lock_orgs(db, request.org_id)
    if await tree.find_superior_id(db, request.org_id) is not None:
        raise NotFound
    return await _get_open(db, request_id)


async def get_request(db: AsyncConnection, request_id: UUID) -> Any:
    row = (await db.execute(select(*COLUMNS).where(ChangeRequest.id == request_id))).one_or_none()
    if row is None:
        raise NotFound
    return row


async def _get_open(db: AsyncConnection, request_id: UUID) -> Any:
    row = await get_request(db, request_id)
    if row.state != "asked":
        raise ChangeRequestDecided
    return row


async def _apply_or_end(db: AsyncConnection, actor: Actor, request: Any, user_id: UUID) -> Problem | None:
    """Make the change; or end the request and give back why not."""
    if request.expired:
        await end_request(db, request.id, "expired", None)
        return ChangeRequestExpired()
    if not await apply_change(db, actor, request):
        await end_request(db, request.id, "stale", None)
        return ChangeRequestStale()
    await end_request(db, request.id, "approved", user_id)
    return None


async def apply_change(db: AsyncConnection, actor: Actor, request: Any) -> bool:
    """Make the change where all is as it was when asked; False where it is not. Raises SiblingNameTaken."""
    changed = update(Org).where(Org.id == request.org_id).returning(Org.id)
    if request.kind == "rename":
        name = request.name_after
        changed = changed.where(Org.name == request.name_before).values(name=name, **spell(name)._asdict())
    else:
        successor = exists().where(OrgAdmin.org_id == Org.id, OrgAdmin.user_id == request.main_admin_after)
        changed = changed.where(Org.main_admin_id == request.main_admin_before, successor).values(
            main_admin_id=request.main_admin_after
        )
    with on_constraint(("certifications_sibling_name_key", SiblingNameTaken)):
        if await db.scalar(changed.values(version=Org.version + 1)) is None:
            return False
    before, after = change_of(request)
    action = {"rename": "org.renamed", "hand-over": "org.handed_over", "recovery": "org.recovered"}[request.kind]
    subject = ("org", request.org_id)
    await record(db, actor, action, org_id=request.org_id, subject=subject, before=before, after=after)
    return True


async def end_request(
    db: AsyncConnection, request_id: UUID, state: str, user_id: UUID | None, refusal: str | None = None
) -> Any:
    return (
        await db.execute(
            update(ChangeRequest)
            .where(ChangeRequest.id == request_id)
            .values(state=state, decided_at=func.clock_timestamp(), decided_by=user_id, refusal=refusal)
            .returning(*COLUMNS)
        )
    ).one()


async def _record_decision(
    db: AsyncConnection, scope: OrgScope, request: Any, action: str, reason: str | None = None
) -> None:
    """On both orgs: the superior's entry names no person of the other, and the org's none of the superior's."""
    after = {"org_id": str(request.org_id), "kind": request.kind} | ({"reason": reason} if reason else {})
    subject = ("change_request", request.id)
    await record_on_each(db, scope, action, request.org_id, subject=subject, after=after)


def change_of(request: Any) -> tuple[dict[str, str], dict[str, str]]:
    """What it was and what it becomes, as the org's own audit shows it."""
    if request.kind == "rename":
        return {"name": request.name_before}, {"name": request.name_after}
    return {"main_admin_id": str(request.main_admin_before)}, {"main_admin_id": str(request.main_admin_after)}
