"""Bodies of the calls about members."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from app.core.i18n import gettext_noop
from app.core.phones import Phone
from app.core.text import PersonName, SearchText
from app.exports.schemas import ExportFormat
from app.members.names import MemberName
from app.web.schemas import Body, Out


def remove_duplicates(ids: list[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))


UnitIds = Annotated[
    list[UUID],
    AfterValidator(remove_duplicates),
    Field(max_length=50, description="The units of the person. Without any, the person is at the org itself."),
]


Post = Annotated[PersonName, Field(description="The person's post (职务) in the org.", examples=["支部书记"])]
_PROBATIONARY = "A probationary party member, who is in the party."


class InactiveReason(StrEnum):
    """Why a row is 未激活."""

    NEVER_REGISTERED = "never-registered"
    NAME_MISMATCH = "name-mismatch"
    PHONE_MISMATCH = "phone-mismatch"
    UNLINKED = "unlinked"
    ALREADY_IN_DIRECTORY = "already-in-directory"
    NO_PHONE = "no-phone"
    BLOCKED = "blocked"
    PHONE_RECYCLED = "phone-recycled"


_NOT_IN_PARTY = gettext_noop("预备党员是党员，party 不能为 false")


class MemberCreate(Body):
    """A person to add by hand."""

    name: MemberName
    phone: Phone | None = None
    no_phone: bool = Field(
        default=False,
        description="The person has no mobile phone: the row is never active, and nothing is matched to it.",
    )
    unit_ids: UnitIds = Field(default_factory=list)
    party: bool | None = Field(
        default=None, description="Whether they are in the party; absent: as the org's kind says."
    )
    probationary: bool = Field(default=False, description=_PROBATIONARY)
    post: Post | None = None

    @model_validator(mode="after")
    def _require_phone_or_no_phone(self) -> Self:
        if (self.phone is None) != self.no_phone:
            raise ValueError(gettext_noop("请填写 phone；没有手机的人员请只填 no_phone: true"))
        return self

    @model_validator(mode="after")
    def _require_party(self) -> Self:
        if self.probationary and self.party is False:
            raise ValueError(_NOT_IN_PARTY)
        return self


class MemberUpdate(Body):
    """The fields to change. An absent field does not change."""

    name: MemberName | None = None
    phone: Phone | None = None
    no_phone: Literal[True] | None = Field(
        default=None, description="The person has no mobile phone: the number is removed, and the row becomes inactive."
    )
    party: bool | None = None
    probationary: bool | None = Field(default=None, description=_PROBATIONARY)
    post: Post | None = Field(default=None, description="The post (职务); null removes it.")

    @model_validator(mode="after")
    def _refuse_phone_with_no_phone(self) -> Self:
        if self.phone is not None and self.no_phone:
            raise ValueError(gettext_noop("phone 与 no_phone 不能同时填写"))
        return self

    @model_validator(mode="after")
    def _require_party(self) -> Self:
        if self.probationary and self.party is False:
            raise ValueError(_NOT_IN_PARTY)
        return self

    @property
    def has_post(self) -> bool:
        """Return whether the body contains the field `post`. If its value is null, the member's post is removed."""
        return "post" in self.model_fields_set


class MemberUnitsPut(Body):
    """The units of the person from now on. An admin also stays at the org itself."""

    unit_ids: UnitIds
    at_org: bool = Field(default=False, description="Also at the org itself; always so where `unit_ids` is empty.")


class CopyCreate(Body):
    """The unit to copy the person into (复制到本组织)."""

    unit_id: UUID


class MemberOrder(StrEnum):
    """The order of a list. `POSITION`: by the place in the unit of the filter; those without one follow by name."""

    ADDED = "added"
    NAME = "name"
    POSITION = "position"


class MemberExportCreate(Body):
    """The people to export, by the filters of the list, and the format of the file."""

    format: ExportFormat = ExportFormat.XLSX
    phones: Literal["masked", "full"] = Field(
        default="masked", description="`full`: whole numbers, which writes an audit entry."
    )
    q: SearchText | None = None
    unit_id: UUID | None = None
    units_below: bool = False
    at_org: bool | None = None
    active: bool | None = None
    party: bool | None = None
    verified: bool | None = None
    order: MemberOrder | None = Field(
        default=None,
        description="As in the list. Without it: with `unit_id` by the place in the unit (书记 first), else by name.",
    )

    @model_validator(mode="after")
    def _require_unit_for_positions(self) -> Self:
        if self.order is MemberOrder.POSITION and self.unit_id is None:
            raise ValueError(gettext_noop("按支部内顺序排列时须指定支部"))
        return self


class MemberUnitOut(Out):
    id: UUID
    name: str
    position: int | None = Field(description="The person's place in the unit, from 1; null: by name, after the others.")


class PositionPut(Body):
    """The person's place in the unit."""

    position: int | None = Field(
        ge=1, le=9999, description="From 1, for the secretary (书记) for example; null: by name, after the others."
    )


class MemberOut(Out):
    """A person's row in the directory. The phone is masked. Another call shows the whole phone; each such call has an
    audit entry."""

    id: UUID
    name: str
    phone: str | None = Field(description="Masked; null for a person without a mobile phone.", examples=["138****8000"])
    party: bool
    probationary: bool = Field(description=_PROBATIONARY)
    post: str | None = Field(description="The person's post (职务) in the org.", examples=["支部书记"])
    units: list[MemberUnitOut] = Field(description="The units of the person.")
    at_org: bool = Field(description="Whether the person is at the org itself, in its management group.")
    active: bool = Field(description="Whether a registered user is linked to the row.")
    inactive_reason: InactiveReason | None = Field(
        description="`never-registered`; `name-mismatch`: the user with this phone is verified by another name; "
        "`phone-mismatch`: a user with another phone requests the link; `unlinked`: an admin has undone the link; "
        "`already-in-directory`: the user with this phone is linked to another row of this directory; "
        "`no-phone`: the person has no mobile phone; `blocked`: the person does not want to be linked to this org."
    )
    link_request_id: UUID | None = Field(description="A request to be linked that waits and fits.")
    verified: bool = Field(description="Whether the active person's real name is verified.")
    version: int
    created_at: datetime


class RemovedMemberOut(Out):
    """A person who was removed less than thirty days ago and can be restored."""

    id: UUID
    name: str
    phone: str | None = Field(description="Masked; null for a person without a mobile phone.", examples=["138****8000"])
    removed_at: datetime


class PhoneSearchCreate(Body):
    """The whole phone number of the person to find."""

    phone: Phone


class PhoneSearchOut(Out):
    items: list[MemberOut] = Field(description="The person who has the phone in this org, or an empty list.")


class PhoneDisclosureOut(Out):
    phone: str = Field(description="The whole number. Showing it has written an audit entry.", examples=["13800138000"])
