"""Bodies of the device authorization and scan calls."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints

from app.auth.devices import ObservedDevice
from app.authz.scopes import DESCRIPTIONS, OWN_SCOPES, Scope
from app.core.i18n import gettext
from app.core.text import Token
from app.web.schemas import Body, Out


class DeviceAuthorizationOut(Out):
    """A device authorization response (RFC 8628 §3.2)."""

    device_code: str = Field(description="The client's secret: never show it, never put it into an address.")
    user_code: str = Field(
        description="Show it beside the QR code: after the scan the app asks for its last four letters.",
        examples=["WDJB-MJHT"],
    )
    verification_uri: str
    verification_uri_complete: str = Field(
        description="The content of the QR code. It has a code of its own and not the `user_code`."
    )
    expires_in: int
    interval: int = Field(description="Seconds between polls.")


class TicketCreate(Body):
    device_code: Token


AuthorizationState = Literal["pending", "scanned", "approved", "refused", "redeemed", "expired"]


class SignInStepOut(Out):
    """The data of an event of a sign-in that waits for the phone."""

    state: AuthorizationState = Field(description="The name of the event.")


class WaitOut(Out):
    state: AuthorizationState
    expires_at: datetime


class ScanCreate(Body):
    code: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The code in the QR's address, or the code beside the QR code if the person typed it.",
        examples=["WDJB-MJHT"],
    )


class ScopeOut(Out):
    """A scope that the person grants with the approval."""

    name: str = Field(examples=["reports:read"])
    description: str = Field(description="In the caller's language.", examples=["查看报表与排名"])


def _describe_scopes(names: list[str] | None) -> list[dict[str, str]]:
    scopes = sorted(OWN_SCOPES if names is None else names)
    return [{"name": name, "description": gettext(DESCRIPTIONS[Scope(name)])} for name in scopes]


class ScanOut(ObservedDevice):
    """A scan: the device that requests the sign-in, as the service observed it."""

    id: UUID
    state: Literal["scanned", "approved", "refused", "redeemed"]
    client: str = Field(description="The program.", examples=["学组管理后台"])
    proof: Literal["number", "user-code-end", "none"] = Field(
        description="What the app asks the person for before the approval: the `number` that the console shows after "
        "the scan, or the last four letters of the code beside the QR code; `none` if the person has typed that code."
    )
    scopes: Annotated[list[ScopeOut], BeforeValidator(_describe_scopes)] = Field(
        description="What the client may do after the approval: show it to the person. The console may do everything."
    )
    created_at: datetime = Field(description="When the client requested the code.")
    expires_at: datetime


class ApprovalPut(Body):
    """The proof that the scan requires. If the scan's `proof` is `none`, the body is empty."""

    number: Annotated[int, Field(strict=True, ge=10, le=99)] = Field(
        default=0, description="`proof` is `number`: the number that the console shows."
    )
    user_code_end: Annotated[str, StringConstraints(min_length=4, max_length=20)] = Field(
        default="",
        description="`proof` is `user-code-end`: the last four letters of the code beside the QR code.",
        examples=["MJHT"],
    )
