"""Request and response bodies of orgs, regions and name checks."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from app.authz.access import OrgCard
from app.core.characters import replace_doubles
from app.core.names import normalize_name
from app.core.text import contains_refused_characters
from app.orgs.names import Kind
from app.orgs.regions import Level, format_region_path, get_region_level
from app.web.schemas import Body, Out

OrgStatus = Literal["live", "closed"]
OrgRole = Literal["main-admin", "admin", "member"]


def _normalize_name(name: str) -> str:
    # A line break or another character without a visible form has its own error (`list_name_errors`).
    return name if contains_refused_characters(replace_doubles(name)) else normalize_name(name)


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
    AfterValidator(_normalize_name),
    Field(
        description="The party organisation's full name, without 学习管理组.",
        examples=["中共江苏省委宣传部机关委员会"],
    ),
]


class RegionOut(Out):
    code: str = Field(examples=["320102"])
    name: str = Field(examples=["玄武区"])
    parent_code: str | None
    level: Level


class AdviceOut(Out):
    """A hint. Advice never refuses a call: the call has taken effect."""

    code: str = Field(
        description="`name-short`, `name-long`, `name-exists`, `levels-differ`; of an application or a transfer "
        "`superior-lower`, `superior-outside-party`.",
        examples=["name-long"],
    )
    title: str
    proposed_name: str | None = Field(default=None, description="A shorter name, if there is one.")
    org_id: UUID | None = Field(
        default=None,
        description="With `name-exists`: the org of that name. Send it to `POST /v1/me/join-requests` to ask to join.",
    )


class NameErrorOut(Out):
    code: str = Field(
        description="The `type` slug of the error that creating the org would return.", examples=["name-suffix-typed"]
    )
    title: str
    detail: str


class NameCheckCreate(Body):
    """A name to check. Nothing is created."""

    name: OrgName
    region_code: RegionCode
    kind: Kind = Kind.PARTY


class NameCheckOut(Out):
    """`errors` forbid the name; `advice` does not."""

    errors: list[NameErrorOut]
    advice: list[AdviceOut]


class OrgCreate(Body):
    """A new org, whose main admin is the caller. A user cannot create an org for another user."""

    name: OrgName
    region_code: RegionCode
    kind: Kind = Field(default=Kind.PARTY, description="`outside-party` for people outside the party.")


class OrgUpdate(Body):
    """The fields to change. An absent field does not change. The present name is accepted unchanged, even if it ends
    with 学习管理组."""

    name: OrgName | None = None
    region_code: RegionCode | None = None


class OrgOut(Out):
    """The card of an org."""

    id: UUID
    name: str
    region_code: str
    kind: Kind
    status: OrgStatus
    version: int
    created_at: datetime
    closed_at: datetime | None
    main_admin_id: UUID | None = Field(
        description="The `user_id` of the main admin. Null for an org of an old system until the named person accepts."
    )
    superior_id: UUID | None = Field(description="The org it is certified under, if any.")
    level: Level
    region: str = Field(description="The region's names from the province down.", examples=["江苏省南京市玄武区"])

    @classmethod
    def from_card(cls, card: OrgCard, **more: object) -> Self:
        """Return the body for a card. `more` are the further fields of a subclass."""
        fields = card._asdict() | {
            "level": get_region_level(card.region_code),
            "region": format_region_path(card.region_code),
        }
        return cls.model_validate(fields | more)


class OrgCreated(OrgOut):
    advice: list[AdviceOut]


class OrgUpdated(OrgOut):
    """The org after the edit. If the org has a superior, a new name takes effect only after the superior approves
    it."""

    advice: list[AdviceOut]
    change_request_id: UUID | None = Field(
        default=None, description="The change request for the new name; absent where the name has changed already."
    )


class OrgFoundOut(Out):
    """An org in a search result."""

    id: UUID
    name: str
    kind: Kind
    status: OrgStatus
    region_code: str
    region: str = Field(description="The region's names from the province down.", examples=["江苏省南京市玄武区"])
    level: Level
    superior_id: UUID | None
    superior_name: str | None


class MyOrgOut(Out):
    """An org that the caller administers or is a member of."""

    id: UUID
    name: str
    kind: Kind
    status: OrgStatus
    roles: list[OrgRole] = Field(description="What the caller is in the org.")
