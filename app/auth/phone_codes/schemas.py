"""Bodies of the phone code calls."""

from typing import Annotated

from pydantic import Field, StringConstraints

from app.core.phones import Phone
from app.web.schemas import Body, Out

_HANDLE = "kF2vG6n3QeXw0bYd8mRz1A"

Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(description="Six digits.", examples=["123456"])]

Handle = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{20,100}$"),
    Field(description="The `handle` of the answer with which the code was requested.", examples=[_HANDLE]),
]


class PhoneCodeCreate(Body):
    phone: Phone


class PhoneCodeOut(Out):
    """The answer, which has the same form for every phone, registered or not."""

    handle: str = Field(description="Send it with the code. The code is worth nothing without it.", examples=[_HANDLE])
    expires_in: int = Field(description="Seconds the code is good for.")
    tries: int = Field(description="How many wrong tries the code allows.")
