"""The audit over HTTP: that of an org for its admins, and that of all orgs for operators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from app.audit.queries import AuditFilter, list_entries, list_trail
from app.audit.schemas import AuditEntryOut, AuditTrailEntryOut
from app.authz.access import AsOperator, Can, OrgScope
from app.authz.permissions import Permission
from app.database.db import ReadDb, TransactionalRoute
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, problems
from app.web.schemas import Instant

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["audit"])
operator_router = APIRouter(
    prefix="/v1/operator/audit-entries",
    route_class=TransactionalRoute,
    tags=["operator"],
    responses=problems(NotFound),
)


async def _read_filter(
    action: Annotated[str | None, Query(max_length=60, pattern=r"^[a-z_.-]+$", description="Only this action.")] = None,
    subject_type: Annotated[
        str | None, Query(max_length=40, pattern=r"^[a-z_]+$", description="Only what was done to this kind of thing.")
    ] = None,
    user_id: Annotated[UUID | None, Query(description="Only what this user did.")] = None,
    since: Annotated[Instant | None, Query(description="Only from this time on.")] = None,
    until: Annotated[Instant | None, Query(description="Only before this time.")] = None,
) -> AuditFilter:
    return AuditFilter(action, subject_type, user_id, since, until)


@router.get("/orgs/{org_id}/audit", summary="Read the audit")
async def list_audit_entries(
    scope: Annotated[OrgScope, Can(Permission.AUDIT_READ)],
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    wanted: Annotated[AuditFilter, Depends(_read_filter)],
) -> Page[AuditEntryOut]:
    """List the audit entries of the org, the newest first: which user did what, when and from where. Filter by time,
    action or person. Only admins of the org can read them.

    The call changes nothing. Only the service writes entries, and no entry is ever edited or removed.
    """
    return await list_entries(db, scope.org_id, wanted, paging)


@operator_router.get("", summary="Read the audit of all orgs")
async def list_audit_trail(
    scope: AsOperator,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    wanted: Annotated[AuditFilter, Depends(_read_filter)],
    org_id: Annotated[UUID | None, Query(description="Only the entries of this org.")] = None,
    without_org: Annotated[
        bool, Query(description="Only the entries that belong to no org, such as sign-ins.")
    ] = False,
) -> Page[AuditTrailEntryOut]:
    """List the audit entries of all orgs and those without an org, the newest first: which action, when, by which user
    or client, as ids. Names, addresses and changed values are not in the list. Filter by org, user, action or time; a
    rare action is found faster with `since`.

    The call changes nothing. Only the service writes entries, and no entry is ever edited or removed.
    """
    return await list_trail(db, wanted, paging, org_id=org_id, without_org=without_org)
