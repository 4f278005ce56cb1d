"""What is refused about members, and what to do instead."""

from app.web.errors import Conflict


class PhoneExists(Conflict):
    """Carries `member`, who has the phone, and `copy`, the call that copies them into a unit (S8)."""

    slug = "phone-exists"
    zh, en = "该手机号码已经存在", "The phone number is already in this organisation"
    advice_zh = "请选择“复制到本组织”:按 copy 所示调用,即可将此人加入另一支部(S8)。"
    advice_en = "Copy this person into the unit instead, by the call that `copy` shows (S8)."


class PhoneOfAnotherMember(Conflict):
    """Somebody becomes an admin, and a row that is not theirs has their phone. Says nothing about that row."""

    slug = "phone-of-another-member"
    zh, en = (
        "本组织通讯录中，您的手机号登记在另一名成员名下",
        "Another member of the org has your phone number",
    )
    advice_zh = "请组织管理员先在通讯录中更正或移除该成员的手机号，然后再次接受。"
    advice_en = "Ask an admin to correct the phone of that member, or to remove the member, then accept again."


class PartyMembersOnly(Conflict):
    """Carries `org_kind`, the kind of organisation that the person belongs in (S17)."""

    slug = "party-members-only"
    zh, en = "党组织的学习组织不能添加非党员", "A party organisation takes party members only"
    advice_zh = "非党员请加入所在单位的“党外人士学习组织”(S17)。"
    advice_en = "People outside the party belong in an organisation 〈administrative body〉+党外人士学习组织 (S17)."

    def __init__(self) -> None:
        super().__init__(org_kind="outside_party")


class MemberIsAdmin(Conflict):
    slug = "member-is-admin"
    zh, en = "该成员是本组织的管理员", "The member is an admin of this organisation"
    advice_zh = "请先由主管理员取消其管理员身份,再删除或更换手机号码。"
    advice_en = "The main admin first removes them as admin; then remove the member or change the phone."
