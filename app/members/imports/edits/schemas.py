"""Bodies of the calls that correct a preview."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.web.schemas import Body, Out


class ImportRowUpdate(Body):
    """New values of a row of the preview, as a clerk types them into the sheet. A value that is left out stays."""

    name: str | None = Field(default=None, max_length=1000, examples=["解晓东"])
    phone: str | None = Field(default=None, max_length=1000, examples=["13800138000"])
    unit: str | None = Field(default=None, max_length=1000, examples=["机关党总支/第一党支部"])


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


class UnitChoiceItem(Body):
    path: str = Field(min_length=1, max_length=1000, description="`path` of the list.", examples=["研究院党支部"])
    choice: UnitChoice | None = Field(description="null: as the option `unknown_units` of the import says.")
    unit_id: UUID | None = Field(default=None, description="With `use`: the unit.")


class UnitChoicesUpdate(Body):
    """Choices for units that the org does not have. Those that are not named keep their choices."""

    items: list[UnitChoiceItem] = Field(default_factory=list, max_length=1000)
    others: UnitChoice | None = Field(
        default=None,
        description="`create` or `skip`, for all units without a choice of their own.",
        examples=["create"],
    )
