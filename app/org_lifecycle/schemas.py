"""Response bodies of closing an org."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.schema.approvals import State
from app.web.schemas import Out


class ClosureOut(Out):
    """A closing of an org: one that is requested, or one that took place."""

    id: UUID
    org_id: UUID
    org_name: str
    state: State = Field(description="`pending`: waits for the main admin. `accepted`: the org was closed.")
    requested_by: str | None = Field(description="The verified name of the admin who requested it.")
    requested_at: datetime
    expires_at: datetime | None = Field(description="Until when the main admin can decide; absent once decided.")
    decided_at: datetime | None
    can_be_undone_until: datetime | None = Field(
        description="Until when the main admin can open the closed org again; absent where it is not closed."
    )
    reopened_at: datetime | None
