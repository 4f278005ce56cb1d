"""Bodies of the calls about imports."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.web.schemas import Body, Out


class ImportMode(StrEnum):
    ADD_AND_UPDATE = "add-and-update"
    REPLACE_ALL = "replace-all"


class UnknownUnits(StrEnum):
    REFUSE = "refuse"
    CREATE = "create"


class ImportState(StrEnum):
    """`uploaded` → `checking` → `ready` (or `refused`) → `confirmed` → `merging` → `done`."""

    UPLOADED = "uploaded"
    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    MERGING = "merging"
    DONE = "done"
    CANCELED = "canceled"
    FAILED = "failed"


FINISHED_STATES = frozenset({ImportState.REFUSED, ImportState.DONE, ImportState.CANCELED, ImportState.FAILED})
STATES_WITHOUT_JOB = FINISHED_STATES | {ImportState.READY}


class RowOutcome(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    MOVED = "moved"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class RefusalOut(Out):
    """The reason why the whole sheet is refused."""

    code: str = Field(description="Stable code.", examples=["header-missing"])
    title: str
    detail: str
    columns: list[str] | None = Field(default=None, description="The columns that the refusal concerns.")
    sheets: list[str] | None = Field(default=None, description="The sheets that the refusal concerns.")
    limit: int | None = None


class ImportCountsOut(Out):
    """Counts of people; `refused` counts rows. Before the state `done` they are the expected counts."""

    added: int = Field(description="New in the directory.")
    changed: int = Field(description="With a new name, party flag or post, and possibly new units.")
    moved: int = Field(description="With new units only.")
    left: int = Field(description="Removed from the directory by `replace-all`.")
    unchanged: int = Field(description="Already in the directory as in the sheet.")
    refused: int = Field(description="Rows with a problem; see the rows.")


class ImportOut(Out):
    """An import and its progress. Nothing is written to the directory before the import is confirmed."""

    id: UUID
    state: ImportState
    mode: ImportMode
    unknown_units: UnknownUnits
    format: Literal["xlsx", "xls", "ods", "csv"]
    file_name: str
    refusal: RefusalOut | None
    rows_total: int = Field(description="Rows of the sheet; 0 until the sheet is checked.")
    rows_done: int = Field(description="Rows checked so far.")
    counts: ImportCountsOut
    people: int = Field(description="People in the directory when the sheet was checked.")
    new_units: list[str] = Field(description="Units that the import creates, in the order of the sheet.")
    leaving_needs_consent: bool = Field(
        description="It would remove many people: to confirm it, send their number as `leaving`."
    )
    created_at: datetime
    finished_at: datetime | None
    rows_kept_until: datetime = Field(
        description="Its rows are deleted then, and the counts stay. If it is not confirmed by then, it is cancelled."
    )


class ConfirmationUpdate(Body):
    """The confirmation of the preview."""

    leaving: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="If `leaving_needs_consent` is true: the number of people that may be removed (`counts.left`).",
    )


class CodeOut(Out):
    code: str = Field(description="Stable code.", examples=["phone-landline"])
    title: str


class ImportRowOut(Out):
    """One row of the sheet and its outcome."""

    row_no: int = Field(description="The number of the row in the sheet.")
    outcome: RowOutcome
    name: str | None
    phone: str | None = Field(
        description="Masked; null if it could not be read, and for a person without a mobile phone.",
        examples=["138****8000"],
    )
    unit: str | None
    problems: list[CodeOut] = Field(description="The reasons why the row is refused.")
    warnings: list[CodeOut] = Field(description="Warnings; the row is imported nevertheless.")
    related_rows: list[int] = Field(description="Other rows that the problem concerns.")
    member_id: UUID | None = Field(description="The member that the row is about, existing or new.")
