"""Bodies of the platform operators' calls. Reasons are codes, because free text could contain data that must not be
stored.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.auth.phone_codes.codes import GivenCode
from app.auth.phone_codes.schemas import Code, Handle
from app.auth.verification.pictures import Side
from app.auth.verification.schemas import ReviewItemOut
from app.authz.scopes import RegistrableScope
from app.core.phones import Phone
from app.core.text import Name
from app.web.schemas import Body, Out

RejectionReason = Literal["name-and-number-disagree", "unreadable", "not-the-person", "other"]
KeyRecoveryReason = Literal["lost", "stolen", "broken", "other"]
SuspensionReason = Literal["abuse", "security", "by-order", "other"]


class ReviewOut(ReviewItemOut):
    """The data that the reviewer compares with the card."""

    name: str
    id_number: str
    pictures: list[Side] = Field(
        description="The pictures to look at: `GET /v1/operator/verifications/{verification_id}/pictures/{side}`."
    )


class RejectionPut(Body):
    reason: RejectionReason


class AccountSearchCreate(Body):
    phone: Phone


class AccountOut(Out):
    """An account as an operator sees it."""

    user_id: UUID
    phone: str = Field(description="Masked.", examples=["138****8000"])
    name: str | None = Field(description="The verified name, masked; null without one.", examples=["王**"])
    status: Literal["active", "disabled"] = Field(description="`disabled`: suspended.")
    security_keys: int
    operator: bool = Field(description="Whether it is an operator's, which only `xuezu operators` changes.")
    created_at: datetime


class AccountSearchOut(Out):
    items: list[AccountOut] = Field(description="The account that has the phone, or an empty list.")


class KeyRecoveryCreate(Body):
    phone: Phone
    reason: KeyRecoveryReason


class KeyRecoveryOut(Out):
    user_id: UUID
    keys_removed: int
    sessions_ended: int


class PhoneReturnCreate(Body):
    phone: Phone = Field(description="The former phone.")
    code: Code = Field(description="The code that the former phone has received.")
    handle: Handle

    @property
    def given(self) -> GivenCode:
        return GivenCode(self.handle, self.code)


class PhoneReturnOut(Out):
    user_id: UUID
    keys_removed: int
    sessions_ended: int


class SuspensionCreate(Body):
    phone: Phone
    reason: SuspensionReason


class SuspensionOut(Out):
    user_id: UUID


class ClientCreate(Body):
    name: Name
    kind: Literal["service", "device", "app"] = Field(
        description="`device`: a public program that signs in by scan. `app`: the back end of an app."
    )
    scopes: list[RegistrableScope] = Field(
        default_factory=list,
        max_length=20,
        description="What it may do. A program that signs in by scan needs at least one, and the person sees them. An "
        "app has none here: it can do all that its people can.",
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
