"""Response bodies of the inbox."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.database.paging import Page
from app.web.schemas import Out

Kind = Literal[
    "application",
    "change-request",
    "recovery",
    "recovery-offer",
    "transfer",
    "admin-invitation",
    "promotion",
    "link-request",
    "person-transfer",
    "group-transfer",
    "closure",
    "merger",
    "join-request",
    "removal-request",
]


class ActionOut(Out):
    """A call with which the caller decides a request."""

    method: Literal["PUT", "DELETE"]
    href: str


class InboxEntryOut(Out):
    """A request that waits for the caller's decision."""

    kind: Kind = Field(
        description="`recovery`: another admin asks to replace the caller as main admin; `recovery-offer`: the "
        "superior or the platform operator offers to. Withdrawing it objects."
    )
    id: UUID
    org_id: UUID | None = Field(description="The org that the caller acts for; absent where it is about themself.")
    org_name: str | None
    subject: str = Field(
        description="Whom it is from: the name of the org or, for a request to link, to join or to be removed, of the "
        "person that asks. Where the org's admins need a security key, only the first character of a name is shown "
        "until one is proved."
    )
    detail: str | None = Field(
        description="What it is about: the new name, the kind of change, the unit, or the number of people."
    )
    at: datetime
    href: str = Field(description="Where it is read.")
    actions: dict[str, ActionOut] = Field(description="What can be answered, by name.")


class InboxOut(Page[InboxEntryOut]):
    """The requests that wait for the caller's decision, the newest first, and the number of each kind."""

    counts: dict[Kind, int] = Field(description="How many wait, by kind; a kind of which none does is absent.")
    total: int = Field(description="How many wait in all.")
