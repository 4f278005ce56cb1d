"""Bodies of the orgs, units, regions and name-check calls."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from app.orgs.names import Kind
from app.orgs.regions import Level
from app.schemas import Body, Out
from app.text import Name

RegionCode = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{6}([0-9]{3})?$"),
    Field(
        description="GB/T 2260 code of six digits, or nine for a township; the nation is 000000.", examples=["320102"]
    ),
]
OrgName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Field(
        description="The party organisation's full name, without 学习管理组 (S3).",
        examples=["中共江苏省委宣传部机关委员会"],
    ),
]
UnitKind = Annotated[
    str,
    StringConstraints(pattern="^(branch|general_branch|department)$"),
    Field(description="`branch` 党支部, `general_branch` 党总支, `department` 部门.", examples=["branch"]),
]


class RegionOut(Out):
    code: str = Field(examples=["320102"])
    name: str = Field(examples=["玄武区"])
    parent_code: str | None
    level: Level


class AdviceOut(Out):
    """Advice never refuses: the call did what was asked."""

    code: str = Field(description="`name-long`, `name-exists`, `levels-differ`.", examples=["name-long"])
    title: str
    proposed_name: str | None = Field(default=None, description="A shorter name, where one suggests itself.")


class NameErrorOut(Out):
    code: str = Field(
        description="The `type` slug that creating would be refused with.", examples=["name-suffix-typed"]
    )
    title: str
    detail: str


class NameCheckCreate(Body):
    """A name to try. Nothing is created (S3)."""

    name: OrgName
    region_code: RegionCode
    kind: Kind = Kind.PARTY


class NameCheckOut(Out):
    """`errors` would refuse the name; `advice` would not."""

    errors: list[NameErrorOut]
    advice: list[AdviceOut]


class OrgCreate(Body):
    """An org of the caller's own: nobody creates one for somebody else (S19)."""

    name: OrgName
    region_code: RegionCode
    kind: Kind = Field(default=Kind.PARTY, description="`outside_party` for people outside the party (S17).")


class OrgOut(Out):
    """An org's card."""

    id: UUID
    name: str
    region_code: str
    kind: Kind
    status: str = Field(description="`live` or `closed`.")
    version: int
    created_at: datetime
    closed_at: datetime | None
    main_admin_id: UUID
    superior_id: UUID | None = Field(description="The org it is certified under, if any.")
    level: Level
    region: str = Field(description="The region's names from the province down.", examples=["江苏省南京市玄武区"])


class OrgCreated(OrgOut):
    advice: list[AdviceOut]


class MyOrgOut(Out):
    """An org the caller administers or is a member of."""

    id: UUID
    name: str
    kind: Kind
    status: str
    roles: list[str] = Field(description="`main_admin`, `admin`, `member`.")


class UnitCreate(Body):
    """A unit of the org's own tree; short names will do (S10)."""

    name: Name
    kind: UnitKind = "branch"
    parent_id: UUID | None = Field(default=None, description="The unit it goes under; absent: directly under the org.")


class UnitOut(Out):
    id: UUID
    parent_id: UUID | None
    name: str
    kind: str
    path: str = Field(description="Names from the top down, joined by `/`.", examples=["机关党总支/第一党支部"])
