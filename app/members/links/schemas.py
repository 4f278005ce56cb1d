"""Bodies of the calls about link requests."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from app.approvals.reasons import ShownReason
from app.core.i18n import gettext_noop
from app.core.text import Name, Reason
from app.members.schemas import MemberOut
from app.orgs.schemas import RegionCode
from app.schema.approvals import State
from app.web.schemas import Body, Out


class NamedOrg(Body):
    """An org that the caller need not see: by its id, or by its full name and region as its admin tells them."""

    org_id: UUID | None = None
    org_name: Name | None = None
    region_code: RegionCode | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        named = self.org_name is not None and self.region_code is not None
        if (self.org_id is None) != named or (self.org_name is None) != (self.region_code is None):
            raise ValueError(gettext_noop("请填 org_id，或同时填 org_name 和 region_code"))
        return self


class LinkRequestCreate(NamedOrg):
    """The org in whose directory the caller is."""


class LinkRequestOut(Out):
    """A request of the caller's own. It says nothing of what the directory holds: it waits there all the same."""

    id: UUID
    org_name: str
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: ShownReason = Field(description="Why it was declined.")


class ReceivedLinkRequestOut(Out):
    """A verified user says that a row of the directory is theirs. Their phone is not shown, nor any other."""

    id: UUID
    name: str = Field(description="The asker's verified name.")
    requested_at: datetime
    expires_at: datetime
    candidates: list[MemberOut] = Field(
        description="The inactive rows that it can be: of that name, or with the phone that the asker holds."
    )


class LinkAcceptance(Body):
    """Which row it is; may be left out where there is one candidate only."""

    member_id: UUID | None = None


class LinkRefusal(Body):
    reason: Reason
