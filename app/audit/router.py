"""The audit of an org, for its admins."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import func, select

from app.audit.tables import AuditEntry
from app.auth.access import Can, OrgScope
from app.auth.permissions import Permission
from app.auth.tables import User
from app.db import Db, TransactionalRoute
from app.paging import Page, Paging, paged_by
from app.schemas import Out

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["audit"])


class AuditEntryOut(Out):
    """One thing that was done. `before` and `after` hold what changed, never a phone or ID number."""

    id: UUID
    at: datetime
    action: str = Field(examples=["org.created"])
    subject_type: str
    subject_id: UUID | None
    user_id: UUID | None
    user_name: str | None = Field(description="Verified name of who acted for this org; absent where another org did.")
    client_id: str | None
    address: str | None
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("/orgs/{org_id}/audit")
async def list_audit_entries(
    scope: Annotated[OrgScope, Can(Permission.AUDIT_READ)],
    db: Db,
    paging: Annotated[Paging, paged_by(UUID)],
    action: Annotated[str | None, Query(max_length=60, pattern=r"^[a-z_.-]+$", description="Only this action.")] = None,
) -> Page[AuditEntryOut]:
    """Who did what to this org, when and from where; newest first. The entries themselves never change."""
    statement = (
        select(
            *(column for column in AuditEntry.__table__.columns if column.key != "address"),
            func.host(AuditEntry.address).label("address"),
            User.verified_name.label("user_name"),
        )
        .outerjoin(User, User.id == AuditEntry.user_id)
        .where(AuditEntry.org_id == scope.org_id)
        .order_by(AuditEntry.id.desc())
        .limit(paging.limit + 1)
    )
    if action is not None:
        statement = statement.where(AuditEntry.action == action)
    if paging.after is not None:
        statement = statement.where(AuditEntry.id < paging.after[0])
    rows = (await db.execute(statement)).all()
    return Page[AuditEntryOut].of(rows, paging, lambda row: (row.id,), AuditEntryOut)
