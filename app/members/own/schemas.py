"""Bodies of the calls of a user about their own rows."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.orgs.names import Kind
from app.web.schemas import Out


class OwnUnitOut(Out):
    """A unit in which the caller is."""

    id: UUID
    name: str
    path: str = Field(description="The names of the units from the top of the org down to this one.")


class MembershipOut(Out):
    """The caller's own row in the directory of an org, as the org has it."""

    org_id: UUID
    org_name: str
    org_kind: Kind
    org_region: str = Field(description="The names of the org's region.")
    name: str = Field(description="The name in the directory.")
    party: bool
    probationary: bool
    post: str | None = Field(description="The post (职务) in the org.")
    units: list[OwnUnitOut]
    at_org: bool = Field(description="Whether the caller is placed at the org itself, in its management group.")
    admin: bool = Field(description="Whether the caller administers the org.")
    removal_request_id: UUID | None = Field(description="The caller's request to be removed, while it waits.")
    active_since: datetime = Field(description="Since when the row is active through the caller's account.")


class BlockedOrgOut(Out):
    """An org that the caller has blocked."""

    org_id: UUID
    org_name: str
    blocked_at: datetime
