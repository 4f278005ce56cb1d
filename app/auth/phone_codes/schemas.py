"""Bodies of the phone code calls."""

from typing import Annotated

from pydantic import Field, StringConstraints

from app.core.phones import Phone
from app.web.schemas import Body, Out

Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(description="Six digits.", examples=["123456"])]


class PhoneCodeCreate(Body):
    phone: Phone


class PhoneCodeOut(Out):
    """The answer, which is the same for every phone, registered or not."""

    expires_in: int = Field(description="Seconds the code is good for.")
    tries: int = Field(description="How many wrong tries the code allows.")
