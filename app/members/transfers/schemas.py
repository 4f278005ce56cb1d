"""Bodies of the calls about transfers of people, and about moving a unit's people."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.approvals.reasons import TranslatedReason
from app.core.text import Reason
from app.members.links.schemas import NamedOrg
from app.members.schemas import UnitIds
from app.schema.approvals import State
from app.web.schemas import Body, Out


class PersonTransferCreate(NamedOrg):
    """The org that the person goes to: by its id, or by its full name and region."""


class PersonTransferOut(Out):
    """A transfer of a person from one org to another. While it waits, the other org sees the person's name and whether
    they are in the party. It gets the phone when it accepts."""

    id: UUID
    direction: Literal["out", "in"] = Field(
        description="Whether the person leaves this org (`out`) or comes to it (`in`)."
    )
    from_name: str
    to_name: str
    name: str | None = Field(description="The person's name, while it waits.")
    party: bool | None = Field(description="Whether they are in the party, while it waits.")
    member_id: UUID | None = Field(
        description="The row of the person in the directory of this org, where there is one."
    )
    state: State
    requested_by: str | None = Field(description="Verified name of the admin who made the request.")
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")


class PersonTransferAcceptance(Body):
    """The units of the person from now on."""

    unit_ids: UnitIds = Field(default_factory=list)


class PersonTransferRefusal(Body):
    reason: Reason


class MoveCreate(Body):
    """All members of one unit become members of another unit, and no longer of the first. Each of them stays a member
    of the other units that they belong to."""

    from_unit_id: UUID
    units_below: bool = Field(default=False, description="Also the members of the units under it.")
    to_unit_id: UUID | None = Field(description="null: at the org itself.")


class MoveOut(Out):
    people: int = Field(description="How many people moved.")
