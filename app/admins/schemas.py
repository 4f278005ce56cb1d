"""Request and response bodies of admins, admin invitations and change requests."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.approvals.reasons import TranslatedReason
from app.core.phones import Phone
from app.core.text import Reason
from app.orgs.schemas import AdviceOut, OrgName
from app.schema.approvals import State
from app.web.schemas import Body, Out


class AdminOut(Out):
    """A learning administrator of the org."""

    user_id: UUID
    name: str | None = Field(description="Verified name.")
    main: bool = Field(description="Whether they are the main admin.")
    since: datetime


class AdminInvitationOut(Out):
    """An invitation as the org's admins see it. It reveals nothing about the owner of the phone."""

    id: UUID
    phone: str | None = Field(description="Masked; stored only while the answer waits.", examples=["138****8000"])
    state: State
    recovery: bool = Field(
        description="Whether the superior, or for an org without one the platform operator, offers a person to become "
        "the main admin in the place of the present one. The present main admin objects by withdrawing it."
    )
    requested_by: str | None = Field(description="Verified name of the main admin who invited; null for a recovery.")
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: Literal["name-differs"] | None = Field(
        description="Why it was declined: it was addressed to a member of the org, and the user who has the phone now "
        "has another verified name. Correct the phone or the name of the member, then offer again."
    )


class ReceivedAdminInvitationOut(Out):
    """An invitation as its invitee sees it."""

    id: UUID
    org_id: UUID
    org_name: str
    region: str
    recovery: bool = Field(description="Whether accepting it makes the caller the main admin.")
    superior_name: str | None = Field(description="The superior that offers a recovery.")
    requested_by: str | None = Field(description="Verified name of the main admin who invites.")
    expires_at: datetime


class AdminshipOut(Out):
    """The caller's new role in the org after the caller has accepted the invitation."""

    org_id: UUID
    org_name: str
    advice: list[AdviceOut]


class RenameCreate(Body):
    kind: Literal["rename"]
    name: OrgName
    reason: Reason | None = None


class HandOverCreate(Body):
    """Make another admin the main admin. Only the main admin can request this."""

    kind: Literal["hand-over"]
    main_admin_id: UUID = Field(description="The `user_id` of an admin of this org.")
    reason: Reason | None = None


class RecoveryCreate(Body):
    """Replace a main admin who is no longer available. Any other admin can request it."""

    kind: Literal["recovery"]
    main_admin_id: UUID | None = Field(default=None, description="The `user_id` of an admin; absent: the caller.")
    reason: Reason | None = None


ChangeRequestCreate = Annotated[RenameCreate | HandOverCreate | RecoveryCreate, Field(discriminator="kind")]


class RecoveryOfferCreate(Body):
    """Name a person who is to be the main admin of an org in which no admin is left."""

    phone: Phone = Field(description="The phone of the person. The answer is the same for every phone.")
    reason: Reason


class OperatorRecoveryOfferCreate(RecoveryOfferCreate):
    org_id: UUID = Field(description="An org without a superior.")


class RecoveryOfferOut(Out):
    """An offer to be the main admin of a subordinate, as the superior or the operator sees it."""

    id: UUID
    org_id: UUID
    org_name: str
    phone: str | None = Field(description="Masked; stored only while the answer waits.", examples=["138****8000"])
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class NamedAdminOut(Out):
    """An admin whom a request names: the only data about this admin that the decider sees."""

    name: str | None = Field(description="Verified name.")
    verified: bool


class ChangeRequestOut(Out):
    """A change request, as the org that has made it and the superior that decides it see it."""

    id: UUID
    org_id: UUID
    org_name: str
    kind: Literal["rename", "hand-over", "recovery"]
    state: State
    name_before: str | None
    name_after: str | None
    main_admin_before: NamedAdminOut | None
    main_admin_after: NamedAdminOut | None
    requested_by: NamedAdminOut
    reason: str | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    refusal: TranslatedReason = Field(description="Why it was declined.")


class ChangeRefusalCreate(Body):
    reason: Reason
