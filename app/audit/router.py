"""The audit of an org over HTTP, for its admins."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from app.audit.queries import AuditFilter, list_entries
from app.audit.schemas import AuditEntryOut
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.database.db import ReadDb, TransactionalRoute
from app.database.paging import Page, Paging, paged_by
from app.web.schemas import Instant

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["audit"])


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
