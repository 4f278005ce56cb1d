"""Bodies of the calls about imports."""

from datetime import datetime
from enum import StrEnum
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


SETTLED = frozenset({ImportState.REFUSED, ImportState.DONE, ImportState.CANCELED, ImportState.FAILED})
AWAITING_PEOPLE = SETTLED | {ImportState.READY}


class RowOutcome(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    MOVED = "moved"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class RefusalOut(Out):
    """Why the whole sheet was refused."""

    code: str = Field(description="Stable code.", examples=["header-missing"])
    title: str
    detail: str
    columns: list[str] | None = Field(default=None, description="The columns it is about.")
    sheets: list[str] | None = Field(default=None, description="The sheets it is about.")
    limit: int | None = None


class ImportCountsOut(Out):
    """People, but rows where they are refused. Before `done` it is what would happen."""

    added: int = Field(description="New in the directory.")
    changed: int = Field(description="With another name or party flag than before; perhaps moved as well.")
    moved: int = Field(description="Members of other units than before.")
    left: int = Field(description="Taken out of the directory, by `replace-all`.")
    unchanged: int = Field(description="Already so.")
    refused: int = Field(description="Rows with a problem; see the rows.")


class ImportOut(Out):
    """An import and how far it is. Nothing is written to the directory before it is confirmed."""

    id: UUID
    state: ImportState
    mode: ImportMode
    unknown_units: UnknownUnits
    format: str
    file_name: str
    refusal: RefusalOut | None
    rows_total: int = Field(description="Rows of the sheet; 0 until it is checked.")
    rows_done: int = Field(description="Rows looked at so far.")
    counts: ImportCountsOut
    people: int = Field(description="People in the directory when the sheet was checked.")
    new_units: list[str] = Field(description="Units that it makes, in the order of the sheet.")
    leaving_needs_consent: bool = Field(
        description="It would remove many people: to confirm it, send their number as `leaving`."
    )
    created_at: datetime
    finished_at: datetime | None
    rows_kept_until: datetime = Field(
        description="Its rows are deleted then, and the counts stay. If it is not confirmed by then, it is cancelled."
    )


class ConfirmationUpdate(Body):
    """Go on with what the preview shows."""

    leaving: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="Where `leaving_needs_consent`: how many people may be removed, `counts.left`.",
    )


class CodeOut(Out):
    code: str = Field(description="Stable code.", examples=["phone-landline"])
    title: str


class ImportRowOut(Out):
    """What becomes of one row of the sheet."""

    row_no: int = Field(description="Its number in the sheet.")
    outcome: RowOutcome
    name: str | None
    phone: str | None = Field(description="Masked; absent where it could not be read.", examples=["138****8000"])
    unit: str | None
    problems: list[CodeOut] = Field(description="Why it is refused.")
    warnings: list[CodeOut] = Field(description="Worth knowing; the row is taken all the same.")
    related_rows: list[int] = Field(description="Other rows that the problem is about.")
    member_id: UUID | None = Field(description="Whose row it is, or will be.")
