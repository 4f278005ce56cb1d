"""Bodies of the calls about units and about turning one into an org of its own."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from app.core.i18n import gettext_noop
from app.core.text import Name
from app.web.schemas import Body, Out


def _no_slash(name: str) -> str:
    if "/" in name:
        raise ValueError(gettext_noop("不能含有分隔各级名称的“/”，请改用“／”"))
    return name


UnitName = Annotated[Name, AfterValidator(_no_slash), Field(description="Short names will do.")]
UnitKind = Annotated[
    Literal["branch", "general_branch", "department"],
    Field(description="`branch` 党支部, `general_branch` 党总支, `department` 部门.", examples=["branch"]),
]


class UnitCreate(Body):
    """A unit of the org's own tree; it goes behind its siblings."""

    name: UnitName
    kind: UnitKind = "branch"
    parent_id: UUID | None = Field(default=None, description="The unit it goes under; absent: directly under the org.")


class UnitUpdate(Body):
    """What to change; what is absent stays."""

    name: UnitName | None = None
    kind: UnitKind | None = None
    parent_id: UUID | None = Field(
        default=None, description="Move it under this unit; null: directly under the org. It goes behind its siblings."
    )
    position: int | None = Field(default=None, ge=0, le=100_000, description="Its place among its siblings, from 0.")

    @property
    def moves(self) -> bool:
        """Whether a parent was named; null names the org itself."""
        return "parent_id" in self.model_fields_set


class UnitOut(Out):
    id: UUID
    parent_id: UUID | None
    name: str
    kind: str
    position: int = Field(description="Its place among its siblings.")
    version: int
    path: str = Field(description="Names from the top down, joined by `/`.", examples=["机关党总支/第一党支部"])
