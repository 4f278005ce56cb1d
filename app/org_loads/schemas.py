"""Bodies of the calls about loads of orgs."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.members.imports.schemas import CodeOut, RefusalOut
from app.orgs.names import Kind
from app.web.schemas import Body, Out


class LoadState(StrEnum):
    """`uploaded` → `checking` → `ready` (or `refused`) → `confirmed` → `loading` → `done`; later `reversing` →
    `reversed`. From `confirmed` it returns to `ready` if the preview is out of date."""

    UPLOADED = "uploaded"
    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    LOADING = "loading"
    DONE = "done"
    REVERSING = "reversing"
    REVERSED = "reversed"
    CANCELED = "canceled"
    FAILED = "failed"


CANCELABLE_STATES = (
    LoadState.UPLOADED,
    LoadState.CHECKING,
    LoadState.READY,
    LoadState.CONFIRMED,
    LoadState.LOADING,
)
FINISHED_STATES = (
    LoadState.REFUSED,
    LoadState.DONE,
    LoadState.REVERSED,
    LoadState.CANCELED,
    LoadState.FAILED,
)


class LoadRowOutcome(StrEnum):
    """`create` is the expectation of the preview, and `created` the result. `present` orgs are left as they are."""

    CREATE = "create"
    CREATED = "created"
    PRESENT = "present"
    REFUSED = "refused"
    REVERSED = "reversed"


class OrgLoadOut(Out):
    """A load of orgs and its progress. No org is created before the load is confirmed."""

    id: UUID
    state: LoadState
    format: str
    file_name: str
    refusal: RefusalOut | None = Field(description="The reason why the whole sheet is refused.")
    preview: int = Field(
        description="The number of the preview; 0 before the first one. To confirm the load, send it back."
    )
    rows_total: int = Field(description="Rows of the sheet; 0 until the sheet is checked.")
    rows_done: int = Field(description="Rows checked so far or, while the load runs, rows that are finished.")
    to_create: int = Field(description="Rows whose orgs will be created.")
    created: int = Field(description="Orgs that the load has created.")
    present: int = Field(description="Rows whose orgs exist already. They are left as they are.")
    refused: int = Field(description="Rows with a problem; see the rows.")
    reversed: int = Field(description="Orgs of the load that a reversal has closed again.")
    created_at: datetime
    finished_at: datetime | None
    rows_kept_until: datetime = Field(
        description="Its rows are deleted then, and the counts stay. If it is not confirmed by then, it is cancelled."
    )


class OrgLoadRowOut(Out):
    """One row of the sheet and its outcome."""

    row_no: int = Field(description="The number of the row in the sheet.")
    outcome: LoadRowOutcome
    name: str | None
    kind: Kind | None
    region_code: str | None
    superior: str | None = Field(description="The superior as typed; null at the top.")
    superior_row: int | None = Field(description="The row of the superior, if it is in the sheet.")
    superior_id: UUID | None = Field(description="The superior, if it exists.")
    admin_name: str | None = Field(description="The person who is to be the main admin.")
    problems: list[CodeOut] = Field(description="The reasons why the row is refused.")
    warnings: list[CodeOut] = Field(description="Warnings; the org is loaded nevertheless.")
    related_rows: list[int] = Field(description="Other rows that the problem concerns, at most 20.")
    org_id: UUID | None = Field(description="The org of the row, if it exists or has been created.")


class OrgLoadConfirmation(Body):
    """The confirmation of a preview."""

    preview: int = Field(ge=1, le=1_000_000, description="The number of the preview that the operator has seen.")


class OrgLoadReversal(Body):
    """The reversal of a load."""

    only_unused: bool = Field(
        default=False,
        description="Close only the orgs that are not in use. If false, the call is refused while one of them is.",
    )
