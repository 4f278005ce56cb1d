"""Errors of calls about members."""

from typing import Literal

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.members.schemas import MemberOut
from app.web.errors import Conflict


class CopyBody(BaseModel):
    """The body of the call."""

    unit_id: str = Field(description="Put the id of the unit here.")


class CopyCall(BaseModel):
    """The call that adds the existing member to a unit."""

    method: Literal["POST"]
    href: str
    body: CopyBody


class ExistingMember(BaseModel):
    """Extension members: the row that has the phone. Absent if another request removed the row at the same moment."""

    member: MemberOut | None = Field(default=None, description="The row that has the phone.")
    copy_call: CopyCall | None = Field(
        default=None,
        alias="copy",
        description="The call that adds the member to a unit: put the id of the unit into it.",
    )


class PhoneExists(Conflict):
    """A member of the org has the phone. `copy` is the call that adds this member to a unit."""

    slug, extension = "phone-exists", ExistingMember
    title = gettext_noop("该手机号码已经存在")
    advice = gettext_noop("请选择“复制到本组织”：按 copy 所示调用，即可将此人加入另一支部。")


class MemberWithoutPhone(Conflict):
    """The person has no mobile phone. So the row has no number to show, and an offer cannot reach an account through
    it."""

    slug = "member-without-phone"
    title = gettext_noop("此人没有手机号码")
    advice = gettext_noop("请先在通讯录中为此人填写手机号码。")


class PhoneOfAnotherMember(Conflict):
    """A user who becomes an admin has the phone that the org's directory has for another person. The problem reveals
    nothing about that person's row."""

    slug = "phone-of-another-member"
    title = gettext_noop("本组织通讯录中，您的手机号码登记在另一人名下")
    advice = gettext_noop("请组织管理员先在通讯录中更正该人员的手机号码或移除该人员，然后再次接受。")


class OtherKindOfOrg(BaseModel):
    """Extension members: the kind of org that takes the person."""

    org_kind: Literal["outside-party"] = Field(
        description="The kind of org that takes people outside the party.", examples=["outside-party"]
    )


class PartyMembersOnly(Conflict):
    """A party org accepts only party members (S17)."""

    slug, extension = "party-members-only", OtherKindOfOrg
    title = gettext_noop("党组织的学习组织不能添加非党员")
    advice = gettext_noop("非党员请加入所在单位的“党外人士学习组织”。")

    def __init__(self) -> None:
        super().__init__(org_kind="outside-party")


class MemberIsAdmin(Conflict):
    slug = "member-is-admin"
    title = gettext_noop("此人是本组织的管理员")
    advice = gettext_noop("请先由主管理员移除其管理员身份，再移除此人或更换手机号码。")
