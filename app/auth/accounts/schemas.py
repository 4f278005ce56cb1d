"""Bodies of the user's own account and sessions."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.auth.devices import ObservedDevice
from app.auth.phone_codes.codes import GivenCode
from app.auth.phone_codes.schemas import Code, Handle
from app.core.phones import Phone
from app.web.schemas import Body, Out


class PhonePut(Body):
    phone: Phone
    code: Code = Field(description="The code that the new phone has received.")
    handle: Handle = Field(description="The `handle` of the answer of `POST /v1/me/phone-codes`.")
    old_phone_code: Code = Field(description="The code that the present phone has received.")
    old_phone_handle: Handle = Field(description="The `handle` of the answer of `POST /v1/me/old-phone-codes`.")

    @property
    def given(self) -> GivenCode:
        return GivenCode(self.handle, self.code)

    @property
    def given_by_old_phone(self) -> GivenCode:
        return GivenCode(self.old_phone_handle, self.old_phone_code)


class ClosurePut(Body):
    code: Code
    handle: Handle

    @property
    def given(self) -> GivenCode:
        return GivenCode(self.handle, self.code)


class MeOut(Out):
    id: UUID
    phone: str
    verified_name: str | None = Field(description="None until the real name is verified.")
    verified_at: datetime | None
    verification_method: str | None
    party_member: bool = Field(description="As the user declared.")
    created_at: datetime


class MeUpdate(Body):
    party_member: bool = Field(description="Whether you are a member of the party.")


class SessionOut(ObservedDevice):
    id: UUID
    client: str = Field(description="The program that is signed in.", examples=["学组管理后台"])
    created_at: datetime
    refreshed_at: datetime
    current: bool = Field(description="The session of this call.")
