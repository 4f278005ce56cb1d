"""Bodies of the calls about certification and transfers."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.approvals.reasons import ShownReason
from app.core.text import Reason, Token
from app.orgs.names import Kind
from app.schema.approvals import CertificationState, State
from app.web.schemas import Body, Out


class InvitationCreate(Body):
    """An invitation for subordinates to apply with."""

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
    state: CertificationState = Field(
        description="`pending` until it is decided; an accepted one is a certification: `live`, and later `ended`."
    )
    requested_at: datetime
    decided_at: datetime | None
    reason: ShownReason


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
    ended_at: datetime | None


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


class TransferCreate(Body):
    """Ask to go under the org whose invitation this is, with everything below."""

    invitation_token: Token


class TransferDecision(Body):
    """The preview that the decision rests on."""

    preview: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="`preview.version` of the transfer as it was read; 409 `preview-stale` where it has changed."
    )


class TransferOut(Out):
    """A transfer, as the three orgs that it concerns see it."""

    id: UUID
    org_id: UUID
    org_name: str
    from_id: UUID
    from_name: str
    to_id: UUID
    to_name: str
    state: State
    step: Literal["release", "acceptance"] | None = Field(
        description="The consent that a pending transfer waits for: the present superior's, then the new one's."
    )
    requested_by: str | None = Field(description="Verified name of the main admin who asked.")
    requested_at: datetime
    released_at: datetime | None = Field(description="When the present superior let the org go.")
    decided_at: datetime | None
    reason: ShownReason = Field(description="Why it was declined.")


class TransferPreviewOut(Out):
    """What moves, and the hierarchy around it. Figures may grow while it is read; the version changes only with the
    hierarchy: the edge that ends, or either superior's chain."""

    version: str = Field(description="Give it back with the release or the acceptance.")
    orgs: int = Field(description="The org and all below it.")
    people: int = Field(description="Their people, each counted once.")
    points: int | None = Field(
        description="What these people earned in the last 30 days, as reports count it; null for too few people."
    )
    from_chain: list[str] = Field(description="Names from the present superior up.")
    to_chain: list[str] = Field(description="Names from the new superior up.")


class TransferDetailOut(TransferOut):
    preview: TransferPreviewOut | None = Field(description="While it is open.")
