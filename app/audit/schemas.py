"""Response bodies of the audit."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from app.web.schemas import Out


class AuditTrailEntryOut(Out):
    """One action, as an operator sees it: ids, without names, addresses and the changed values."""

    id: UUID
    at: datetime
    org_id: UUID | None = Field(description="Absent where the action belongs to no org, such as a sign-in.")
    user_id: UUID | None
    client_id: str | None
    action: str = Field(examples=["org.created"])
    subject_type: str
    subject_id: UUID | None
    request_id: str | None


class AuditEntryOut(Out):
    """One action. `before` and `after` have what it changed, never a phone or an ID number."""

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
