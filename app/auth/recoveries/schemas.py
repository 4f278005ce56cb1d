"""Bodies of the account recoveries."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.auth.phone_codes.codes import GivenCode
from app.auth.phone_codes.schemas import Code, Handle
from app.auth.verification.schemas import VerificationCreate
from app.core.phones import Phone
from app.web.schemas import Body, Out


class PhoneChangeRecoveryCreate(Body):
    """The caller's own account gets another phone, without a code to the present one."""

    kind: Literal["phone-change"]
    phone: Phone = Field(description="The new phone.")
    code: Code = Field(description="The code that the new phone has received .")
    handle: Handle = Field(description="The `handle` of the answer of `POST /v1/me/phone-codes`.")
    proof: VerificationCreate

    @property
    def given(self) -> GivenCode:
        return GivenCode(self.handle, self.code)


class LostPhoneRecoveryCreate(Body):
    """The caller's former account, which has the same real name, gets the phone of the present account."""

    kind: Literal["lost-phone"]
    proof: VerificationCreate


AccountRecoveryCreate = Annotated[PhoneChangeRecoveryCreate | LostPhoneRecoveryCreate, Field(discriminator="kind")]


class SignInProofCreate(Body):
    """The proof of the real name of the account whose phone the person has."""

    proof_token: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9_-]{20,100}$"),
        Field(
            description="The `proof_token` of the refused sign-in.",
            examples=["kF2vG6n3QeXw0bYd8mRz1AkF2vG6n3QeXw0bYd8mRz1"],
        ),
    ]
    proof: VerificationCreate


class SignInProofOut(Out):
    """A proof that has begun. The answer is the same for every account."""

    redirect_url: str | None = Field(description="Of a provider: open this for the person. Null for an ID card.")


class AccountRecoveryOut(Out):
    id: UUID
    kind: Literal["phone-change", "lost-phone"]
    state: Literal["proving", "waiting", "done", "refused", "stopped", "expired"]
    reason: str | None = Field(
        description="Refused: `declined`, `identity-differs`, `no-account`, `is-operator`, `another-waiting`, "
        "`phone-taken`, `account-unavailable`, `requester-unavailable`, or the reviewer's reason. Stopped: `stopped`, "
        "`stopped-by-link`, or what happened to the account.",
    )
    requested_by_me: bool = Field(description="Whether the caller requested it. Otherwise it is about their account.")
    created_at: datetime
    expires_at: datetime = Field(description="Until then the name must have been proved.")
    effective_at: datetime | None = Field(description="From then on the account gets the phone. Until then stop it.")
    ended_at: datetime | None
    redirect_url: str | None = Field(
        default=None, description="Of a provider, in the answer that begins it: open this for the person."
    )
