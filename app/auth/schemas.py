"""Bodies of one's own account and of the ways into it."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.auth.resident_id import IdNumber
from app.phones import Phone
from app.schemas import Body, Out
from app.text import PersonName

Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(description="Six digits.", examples=["123456"])]


class PhoneCodeCreate(Body):
    phone: Phone


class PhoneCodeOut(Out):
    """The same for every phone, whether anybody holds it or not."""

    expires_in: int = Field(description="Seconds the code is good for.")
    tries: int = Field(description="Wrong tries the code bears.")


class VerifiedOut(Out):
    name: str
    method: Literal["alipay", "id-card"]
    at: datetime


class MeOut(Out):
    id: UUID
    phone: str
    verified: VerifiedOut | None = Field(description="Absent until the real name is verified (S1).")
    party_member: bool = Field(description="As the user declared.")
    created_at: datetime


class MeUpdate(Body):
    party_member: bool = Field(description="Whether you are a member of the party (S2, S17).")


class SessionOut(Out):
    id: UUID
    client: str = Field(description="The program that is signed in.", examples=["学组管理后台"])
    device: str | None = Field(description="Browser and system.", examples=["Chrome 131 · Windows"])
    address: IPv4Address | IPv6Address | None = Field(description="From where it was last refreshed.")
    created_at: datetime
    refreshed_at: datetime
    current: bool = Field(description="The session of this call.")


class AlipayVerificationCreate(Body):
    method: Literal["alipay"]


class IdCardVerificationCreate(Body):
    method: Literal["id-card"]
    name: PersonName
    id_number: IdNumber


VerificationCreate = Annotated[AlipayVerificationCreate | IdCardVerificationCreate, Field(discriminator="method")]


class VerificationOut(Out):
    id: UUID
    method: Literal["alipay", "id-card"]
    state: Literal["started", "submitted", "under_review", "approved", "rejected"]
    reason: str | None = Field(
        default=None,
        description="Of a rejection: `declined`, `id-number-taken`, `already-verified`, or the reviewer's words.",
    )
    created_at: datetime
    decided_at: datetime | None = None
    redirect_url: str | None = Field(
        default=None, description="Alipay, in the answer that begins it: open this for the person."
    )


class SimulatedMessageOut(Out):
    text: str
    code: str | None = Field(description="The digits that a phone would offer to fill in.")
    arrived_at: datetime


class SimulatedMessages(Out):
    items: list[SimulatedMessageOut] = Field(description="The newest first, at most ten.")


class SimulatedConsent(Body):
    """What the person answers on the test provider's page; without a name they decline."""

    name: PersonName | None = None
    id_number: IdNumber | None = None


class SimulatedConsentOut(Out):
    state: Literal["consented", "declined"]
    notified: bool = Field(description="Whether the callback took the notification.")
