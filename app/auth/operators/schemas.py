"""Bodies of the platform operators' calls. Reasons are codes, because free text could contain data that must not be
stored.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.auth.phone_codes.schemas import Code
from app.auth.verification.schemas import ReviewItemOut
from app.authz.scopes import RegistrableScope
from app.core.phones import Phone
from app.core.text import Name
from app.web.schemas import Body, Out


class ReviewOut(ReviewItemOut):
    """The data that the reviewer compares with the card."""

    name: str
    id_number: str


class RejectionPut(Body):
    reason: Literal["name-and-number-disagree", "unreadable", "not-the-person", "other"]


class KeyRecoveryCreate(Body):
    phone: Phone
    reason: Literal["lost", "stolen", "broken", "other"]


class KeyRecoveryOut(Out):
    user_id: UUID
    keys_removed: int
    sessions_ended: int


class PhoneReturnCreate(Body):
    phone: Phone = Field(description="The former phone.")
    code: Code = Field(description="The code that the former phone has received.")


class PhoneReturnOut(Out):
    user_id: UUID
    keys_removed: int
    sessions_ended: int


class SuspensionCreate(Body):
    phone: Phone
    reason: Literal["abuse", "security", "by-order", "other"]


class SuspensionOut(Out):
    user_id: UUID


class ClientCreate(Body):
    name: Name
    kind: Literal["service", "device"] = Field(description="`device`: a public program that signs in by scan.")
    scopes: list[RegistrableScope] = Field(
        default_factory=list,
        max_length=20,
        description="What it may do. A program that signs in by scan needs at least one, and the person sees them.",
    )


class ClientOut(Out):
    id: str
    name: str
    kind: Literal["app", "console", "device", "service"]
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None
    secrets: int = Field(description="Live secrets.")


class ClientSecretCreate(Body):
    overlap_hours: int = Field(default=24, ge=0, le=24 * 90, description="How long the old secrets live on.")


class ClientSecretOut(Out):
    client_id: str
    client_secret: str | None = Field(description="Shown now and never again; None for a public client.")
