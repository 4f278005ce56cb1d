"""Bodies of the calls about transfers of people, and about moving a unit's people."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from app.approvals.reasons import TranslatedReason
from app.core.text import Reason
from app.members.links.schemas import NamedOrg
from app.members.schemas import UnitIds, remove_duplicates
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


_MemberIds = Annotated[list[UUID], AfterValidator(remove_duplicates), Field(min_length=1, max_length=500)]


class MoveCreate(Body):
    """Members of one unit become members of another unit, and no longer of the first. With `units_below` they leave the
    units under it too. Each of them stays a member of the other units that they belong to, and an admin also stays at
    the org itself."""

    from_unit_id: UUID | None = Field(
        description="null: the org itself, and with `units_below` all of its units as well.",
    )
    units_below: bool = Field(default=False, description="Also the members of the units under it.")
    member_ids: _MemberIds | None = Field(default=None, description="Only these members; absent: all of them.")
    to_unit_id: UUID | None = Field(default=None, description="null: at the org itself.")


class MoveGroupOut(Out):
    from_unit_ids: list[UUID | None] = Field(
        description="The units that these people leave; null is the org itself. Empty: they left none."
    )
    people: int


class MoveOut(Out):
    people: int = Field(description="How many people moved.")
    moved_at: datetime | None = Field(description="When; with it, the move can be undone for a day.")
    groups: list[MoveGroupOut] = Field(description="Where they came from, the largest group first; at most 100 groups.")


class PreviewedMemberOut(Out):
    """A person whom the move would change. In the lists null is the org itself."""

    id: UUID
    name: str
    before_unit_ids: list[UUID | None] = Field(description="Where the person is now.")
    after_unit_ids: list[UUID | None] = Field(description="Where the person would be.")


class MovePreviewOut(Out):
    people: int = Field(description="How many people would move.")
    groups: list[MoveGroupOut] = Field(
        description="Which units they would leave, the largest group first; at most 100 groups."
    )
    members: list[PreviewedMemberOut] = Field(description="Each person by name; at most the first 500.")


class MoveUndo(Body):
    """The move to undo, by its time and target."""

    moved_at: datetime
    to_unit_id: UUID | None = Field(default=None, description="The target of the move; null: the org itself.")
    member_ids: _MemberIds | None = Field(default=None, description="Only these members; absent: all of them.")

    def is_recent(self, now: datetime) -> bool:
        """Return whether the move is at most a day old."""
        return now - timedelta(days=1) <= self.moved_at <= now


class MoveUndoOut(Out):
    people: int = Field(description="How many people are back in the units that they had left.")
