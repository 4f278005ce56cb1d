"""Bodies of the real-name verification calls."""

import base64
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, PlainValidator, StringConstraints, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from app.auth.verification.pictures import MAX_PICTURE_BYTES, Side
from app.auth.verification.resident_id import IdNumber
from app.core.i18n import gettext_noop
from app.core.text import PersonName
from app.web.schemas import Body, Out


class ReviewItemOut(Out):
    id: UUID
    state: Literal["submitted", "under-review"]
    created_at: datetime
    proves_recovery: bool = Field(
        description="Whether the person proves their name to get their account back, and is not verified by it."
    )


ID_CARD = "id-card"
"""The method without a provider: an operator reviews the card."""


MAX_BASE64 = 4 * -(-MAX_PICTURE_BYTES // 3)
MAX_PROOF_BYTES = 2 * MAX_BASE64 + 64 * 1024
"""The largest body with a `VerificationCreate`: two pictures, and the rest."""


def _decode_picture(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        if not isinstance(text, str) or len(text) > MAX_BASE64:
            raise ValueError
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise PydanticCustomError("picture-encoding", gettext_noop("应为不超过 2 MB 的照片的 Base64")) from None


Picture = Annotated[
    bytes,
    PlainValidator(_decode_picture, json_schema_input_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "maxLength": MAX_BASE64}),
]
"""A picture in a body: the base64 (RFC 4648 §4) of a JPEG or PNG. Error messages never contain the value."""


class VerificationCreate(Body):
    """The name and the ID number that a person proves."""

    method: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$"),
        Field(description="One of `GET /v1/verification-methods`.", examples=["alipay"]),
    ]
    name: PersonName
    id_number: IdNumber
    front: Picture | None = Field(
        default=None, validate_default=True, description="Of an ID card, which needs it: the side with the face."
    )
    back: Picture | None = Field(
        default=None, validate_default=True, description="Of an ID card, which needs it: the side with the emblem."
    )

    @field_validator("front", "back")
    @classmethod
    def _require_of_card(cls, picture: bytes | None, info: ValidationInfo) -> bytes | None:
        method = info.data.get("method")
        if method == ID_CARD and picture is None:
            raise PydanticCustomError("missing", gettext_noop("缺少此项"))
        if method not in (ID_CARD, None) and picture is not None:
            raise PydanticCustomError("extra_forbidden", gettext_noop("不接受此项"))
        return picture

    @property
    def by_card(self) -> bool:
        return self.method == ID_CARD

    @property
    def pictures(self) -> dict[Side, bytes]:
        """Return the pictures of the card, as they were sent."""
        given: dict[Side, bytes | None] = {"front": self.front, "back": self.back}
        return {side: content for side, content in given.items() if content is not None}


class VerificationMethodOut(Out):
    method: str = Field(description="`id-card`, or a provider: `alipay`, `tencent`, or that of a plug-in.")
    reviewed: bool = Field(description="Whether an operator reviews it. Otherwise the result is there at once.")


class VerificationOut(Out):
    id: UUID
    method: str
    state: Literal["started", "submitted", "under-review", "approved", "rejected"]
    reason: str | None = Field(
        default=None,
        description="Of a rejection: `declined`, `identity-differs`, `id-number-taken`, `already-verified`, or the "
        "reviewer's words.",
    )
    created_at: datetime
    decided_at: datetime | None = None
    redirect_url: str | None = Field(
        default=None,
        description="Of a provider, in the answer that begins it: open this for the person within 30 minutes.",
    )
