"""Bodies of the calls about imports."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.web.schemas import Body, Out


class ImportMode(StrEnum):
    ADD_AND_UPDATE = "add-and-update"
    REPLACE_ALL = "replace-all"
    REPLACE_UNIT = "replace-unit"


class UnitsOption(StrEnum):
    """What becomes of a person in several units whom the sheet does not name in all of them."""

    KEEP = "keep"
    REPLACE = "replace"


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
    UNDECIDED = "undecided"
    REFUSED = "refused"


class ChangeOutcome(StrEnum):
    CHANGED = "changed"
    MOVED = "moved"
    UNDECIDED = "undecided"
    LEFT = "left"


class RowDecision(StrEnum):
    ACCEPTED = "accepted"
    SEPARATE = "separate"


class ColumnField(StrEnum):
    """What a column is read as."""

    NAME = "name"
    PHONE = "phone"
    UNIT = "unit"
    PARTY = "party"
    PARTY_KIND = "party-kind"
    POST = "post"
    NUMBER = "number"


class ColumnOut(Out):
    column: str = Field(description="Its letters in the sheet.", examples=["B"])
    heading: str = Field(description="Its heading as typed.", examples=["联系电话"])
    field: ColumnField | None = Field(description="What it is read as; null if it is not read.")
    chosen: bool = Field(
        default=False,
        description="An admin chose it for this file. `PUT …/reading` forgets it unless it is sent again.",
    )


class RefusalOut(Out):
    """The reason why the whole sheet is refused."""

    code: str = Field(description="Stable code.", examples=["header-missing"])
    title: str
    detail: str
    columns: list[str] | None = Field(default=None, description="The columns that the refusal concerns.")
    sheets: list[str] | None = Field(default=None, description="The sheets that the refusal concerns.")
    limit: int | None = None
    row: int | None = Field(default=None, description="The row of the sheet at which the file is damaged.")
    headings: list[ColumnOut] | None = Field(
        default=None,
        description="The columns that were found, if one is missing or several could be it: `PUT …/reading` chooses.",
    )


class UnitSource(StrEnum):
    """Where the unit of a row comes from: its column, a label above the header, or the name of the sheet."""

    COLUMN = "column"
    LABEL = "label"
    SHEET_NAME = "sheet-name"


class SheetReadingOut(Out):
    """What was read of one sheet."""

    name: str | None = Field(description="Null in a CSV.")
    header_row: int = Field(description="The last row of the header.")
    rows: int = Field(description="The rows about people.")
    columns: list[ColumnOut]
    unit_from: UnitSource
    unit: str | None = Field(description="The unit of all its rows, if no column has units.")


class SheetNotReadOut(Out):
    name: str
    reason: str = Field(description="Stable code.", examples=["no-header"])
    title: str


class RowPlaceOut(Out):
    """A row of the file."""

    sheet: str | None = Field(description="Null if the file has one sheet only.")
    row_no: int = Field(description="The number of the row in its sheet, as a spreadsheet program shows it.")


class SkipCause(StrEnum):
    """The template's example, an empty row above the last row, a total, the header once more, or a note or
    signature."""

    EXAMPLE = "example"
    BLANK = "blank"
    TOTAL = "total"
    REPEATED_HEADER = "repeated-header"
    NOTE = "note"


class SkippedRowsOut(Out):
    """Rows that are not about a person."""

    cause: SkipCause
    title: str
    count: int
    rows: list[RowPlaceOut] = Field(description="The first 20 of them.")


class ReadingOut(Out):
    """How the file was read. `PUT …/reading` changes it."""

    sheets: list[SheetReadingOut]
    sheets_not_read: list[SheetNotReadOut]
    skipped: list[SkippedRowsOut]
    fill_units: bool = Field(description="An empty unit is that of the row above.")


class ImportRowCountsOut(Out):
    """All rows under the headers: `total` is the sum of the others."""

    total: int
    accepted: int
    undecided: int
    skipped: int
    refused: int


class ImportCountsOut(Out):
    """Counts of people; `refused` and `undecided` count rows. Before the state `done` they are the expected counts."""

    added: int = Field(description="New in the directory.")
    changed: int = Field(description="With a new name, party flag or post, and possibly new units.")
    moved: int = Field(description="With new units only.")
    left: int = Field(
        description="Removed from the directory by `replace-all`; with `replace-unit` taken out of the unit, and "
        "removed if they are in no other place."
    )
    unchanged: int = Field(description="Already in the directory as in the sheet.")
    undecided: int = Field(description="Rows that wait for a decision. Those without one are refused in the end.")
    refused: int = Field(description="Rows with a problem; see the rows.")


class ImportOut(Out):
    """An import and its progress. Nothing is written to the directory before the import is confirmed."""

    id: UUID
    state: ImportState
    mode: ImportMode
    unit_id: UUID | None = Field(description="The unit that `replace-unit` replaces, with the units under it.")
    units: UnitsOption
    unknown_units: UnknownUnits
    preview: int = Field(
        description="The number of the preview. Each change of the preview increments it; the confirmation carries it."
    )
    created_by: str | None = Field(description="The verified name of the admin who uploaded the sheet.")
    format: Literal["xlsx", "xls", "ods", "csv"]
    file_name: str
    refusal: RefusalOut | None
    rows: ImportRowCountsOut
    reading: ReadingOut | None = Field(description="Null until the sheet is checked.")
    rows_total: int = Field(description="Rows about people; 0 until the sheet is checked.")
    rows_done: int = Field(description="Rows checked so far.")
    counts: ImportCountsOut
    people: int = Field(
        description="People in the directory when the sheet was checked; with `replace-unit`, people in the unit."
    )
    new_units: list[str] = Field(description="Units that the import creates, in the order of the sheet.")
    leaving_needs_consent: bool = Field(
        description="It would remove many people: to confirm it, send their number as `leaving`."
    )
    created_at: datetime
    finished_at: datetime | None
    reversible_until: datetime | None = Field(description="The import can be undone until then; null: it cannot.")
    reversed_at: datetime | None = Field(description="When it was undone.")
    reversed_by: str | None = Field(description="The verified name of the admin who undid it.")
    rows_kept_until: datetime = Field(
        description="Its rows are deleted then, and the counts stay. If it is not confirmed by then, it is cancelled."
    )


_RowNumbers = Annotated[list[int], Field(default_factory=list, max_length=10_000)]


class ConfirmationUpdate(Body):
    """The confirmation of the preview that the admin has seen, and the decisions about its undecided rows."""

    preview: int = Field(ge=0, le=2**31 - 1, description="The number of the preview (`preview` of the import).")
    leaving: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="The number of people that leave, exactly as shown (`counts.left`). Required if "
        "`leaving_needs_consent` is true.",
    )
    accepted_rows: _RowNumbers = Field(
        description="Undecided rows whose changes are made, by their `id`: the person gets the name of the sheet, or "
        "is the person of that name with another phone."
    )
    separate_rows: _RowNumbers = Field(
        description="Undecided rows, by their `id`, about another person of the same name, who is added."
    )


class FieldChangeOut(Out):
    """One value of a person before and after the import."""

    field: str = Field(
        description="`name`, `phone` (masked), `units` (paths), `at-org`, `party`, `probationary`, `post`, `active`, "
        "or `in-directory`.",
        examples=["units"],
    )
    before: str | bool | list[str] | None = Field(examples=[["生产一部"]])
    after: str | bool | list[str] | None = Field(examples=[["机关第二党支部"]])


class ImportChangeOut(Out):
    """A person of the directory whom the import changes, moves or removes."""

    member_id: UUID
    name: str = Field(description="The name before the import.")
    outcome: ChangeOutcome
    row: RowPlaceOut | None = Field(description="The first row about the person; null: the person is not in the sheet.")
    changes: list[FieldChangeOut]


class CodeOut(Out):
    code: str = Field(description="Stable code.", examples=["phone-landline"])
    title: str


class TypedCellsOut(Out):
    """The cells of a refused row as typed. Whole phones and identity numbers are masked."""

    name: str
    phone: str
    unit: str
    party: str
    party_kind: str
    post: str


class ImportRowOut(Out):
    """One row of the sheet and its outcome."""

    id: int = Field(description="The number of the row in this import, for the calls about it.")
    sheet: str | None = Field(description="The name of its sheet; null if the file has one sheet only.")
    row_no: int = Field(description="The number of the row in its sheet, as a spreadsheet program shows it.")
    outcome: RowOutcome
    name: str | None
    phone: str | None = Field(
        description="Masked; null if it could not be read, and for a person without a mobile phone.",
        examples=["138****8000"],
    )
    unit: str | None
    typed: TypedCellsOut | None = Field(description="Only of a row that could not be read.")
    problems: list[CodeOut] = Field(description="All reasons why the row is refused.")
    warnings: list[CodeOut] = Field(description="Warnings; the row is imported nevertheless.")
    related_rows: list[RowPlaceOut] = Field(description="Other rows that the problem concerns.")
    member_id: UUID | None = Field(description="The member that the row is about, existing or new.")
    changes: list[FieldChangeOut] = Field(description="What becomes of the existing member, before and after.")
    decision: RowDecision | None = Field(description="The decision of the admin about an undecided row.")


class ColumnChoice(Body):
    """What the columns with a heading are read as."""

    heading: str = Field(min_length=1, max_length=50, description="As in `reading.sheets`.", examples=["联系方式"])
    column: str | None = Field(
        default=None,
        pattern="^[A-Z]{1,3}$",
        description="Only the column with these letters; needed where a heading occurs twice.",
    )
    field: ColumnField | None = Field(description="Null: the column is not read.")


class ImportReadingPut(Body):
    """How the file is to be read, in place of what was chosen before."""

    columns: list[ColumnChoice] = Field(
        default=[], max_length=100, description="Columns that are not named here are read by their headings."
    )
    sheets: list[Annotated[str, Field(max_length=100)]] | None = Field(
        default=None, max_length=50, description="The sheets to read; all with people if it is left out."
    )
    fill_units: bool = Field(default=False, description="An empty unit is that of the row above.")
