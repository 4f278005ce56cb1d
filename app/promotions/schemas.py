"""Request and response bodies of promotions."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.admins.invitees import Invitee
from app.orgs.schemas import OrgName, RegionCode
from app.schema.approvals import State
from app.web.schemas import Body, Out


class PromotionCreate(Body):
    """Offer that a unit become an org of its own, certified under this one."""

    unit_id: UUID
    name: OrgName
    region_code: RegionCode | None = Field(default=None, description="Absent: this org's region.")
    to: Invitee = Field(description="Who is to accept it and be its main admin.")


class PromotionOut(Out):
    """An offer as the org's admins see it."""

    id: UUID
    unit_id: UUID
    unit_name: str
    name: str
    region_code: str
    phone: str | None = Field(description="Masked; stored only while the offer waits.", examples=["138****8000"])
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: Literal["name-differs"] | None = Field(
        description="Why it was declined: it was made to a member of the org, and the user who has the phone now has "
        "another verified name. Correct the phone or the name of the member, then offer again."
    )
    new_org_id: UUID | None


class OfferedPromotionOut(Out):
    """An offer as its invitee sees it."""

    id: UUID
    org_id: UUID
    org_name: str
    unit_name: str
    name: str = Field(description="What the new org will be called.")
    region_code: str
    region: str
    people: int = Field(description="How many people move with the unit and the units under it.")
    requested_by: str | None = Field(description="Verified name of the admin who offers it.")
    expires_at: datetime
