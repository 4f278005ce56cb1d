"""Decisions on many applications at once. Each application is decided or refused alone, all in one transaction.

One transaction, because the hierarchy of the whole country is locked meanwhile: the number of statements does not
depend on the number of applications. The locks are taken once for all of them, and under the locks one statement reads
why an edge cannot begin. The constraints of the database are the second safeguard.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.approvals.kinds import APPLICATION
from app.approvals.requests import EndedRequest, end_requests
from app.audit_log.entries import EntryOfMany, record_each
from app.authz.access import OrgScope
from app.certification.edges import bump_org_version
from app.certification.errors import AlreadyCertified, ApplicationDecided, WouldCloseCircle
from app.certification.queries import list_received_by_id
from app.certification.schemas import ApplicationDecisionOut, ApplicationDecisionsOut, DecisionProblemOut
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.orgs.errors import SiblingNameTaken
from app.orgs.locks import lock_orgs, lock_orgs_for_edit
from app.schema.approvals import CertificationState
from app.schema.certification import Certification
from app.schema.orgs import Org
from app.web.errors import NotFound, Problem

Outcomes = Mapping[UUID, type[Problem] | None]
"""By application: why it could not be decided, or None."""

_ORG_ID = bindparam("org_id", type_=Uuid())
_GIVEN = (
    Certification.superior_id == _ORG_ID,
    Certification.id == any_(bindparam("application_ids", type_=ARRAY(Uuid))),
)
_APPLICANTS = select(Certification.subordinate_id).where(*_GIVEN)
_SUPERIORS = tree.build_ancestors(_ORG_ID)
_Edge = aliased(Certification, name="edge")
_Sibling = aliased(Certification, name="sibling")
_RECEIVED = (
    select(
        Certification.id,
        Certification.state,
        Certification.reason,
        func.name_key(Org.name).label("name_key"),
        exists()
        .where(_Edge.subordinate_id == Certification.subordinate_id, _Edge.state == CertificationState.LIVE)
        .label("has_superior"),
        exists().where(_SUPERIORS.c.id == Certification.subordinate_id).label("closes_circle"),
        exists()
        .where(
            _Sibling.superior_id == _ORG_ID,
            _Sibling.state == CertificationState.LIVE,
            func.name_key(_Sibling.subordinate_name) == func.name_key(Org.name),
            _Sibling.name_number == Certification.name_number,
        )
        .label("has_sibling"),
    )
    .join(Org, Org.id == Certification.subordinate_id)
    .where(*_GIVEN)
)


class _Received(NamedTuple):
    id: UUID
    state: str
    reason: str | None
    name_key: str
    has_superior: bool
    closes_circle: bool
    has_sibling: bool


async def approve_applications(db: AsyncConnection, scope: OrgScope, application_ids: Sequence[UUID]) -> Outcomes:
    """Certify the applicants under the scope's org, in the given order: of two applicants of one name the first one.
    Return the outcomes. An application that the org has approved before is unchanged and has no problem.

    Locks the hierarchy, then all orgs. Raises OrgClosed (the scope's org), Forbidden.
    """
    await tree.lock_hierarchy(db)
    given: dict[str, Any] = {"org_id": scope.org_id, "application_ids": list(application_ids)}
    await lock_orgs(db, scope.org_id, *(await db.scalars(_APPLICANTS, given)).all())
    await lock_orgs_for_edit(db, scope)
    received = {row.id: row for row in await fetch_rows(db, _RECEIVED, _Received, given)}
    outcomes: dict[UUID, type[Problem] | None] = {}
    names: set[str] = set()
    for application_id in application_ids:
        row = received.get(application_id)
        outcomes[application_id] = _find_obstacle(row, names)
        if row is not None and outcomes[application_id] is None:
            names.add(row.name_key)
    approved = [each for each, obstacle in outcomes.items() if obstacle is None]
    name = select(Org.name).where(Org.id == Certification.subordinate_id).scalar_subquery()
    # The time of the statement, not of the transaction, because an edge begins after the hierarchy is locked.
    values = {"certified_at": func.clock_timestamp(), "subordinate_name": name}
    by = scope.user.user_id
    ended = await end_requests(
        db, APPLICATION, CertificationState.LIVE, Certification.id.in_(approved), by=by, **values
    )
    await _record_each(db, scope, "certification.created", ended)
    await bump_org_version(db, *(request.orgs["subordinate_id"] for request in ended))
    return outcomes


def _find_obstacle(row: _Received | None, names: set[str]) -> type[Problem] | None:
    """Return why the application cannot be approved; `names` are the keys of the names that are approved with it."""
    if row is None:
        return NotFound
    if row.state == CertificationState.LIVE:
        return None
    if row.state != CertificationState.PENDING:
        return ApplicationDecided
    if row.has_superior:
        return AlreadyCertified
    if row.closes_circle:
        return WouldCloseCircle
    return SiblingNameTaken if row.has_sibling or row.name_key in names else None


async def refuse_applications(
    db: AsyncConnection, scope: OrgScope, application_ids: Sequence[UUID], reason: str
) -> Outcomes:
    """Decline applications that the scope's org has received, for one reason. Return the outcomes. An application that
    the org has declined for this reason before is unchanged and has no problem.

    Locks the org. Raises OrgClosed, Forbidden.
    """
    await lock_orgs_for_edit(db, scope)
    given = (Certification.id.in_(application_ids), Certification.superior_id == scope.org_id)
    by = scope.user.user_id
    ended = await end_requests(db, APPLICATION, CertificationState.DECLINED, *given, by=by, reason=reason)
    await _record_each(db, scope, "application.declined", ended, reason=reason)
    parameters = {"org_id": scope.org_id, "application_ids": list(application_ids)}
    received = {row.id: row for row in await fetch_rows(db, _RECEIVED, _Received, parameters)}
    return {each: _find_other_end(received.get(each), reason) for each in application_ids}


def _find_other_end(row: _Received | None, reason: str) -> type[Problem] | None:
    if row is None:
        return NotFound
    is_declined = row.state == CertificationState.DECLINED and row.reason == reason
    return None if is_declined else ApplicationDecided


async def describe_outcomes(db: AsyncConnection, scope: OrgScope, outcomes: Outcomes) -> ApplicationDecisionsOut:
    """Return the applications as they are now, in the given order, each with the problem that it was refused with."""
    applications = await list_received_by_id(db, scope.org, list(outcomes))
    items = [
        ApplicationDecisionOut(
            application_id=each,
            application=applications.get(each),
            problem=None if obstacle is None else DecisionProblemOut.from_problem(obstacle()),
        )
        for each, obstacle in outcomes.items()
    ]
    refused = sum(item.problem is not None for item in items)
    return ApplicationDecisionsOut(items=items, decided=len(items) - refused, refused=refused)


async def _record_each(
    db: AsyncConnection, scope: OrgScope, action: str, ended: Sequence[EndedRequest], **values: str
) -> None:
    """Record the decision on each application for both orgs. Only the entries of the scope's org name the actor."""
    own, others = [], []
    for request in ended:
        after = {column: str(org_id) for column, org_id in request.orgs.items()} | values
        own.append(EntryOfMany(scope.org_id, request.id, after=after))
        others.append(EntryOfMany(request.orgs["subordinate_id"], request.id, after=after))
    await record_each(db, scope.actor, action, "certification", own)
    await record_each(db, scope.actor.get_actor_for_other_org(), action, "certification", others)
