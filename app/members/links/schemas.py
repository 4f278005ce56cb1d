"""Bodies of the calls about link requests."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from app.approvals.reasons import TranslatedReason
from app.core.i18n import gettext_noop
from app.core.text import Name, Reason
from app.members.schemas import MemberOut
from app.orgs.schemas import RegionCode
from app.schema.approvals import State
from app.web.schemas import Body, Out


class NamedOrg(Body):
    """The org, named by its id, or by its full name and region. The caller need not be able to see the org."""

    org_id: UUID | None = None
    org_name: Name | None = None
    region_code: RegionCode | None = None

    @model_validator(mode="after")
    def _require_id_or_name(self) -> Self:
        named = self.org_name is not None and self.region_code is not None
        if (self.org_id is None) != named or (self.org_name is None) != (self.region_code is None):
            raise ValueError(gettext_noop("请填 org_id，或同时填 org_name 和 region_code"))
        return self


class LinkRequestCreate(NamedOrg):
    """The org in whose directory the caller has a row."""


class LinkRequestOut(Out):
    """A link request that the caller has made. It waits even if no row of the directory matches it."""

    id: UUID
    org_name: str
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")


class ReceivedLinkRequestOut(Out):
    """A verified user states that a row of the directory is theirs. The phones of the user and of the row are not
    shown."""

    id: UUID
    name: str = Field(description="Verified name of the person who has made the request.")
    requested_at: datetime
    expires_at: datetime
    candidates: list[MemberOut] = Field(
        description="The inactive rows that can be meant: those of that name, or with the phone of that person."
    )


class LinkRequestAcceptance(Body):
    """The row to link. It may be left out if there is only one candidate."""

    member_id: UUID | None = None


class LinkRefusal(Body):
    reason: Reason
