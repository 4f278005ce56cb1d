"""Bodies of the calls that correct a preview."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.web.schemas import Body, Out


class SeenRow(Body):
    """The values of a row that a person saw before they changed them: those of `typed`, or else of the row itself."""

    name: str | None = Field(default=None, max_length=1000, examples=["解小东"])
    phone: str | None = Field(default=None, max_length=1000, examples=["138****8000"])
    unit: str | None = Field(default=None, max_length=1000, examples=["第一支部"])


class ImportRowUpdate(Body):
    """New values of a row of the preview, as a clerk types them into the sheet. A value that is left out stays."""

    name: str | None = Field(default=None, max_length=1000, examples=["解晓东"])
    phone: str | None = Field(default=None, max_length=1000, examples=["13800138000"])
    unit: str | None = Field(default=None, max_length=1000, examples=["机关党总支/第一党支部"])
    seen: SeenRow | None = Field(
        default=None,
        description="The values before. If a value that is to change is another one by now, the answer is 409 "
        "`import-row-edited`.",
    )


class NamedUnitOut(Out):
    """A unit as the sheet names it, and the number of the rows that do."""

    path: str = Field(examples=["研究院党支部"])
    rows: int = Field(examples=[49])


class CauseOut(Out):
    """A problem of refused rows."""

    code: str = Field(description="Stable code; `GET …/rows?problem=` lists the rows.", examples=["unit-unknown"])
    title: str
    rows: int = Field(description="The number of refused rows with the problem. A row can have several.")
    units: list[NamedUnitOut] = Field(
        description="The five units with the most rows, where the problem is the unit that a row names."
    )


class RowSummaryOut(Out):
    """The numbers of rows by their outcomes, and the causes of the refused ones, those of most rows first."""

    added: int
    changed: int
    moved: int
    unchanged: int
    undecided: int
    refused: int
    causes: list[CauseOut]


class UnitChoice(StrEnum):
    """What to do with a unit that the org does not have: create it, use another one, or leave its rows out."""

    CREATE = "create"
    USE = "use"
    SKIP = "skip"


class SimilarUnitOut(Out):
    id: UUID
    path: str = Field(examples=["机关党总支/第一党支部"])


class UnknownUnitOut(Out):
    """A unit that the sheet names and the org does not have."""

    path: str = Field(description="As the sheet names it.", examples=["研究院党支部"])
    rows: int = Field(description="The number of rows that name it.")
    similar: SimilarUnitOut | None = Field(description="The existing unit with the most similar name, if any is.")
    suggestion: UnitChoice | None = Field(
        description="`create` in an org without units; `use` if the similar unit is most probably the one meant."
    )
    choice: UnitChoice | None = Field(description="null: the option `unknown_units` of the import decides.")
    unit_id: UUID | None = Field(description="With `use`: the unit.")
    unit_path: str | None = Field(description="With `use`: the path of the unit; null if it was removed since.")


class UnitChoiceItem(Body):
    path: str = Field(min_length=1, max_length=1000, description="`path` of the list.", examples=["研究院党支部"])
    choice: UnitChoice | None = Field(description="null: as the option `unknown_units` of the import says.")
    unit_id: UUID | None = Field(default=None, description="With `use`: the unit.")


class UnitChoicesUpdate(Body):
    """Choices for units that the org does not have. Those that are not named keep their choices."""

    all: UnitChoice | None = Field(
        default=None,
        description="`create` or `skip`, for all units, in place of earlier choices. `items` come after it.",
        examples=["create"],
    )
    items: list[UnitChoiceItem] = Field(default_factory=list, max_length=1000)
    others: UnitChoice | None = Field(
        default=None,
        description="`create` or `skip`, for all units without a choice of their own.",
        examples=["create"],
    )
