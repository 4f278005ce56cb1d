"""Bodies of the calls about transfers of several people."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from app.approvals.reasons import TranslatedReason
from app.core.text import Reason
from app.members.imports.schemas import CodeOut, RowPlaceOut, SheetNotReadOut, SkippedRowsOut
from app.members.links.schemas import NamedOrg
from app.members.schemas import UnitIds, remove_duplicates
from app.schema.approvals import State
from app.web.schemas import Body, Out

MAX_PEOPLE = 1000


class Obstacle(StrEnum):
    """Why a person is not transferred."""

    UNKNOWN = "unknown"
    """The directory of the requesting org has no such row."""
    LEFT = "left"
    """The person has left the requesting org since."""
    ADMIN = "admin"
    """The person is an admin of the requesting org."""
    NO_PARTY_MEMBER = "no-party-member"
    """The receiving org takes party members only."""
    TRANSFER_OPEN = "transfer-open"
    """Another transfer of the person waits."""
    ALREADY_THERE = "already-there"
    """The person is in the receiving org. Only that org sees this reason."""
    NOT_TAKEN = "not-taken"
    """The receiving org has not taken the person over. The requesting org sees no more."""


class GroupTransferCreate(NamedOrg):
    """The org that the people go to, by its id or by its full name and region, and the people."""

    member_ids: Annotated[list[UUID], AfterValidator(remove_duplicates)] = Field(
        min_length=1, max_length=MAX_PEOPLE, description="Rows of the directory of this org."
    )


class ExcludedPersonOut(Out):
    member_id: UUID
    name: str | None = Field(description="Absent if the directory has no such row.")
    obstacle: Obstacle = Field(description="Why the person cannot be transferred.")


class GroupTransferPreviewOut(Out):
    to_id: UUID
    to_name: str
    people: int = Field(description="How many of the people the request would name.")
    excluded: list[ExcludedPersonOut] = Field(description="The others, each with the reason.")


class GroupTransferOut(Out):
    """A transfer of several people from one org to another, as each of the two sees it."""

    id: UUID
    direction: Literal["out", "in"] = Field(description="Whether the people leave this org (`out`) or come (`in`).")
    from_name: str
    to_name: str
    people: int = Field(description="How many people the request names.")
    moved: int | None = Field(description="How many of them were transferred; once it is accepted.")
    state: State
    requested_by: str | None = Field(description="Verified name of the admin who made the request.")
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: TranslatedReason = Field(description="Why it was declined.")


class GroupTransferCreated(GroupTransferOut):
    excluded: list[ExcludedPersonOut] = Field(description="The people whom the request does not name, with the reason.")


class GroupTransferPersonOut(Out):
    """A person of the transfer. The receiving org sees the name and whether they are in the party while it waits, and
    no phone; it gets the rest when it accepts."""

    member_id: UUID | None = Field(description="The row in the directory of this org, where there is one.")
    name: str | None = Field(description="Absent for a person whom the receiving org has not taken over.")
    party: bool | None
    obstacle: Obstacle | None = Field(
        description="Why the person cannot be transferred now or, once it is accepted, was not transferred."
    )


class GroupTransferAcceptance(Body):
    """The units of these people from now on."""

    unit_ids: UnitIds = Field(default_factory=list)


class GroupTransferRefusal(Body):
    reason: Reason


class SheetPersonOut(Out):
    """A person of the directory whom a row of the sheet names."""

    row: RowPlaceOut
    member_id: UUID
    name: str = Field(description="The name in the directory.")
    hidden: bool = Field(description="The row is hidden in the sheet.")


class UnmatchedRowOut(Out):
    """A row of the sheet that names no person of the directory, or one whom a row before it names."""

    row: RowPlaceOut
    name: str | None = Field(description="The name in the sheet; null if it could not be read.")
    reasons: list[CodeOut] = Field(description="All reasons why the row names no person.")


class PeopleSheetOut(Out):
    """The people whom a sheet names. All rows under the headers are in one of the lists."""

    people: list[SheetPersonOut] = Field(description="In the order of the sheet, each person once.")
    unmatched: list[UnmatchedRowOut]
    skipped: list[SkippedRowsOut] = Field(description="Rows that are not about a person.")
    sheets_not_read: list[SheetNotReadOut]
