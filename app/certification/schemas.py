"""Bodies of the certification calls."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.orgs.names import Kind
from app.schemas import Body, Out
from app.text import Reason, Token


class InvitationCreate(Body):
    """An invitation for subordinates to apply with (S6)."""

    expires_in_hours: int = Field(default=168, ge=1, le=24 * 90, description="How long it can be used.")
    max_uses: int = Field(default=1, ge=1, le=10_000, description="How many applications it is good for.")


class InvitationOut(Out):
    id: UUID
    link: str = Field(description="What is sent to the subordinate's admin; its QR code holds the same.")
    token: str = Field(description="The secret within the link: an application gives it back.")
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    created_at: datetime


class InvitationCard(Out):
    """What somebody who holds a live invitation sees of the org that invites."""

    org_id: UUID
    org_name: str
    org_kind: Kind
    org_region: str
    expires_at: datetime


class ApplicationCreate(Body):
    invitation_token: Token


class ApplicationOut(Out):
    """An application to be certified, as either side sees it."""

    id: UUID
    superior_id: UUID
    subordinate_id: UUID
    state: str = Field(description="`applied`, `certified`, `refused`, `withdrawn` or `released`.")
    applied_at: datetime
    decided_at: datetime | None
    reason: str | None


class ReceivedApplicationOut(ApplicationOut):
    """An application as the superior's admins decide on it: the org's card, and who applies."""

    subordinate_name: str
    subordinate_kind: Kind
    subordinate_region: str
    applicant_name: str | None = Field(description="Verified name of the admin who applied.")
    applicant_verified: bool


class CertificationOut(ApplicationOut):
    """One edge above the org, with its time range."""

    superior_name: str
    certified_at: datetime | None
    released_at: datetime | None


class RefusalCreate(Body):
    reason: Reason


class SubordinateOut(Out):
    id: UUID
    name: str
    kind: Kind
    region_code: str
    certified_at: datetime


class SuperiorOut(Out):
    id: UUID
    name: str
    distance: int = Field(description="1 for the direct superior.")
