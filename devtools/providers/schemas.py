"""Bodies of the simulated SMS, Alipay and service client calls."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.authz.scopes import RegistrableScope
from app.core.text import Name
from app.web.schemas import Body, Out


class SimulatedMessageOut(Out):
    text: str
    code: str | None = Field(description="The digits that a phone would offer to fill in.")
    arrived_at: datetime


class SimulatedMessages(Out):
    items: list[SimulatedMessageOut] = Field(description="The newest first, at most ten.")


class SimulatedConsent(Body):
    """The person's answer on the page of the simulated Alipay."""

    consents: bool = Field(default=True, description="False: the person declines, or is another one.")


class SimulatedConsentOut(Out):
    state: Literal["consented", "declined"]
    notified: bool = Field(description="Whether the callback took the notification.")


class SimulatedClientCreate(Body):
    name: Name = "demo"
    kind: Literal["service", "device"] = Field(
        default="service", description="`device`: a program that signs in by scan."
    )
    scopes: list[RegistrableScope] = Field(min_length=1, max_length=20)


class SimulatedClientOut(Out):
    client_id: str
    client_secret: str | None = Field(
        description="Shown now and never again; null for a program that signs in by scan."
    )
