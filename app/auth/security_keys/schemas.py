"""Bodies of the security key calls, with the credentials that a browser creates (WebAuthn)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.core.text import Name, Token
from app.web.schemas import Body, Out

Base64Url = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[A-Za-z0-9_-]+=*$")]


class _FromBrowser(BaseModel):
    """An object from the browser (`credential.toJSON()`). Unknown members are ignored: new browsers add some."""

    model_config = ConfigDict(extra="ignore")


class AttestationResponse(_FromBrowser):
    clientDataJSON: Base64Url
    attestationObject: Base64Url
    transports: list[Annotated[str, StringConstraints(max_length=30)]] | None = Field(default=None, max_length=10)


class AssertionResponse(_FromBrowser):
    clientDataJSON: Base64Url
    authenticatorData: Base64Url
    signature: Base64Url
    userHandle: Base64Url | None = None


class RegistrationCredential(_FromBrowser):
    """`PublicKeyCredential.toJSON()` of `navigator.credentials.create` (WebAuthn)."""

    id: Base64Url
    rawId: Base64Url
    type: Literal["public-key"]
    response: AttestationResponse


class AuthenticationCredential(_FromBrowser):
    """`PublicKeyCredential.toJSON()` of `navigator.credentials.get` (WebAuthn)."""

    id: Base64Url
    rawId: Base64Url
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
