"""Bodies of the calls that undo an import."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.web.schemas import Body, Out


class BlockedReason(StrEnum):
    """Why the import is not undone for a person: edited since the import, an admin now, or another person has the
    phone."""

    EDITED_SINCE = "edited-since"
    IS_ADMIN = "is-admin"
    PHONE_TAKEN = "phone-taken"


class BlockedPersonOut(Out):
    """A person who stays as they are when the import is undone, and why."""

    member_id: UUID
    name: str
    reason: BlockedReason
    title: str = Field(description="The reason as text.", examples=["导入之后又被修改"])


class ReversalOut(Out):
    """What undoing an import does, or has done."""

    people: int = Field(description="People who get back what they had. Those whom the import added are removed.")
    blocked: int = Field(description="People who stay as they are; see the list.")


class ReversalUpdate(Body):
    """The undoing of an import."""

    partial: bool = Field(
        default=False, description="Undo it also if some people were edited since: they stay as they are."
    )
