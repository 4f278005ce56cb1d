"""Bodies of the real-name verification calls."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.auth.verification.resident_id import IdNumber
from app.core.text import PersonName
from app.web.schemas import Body, Out


class ReviewItemOut(Out):
    id: UUID
    state: Literal["submitted", "under-review"]
    created_at: datetime


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
    state: Literal["started", "submitted", "under-review", "approved", "rejected"]
    reason: str | None = Field(
        default=None,
        description="Of a rejection: `declined`, `id-number-taken`, `already-verified`, or the reviewer's words.",
    )
    created_at: datetime
    decided_at: datetime | None = None
    redirect_url: str | None = Field(
        default=None, description="Alipay, in the answer that begins it: open this for the person."
    )
