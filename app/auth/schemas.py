"""Bodies of one's own account and of the ways into it."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field

from app.auth.places import place_of
from app.auth.resident_id import IdNumber
from app.phones import Phone
from app.schemas import Body, Out
from app.text import Name, PersonName, Token

Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(description="Six digits.", examples=["123456"])]


class PhoneCodeCreate(Body):
    phone: Phone


class PhoneCodeOut(Out):
    """The same for every phone, whether anybody holds it or not."""

    expires_in: int = Field(description="Seconds the code is good for.")
    tries: int = Field(description="Wrong tries the code bears.")


class PhonePut(Body):
    phone: Phone
    code: Code


class ClosurePut(Body):
    code: Code


class MeOut(Out):
    id: UUID
    phone: str
    verified_name: str | None = Field(description="None until the real name is verified (S1).")
    verified_at: datetime | None
    verification_method: Literal["alipay", "id-card"] | None
    party_member: bool = Field(description="As the user declared.")
    created_at: datetime


class MeUpdate(Body):
    party_member: bool = Field(description="Whether you are a member of the party (S2, S17).")


class _Seen(Out):
    """A program as the service itself saw it."""

    device: str | None = Field(
        description="Browser and system; null where it named none.", examples=["Chrome 131 · Windows"]
    )
    address: IPv4Address | IPv6Address | None = Field(description="From where it was last seen.")

    @computed_field(description="Where the address is: the country it was given out in, `内网` or `本机`.")
    def place(self) -> str | None:
        return place_of(self.address)


class SessionOut(_Seen):
    id: UUID
    client: str = Field(description="The program that is signed in.", examples=["学组管理后台"])
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


class DeviceAuthorizationOut(Out):
    """RFC 8628 §3.2."""

    device_code: str = Field(description="The console's secret: never show it, never put it into an address.")
    user_code: str = Field(examples=["WDJB-MJHT"])
    verification_uri: str
    verification_uri_complete: str = Field(description="What the QR code says.")
    expires_in: int
    interval: int = Field(description="Seconds between polls.")


class TicketCreate(Body):
    device_code: Token


class WaitOut(Out):
    state: Literal["pending", "scanned", "approved", "refused", "redeemed", "expired"]
    match_number: int | None = Field(default=None, description="While scanned: show it, the phone asks for it.")
    expires_at: datetime


class ScanCreate(Body):
    code: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The public code, from the QR's address or typed.", examples=["WDJB-MJHT"]
    )


class ScanOut(_Seen):
    """Who asks to be let in, as the service itself saw it."""

    id: UUID
    state: Literal["scanned", "approved", "refused", "redeemed"]
    client: str = Field(description="The program.", examples=["学组管理后台"])
    created_at: datetime = Field(description="When the console asked.")
    expires_at: datetime


class ApprovalPut(Body):
    number: Annotated[int, Field(strict=True, ge=10, le=99)] = Field(description="Shown by the console.")


Base64Url = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[A-Za-z0-9_-]+=*$")]


class _FromBrowser(BaseModel):
    """Written by the browser (`credential.toJSON()`), which adds members as it grows: unknown ones are let pass."""

    model_config = ConfigDict(extra="ignore")


class AttestationResponse(_FromBrowser):
    clientDataJSON: Base64Url  # noqa: N815 — WebAuthn's own names
    attestationObject: Base64Url  # noqa: N815
    transports: list[Annotated[str, StringConstraints(max_length=30)]] | None = Field(default=None, max_length=10)


class AssertionResponse(_FromBrowser):
    clientDataJSON: Base64Url  # noqa: N815
    authenticatorData: Base64Url  # noqa: N815
    signature: Base64Url
    userHandle: Base64Url | None = None  # noqa: N815


class RegistrationCredential(_FromBrowser):
    """`PublicKeyCredential.toJSON()` of `navigator.credentials.create` (WebAuthn)."""

    id: Base64Url
    rawId: Base64Url  # noqa: N815
    type: Literal["public-key"]
    response: AttestationResponse


class AuthenticationCredential(_FromBrowser):
    """`PublicKeyCredential.toJSON()` of `navigator.credentials.get` (WebAuthn)."""

    id: Base64Url
    rawId: Base64Url  # noqa: N815
    type: Literal["public-key"]
    response: AssertionResponse


class SecurityKeyChallengeCreate(Body):
    purpose: Literal["registration", "check"] = Field(description="To add a key, or to prove one in this session.")


class SecurityKeyChallengeOut(Out):
    id: UUID
    options: dict[str, Any] = Field(
        description="For `PublicKeyCredential.parseCreationOptionsFromJSON` or `…RequestOptionsFromJSON`."
    )
    expires_at: datetime


class SecurityKeyCreate(Body):
    challenge_id: UUID
    name: Name = Field(examples=["办公室的钥匙"])
    credential: RegistrationCredential
    enrolment_code: Token | None = Field(default=None, description="A platform operator's first key needs it.")


class SecurityKeyUpdate(Body):
    name: Name


class SecurityKeyOut(Out):
    id: UUID
    name: str
    created_at: datetime
    used_at: datetime | None


class SecurityKeyCheckPut(Body):
    challenge_id: UUID
    credential: AuthenticationCredential


class SecurityKeyCheckOut(Out):
    checked_at: datetime
    good_until: datetime = Field(description="Calls that demand a key pass until then, in this session.")


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


class SimulatedClientCreate(Body):
    name: Name = "demo"
    scopes: list[Literal["point-events:write"]] = Field(min_length=1, max_length=10)


class SimulatedClientOut(Out):
    client_id: str
    client_secret: str = Field(description="Shown now and never again.")
