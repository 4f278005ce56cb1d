"""Bodies of the device authorization and scan calls."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.auth.devices import ObservedDevice
from app.core.text import Token
from app.web.schemas import Body, Out


class DeviceAuthorizationOut(Out):
    """A device authorization response (RFC 8628 §3.2)."""

    device_code: str = Field(description="The console's secret: never show it, never put it into an address.")
    user_code: str = Field(examples=["WDJB-MJHT"])
    verification_uri: str
    verification_uri_complete: str = Field(description="The content of the QR code.")
    expires_in: int
    interval: int = Field(description="Seconds between polls.")


class TicketCreate(Body):
    device_code: Token


AuthorizationState = Literal["pending", "scanned", "approved", "refused", "redeemed", "expired"]


class SignInStepOut(Out):
    """The data of an event of a sign-in that waits for the phone."""

    state: AuthorizationState = Field(description="The name of the event.")
    match_number: int | None = Field(
        default=None, description="With `scanned`: show it, the app asks the person for it."
    )


class WaitOut(Out):
    state: AuthorizationState
    match_number: int | None = Field(
        default=None, description="While the state is `scanned`: show it, because the app asks the person for it."
    )
    expires_at: datetime


class ScanCreate(Body):
    code: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The public code, from the QR's address or typed.", examples=["WDJB-MJHT"]
    )


class ScanOut(ObservedDevice):
    """A scan: the device that requests the sign-in, as the service observed it."""

    id: UUID
    state: Literal["scanned", "approved", "refused", "redeemed"]
    client: str = Field(description="The program.", examples=["学组管理后台"])
    created_at: datetime = Field(description="When the console requested the code.")
    expires_at: datetime


class ApprovalPut(Body):
    number: Annotated[int, Field(strict=True, ge=10, le=99)] = Field(description="Shown by the console.")
