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
    """The receiving org, named by its id, or by its full name and region."""


class NewUnit(Body):
    """A new unit of the receiving org. The people and units of the other org are placed in it."""

    name: UnitName
    kind: Literal["branch", "general-branch", "department"] = "branch"


class MergerAcceptance(Body):
    """The place to which the people and units move, and the version of the preview on which the decision is based."""

    preview: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="`preview.version` of the merger. The answer is 409 `preview-stale` if it has changed."
    )
    unit_id: UUID | None = Field(default=None, description="A unit of this org; absent: the org itself.")
    new_unit: NewUnit | None = Field(
        default=None,
        description="The new unit, under `unit_id` or directly under this org, into which the other org's people and "
        "units move; absent: they move directly to the place that `unit_id` names.",
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
    requested_by: str | None = Field(description="The verified name of the main admin who requested the merger.")
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="The reason for which the merger was declined.")
    people: int | None = Field(description="How many people moved; null until the merger is accepted.")
    in_both: int | None = Field(
        description="How many of these people were in both orgs before; null until the merger is accepted."
    )
    units: int | None = Field(description="How many units moved; null until the merger is accepted.")


class MergerPreviewOut(Out):
    """The people and units that would move if the merger were accepted now. The version changes with the org's
    superior, its units and the receiving org's superiors, but not with the number of people."""

    version: str = Field(examples=["0" * 32])
    units: int
    people: int | None = Field(description="Absent where reports withhold so small a number from the receiving org.")
    in_both: int | None = Field(
        description="How many of the people are in both orgs; they keep their member row in the receiving org and are "
        "added to the units that move. Only the receiving org gets this number."
    )
    clashing_units: list[str] | None = Field(
        description="The names that units directly under both orgs have; such units can only move into a new unit. "
        "Only the receiving org gets this list."
    )


class MergerDetailOut(MergerOut):
    preview: MergerPreviewOut | None = Field(description="The preview of a waiting merger; null after its end.")
