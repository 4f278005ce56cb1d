"""Bodies of the calls about requests to be removed from a directory."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.approvals.reasons import TranslatedReason
from app.core.text import Reason
from app.schema.approvals import State
from app.web.schemas import Body, Out


class RemovalRequestCreate(Body):
    """The org that is to remove the caller from its directory."""

    org_id: UUID


class RemovalRequestOut(Out):
    """A request that the caller has made."""

    id: UUID
    org_id: UUID
    org_name: str
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")


class ReceivedRemovalRequestOut(Out):
    """A person who asks to be removed from the directory."""

    id: UUID
    member_id: UUID = Field(description="The row of the person.")
    name: str = Field(description="The name in the directory.")
    requested_at: datetime
    expires_at: datetime


class RemovalRefusal(Body):
    reason: Reason
