"""Request and response bodies of units."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from app.core.i18n import gettext_noop
from app.core.names import normalize_name
from app.core.text import Name
from app.web.schemas import Body, Out


def _no_slash(name: str) -> str:
    if "/" in name:
        raise ValueError(gettext_noop("不能含有分隔各级名称的“/”，请改用“／”"))
    return name


UnitName = Annotated[
    Name, AfterValidator(normalize_name), AfterValidator(_no_slash), Field(description="Short names will do.")
]
UnitKind = Annotated[
    Literal["branch", "general-branch", "department", "party-group", "temporary-branch"],
    Field(
        description="`branch` 党支部, `general-branch` 党总支, `department` 部门, `party-group` 党小组, "
        "`temporary-branch` 临时党支部, which has a last day.",
        examples=["branch"],
    ),
]


class UnitCreate(Body):
    """A new unit of the org's tree. It is placed after its siblings."""

    name: UnitName
    kind: UnitKind = "branch"
    last_day: date | None = Field(default=None, description="The last day of a temporary branch, in Asia/Shanghai.")
    parent_id: UUID | None = Field(default=None, description="The parent unit; absent: directly under the org.")


class UnitUpdate(Body):
    """The fields to change. An absent field does not change."""

    name: UnitName | None = None
    kind: UnitKind | None = None
    last_day: date | None = Field(
        default=None, description="The last day of a temporary branch; a later one prolongs it, and absent keeps it."
    )
    parent_id: UUID | None = Field(
        default=None, description="Move the unit under this unit; null: directly under the org. It becomes the last."
    )
    position: int | None = Field(default=None, ge=0, le=100_000, description="Its position among its siblings, from 0.")

    @property
    def has_parent(self) -> bool:
        """Return whether the body contains the field `parent_id`. The value null is the org itself."""
        return "parent_id" in self.model_fields_set


class UnitOut(Out):
    id: UUID
    parent_id: UUID | None
    name: str
    kind: UnitKind
    position: int = Field(description="Its position among its siblings.")
    last_day: date | None = Field(description="The last day of a temporary branch, in Asia/Shanghai.")
    ended: bool = Field(description="A temporary branch past its last day. Its people stay in it and in the org.")
    version: int
    path: str = Field(description="Names from the top down, joined by `/`.", examples=["机关党总支/第一党支部"])
