"""Request and response bodies of mergers."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.approvals.reasons import TranslatedReason
from app.core.text import Reason
from app.members.links.schemas import NamedOrg
from app.orgs.unit_schemas import UnitName
from app.schema.approvals import State
from app.web.schemas import Body, Out


class MergerCreate(NamedOrg):
    """The org that takes this one in: by its id, or by its full name and region."""


class NewUnit(Body):
    """A unit that the org becomes."""

    name: UnitName
    kind: Literal["branch", "general-branch", "department"] = "branch"


class MergerAcceptance(Body):
    """Where the people and units come, and the preview on which the decision is based."""

    preview: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="`preview.version` of the merger. The answer is 409 `preview-stale` if it has changed."
    )
    unit_id: UUID | None = Field(default=None, description="A unit of this org; absent: the org itself.")
    new_unit: NewUnit | None = Field(
        default=None, description="The org becomes this new unit there; absent: its units come directly there."
    )


class MergerRefusal(Body):
    reason: Reason


class MergerOut(Out):
    id: UUID
    org_id: UUID
    org_name: str
    to_id: UUID
    to_name: str
    state: State
    requested_by: str | None = Field(description="Verified name of the main admin who asked.")
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")
    people: int | None = Field(description="How many people came; once it is accepted.")
    in_both: int | None = Field(description="How many of them were in both orgs; once it is accepted.")
    units: int | None = Field(description="How many units came; once it is accepted.")


class MergerPreviewOut(Out):
    """What comes with the org now. The version changes with the org's superior, its units and the receiving org's
    superiors, not with the number of people."""

    version: str = Field(examples=["0" * 32])
    units: int
    people: int | None = Field(description="Absent where reports withhold so small a number from the receiving org.")
    in_both: int | None = Field(
        description="How many of them are in both orgs; they keep their row in the receiving org and get the units. "
        "For the receiving org only."
    )
    clashing_units: list[str] | None = Field(
        description="Names that units directly under both orgs have; such units can come under a new unit only. For "
        "the receiving org only."
    )


class MergerDetailOut(MergerOut):
    preview: MergerPreviewOut | None = Field(description="While it waits.")
