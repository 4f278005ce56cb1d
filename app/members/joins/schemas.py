"""Bodies of the calls about requests to join an org."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from app.approvals.reasons import TranslatedReason
from app.core.i18n import gettext_noop
from app.core.text import Name, Reason, Token
from app.members.names import MemberName
from app.members.schemas import UnitIds
from app.orgs.names import Kind
from app.orgs.schemas import RegionCode
from app.schema.approvals import State
from app.web.schemas import Body, Out


class JoinLinkCreate(Body):
    """A link with which people request to join."""

    unit_id: UUID | None = Field(default=None, description="The unit that they ask to join; absent: the org.")
    expires_in_hours: int = Field(default=24 * 30, ge=1, le=24 * 365, description="Hours until it expires.")
    max_uses: int = Field(default=100, ge=1, le=10_000, description="How many requests can use it.")


class JoinLinkOut(Out):
    id: UUID
    link: str = Field(description="Give this link to the people who are to join. The QR code contains the same link.")
    token: str = Field(description="The secret in the link. A request sends it as `link_token`.")
    unit_id: UUID | None
    unit_name: str | None
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    created_at: datetime


class JoinLinkCard(Out):
    """The org or the unit that a link leads to, as a user with a valid token sees it."""

    org_id: UUID
    org_name: str
    org_kind: Kind
    org_region: str
    unit_name: str | None
    expires_at: datetime


class JoinRequestCreate(Body):
    """The org to join: by the token of a link, by its id, or by its full name and region. It need not be visible to the
    caller."""

    link_token: Token | None = None
    org_id: UUID | None = None
    org_name: Name | None = None
    region_code: RegionCode | None = None
    name: MemberName | None = Field(
        default=None, description="The caller's name. Needed only if no real name is verified; else it is not used."
    )

    @model_validator(mode="after")
    def _require_one_org(self) -> Self:
        by_name = self.org_name is not None and self.region_code is not None
        halves = (self.org_name is None) != (self.region_code is None)
        if halves or [self.link_token is not None, self.org_id is not None, by_name].count(True) != 1:
            raise ValueError(gettext_noop("请填 link_token 或 org_id，或同时填 org_name 和 region_code"))
        return self


class JoinRequestOut(Out):
    """A request that the caller has made."""

    id: UUID
    org_id: UUID
    org_name: str
    unit_name: str | None = Field(description="The unit, if it was requested with the link of a unit.")
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")


class ReceivedJoinRequestOut(Out):
    """A request of a user to join the directory, as the org's admins see it. The phone is not shown before the request
    is accepted."""

    id: UUID
    name: str = Field(description="The verified name, or else the name that the user gives.")
    verified: bool = Field(description="Whether the real name is verified.")
    party_member: bool = Field(description="Whether the user has declared to be in the party.")
    unit_id: UUID | None = Field(description="The unit whose link was used.")
    unit_name: str | None
    requested_at: datetime
    expires_at: datetime


class JoinAcceptance(Body):
    """The units of the new member."""

    unit_ids: UnitIds | None = Field(
        default=None,
        description="The units. Absent: the unit of the link, or else the org itself, as for an empty list.",
    )


class JoinRefusal(Body):
    reason: Reason
