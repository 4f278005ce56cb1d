"""What is refused about orgs and units, and what to do instead."""

from app.web.errors import Conflict, Forbidden, Problem


class UnknownRegion(Problem):
    status, slug = 422, "unknown-region"
    zh, en = "没有这个地区代码", "No region has this code"
    advice_zh = "请用 GET /v1/regions 查找地区代码(GB/T 2260;全国为 000000)。"
    advice_en = "Look the code up at GET /v1/regions (GB/T 2260; the nation is 000000)."


class PartyMemberRequired(Forbidden):
    slug = "party-member-required"
    zh, en = "党组织的学习组织须由党员管理", "Only a party member administers a party organisation"
    advice_zh = "如为党员,请先在“我的”中声明党员身份;非党员请创建党外人士学习组织(S2、S17)。"
    advice_en = "A party member first says so (PATCH /v1/me); others create an outside_party organisation (S2, S17)."


class NameSuffixTyped(Problem):
    status, slug = 422, "name-suffix-typed"
    zh, en = "名称不需要加“学习管理组”", "The suffix 学习管理组 is not typed"
    advice_zh, advice_en = "请去掉“学习管理组”后缀(S3)。", "Leave the suffix 学习管理组 off (S3)."


class NameKindMismatch(Problem):
    status, slug = 422, "name-kind-mismatch"
    zh, en = "名称与组织类型不一致", "The name and the kind disagree"
    advice_zh = "党外人士学习组织一律命名为“行政机构名称+党外人士学习组织”,党组织的名称不得如此(S3)。"
    advice_en = (
        "An outside_party organisation is named 〈administrative body〉+党外人士学习组织, a party one never (S3)."
    )


class NameUnshowable(Problem):
    status, slug = 422, "name-unshowable"
    zh, en = "名称含有控制字符或不可见字符", "The name holds control or invisible characters"
    advice_zh, advice_en = "请删除这些字符后重新输入。", "Type the name again without them."


class OrgHasSubordinates(Conflict):
    slug = "org-has-subordinates"
    zh, en = "该组织还有下级组织", "The organisation still has subordinates"
    advice_zh = "请先解除下级组织的认证,或将它们转移到其他上级(S20)。"
    advice_en = "Release its subordinates first, or have them transferred to another superior (S20)."


class UnitNameTaken(Conflict):
    slug = "unit-name-taken"
    zh, en = "同级已有同名支部", "A unit of this name is already there"
    advice_zh, advice_en = "请换一个名称,或使用已有的支部。", "Choose another name, or use the unit that is there."


class UnknownUnit(Problem):
    status, slug = 422, "unknown-unit"
    zh, en = "本组织没有这个支部", "The organisation has no such unit"
    advice_zh, advice_en = "请用 GET …/units 查看本组织的支部。", "See the organisation's units at GET …/units."


class UnitUnderItself(Conflict):
    slug = "unit-under-itself"
    zh, en = "支部不能移到自己或自己的下级之下", "A unit cannot stand under itself"
    advice_zh = "请选择另一个上级支部;如要对调,请先把下面的支部移出。"
    advice_en = "Choose another unit to move it under; to swap two, first move the lower one out."


class UnitTooDeep(Conflict):
    slug = "unit-too-deep"
    zh, en = "支部层级过多", "Units nest too deep"
    advice_zh, advice_en = "请移到更高的层级。", "Move it further up."


class UnitHasUnits(Conflict):
    slug = "unit-has-units"
    zh, en = "该支部下还有支部", "Other units stand under this one"
    advice_zh, advice_en = "请先移走或删除下面的支部。", "Move or remove the units under it first."


class UnitHasPeople(Conflict):
    slug = "unit-has-people"
    zh, en = "该支部还有人员", "People still stand in this unit"
    advice_zh = "请先移走人员,或用 ?move_people_to= 指定他们移入的支部。"
    advice_en = "Move them first, or name the unit that they move to with ?move_people_to=."


class UnitHasNoAdmins(Conflict):
    slug = "unit-has-no-admins"
    zh, en = "支部不能设管理员", "A unit has no admins"
    advice_zh = "只有学习组织可以添加管理员:请在学习组织添加,或将该支部改为独立的学习组织(S11)。"
    advice_en = (
        "Only organisations have admins: add them to the organisation, or turn the unit into one of its own (S11)."
    )


class SiblingNameTaken(Conflict):
    slug = "sibling-name-taken"
    zh, en = "同一上级下已有同名组织", "The superior has a subordinate of this name already"
    advice_zh, advice_en = "请其中一个组织先改名(S2)。", "Have one of the two renamed first (S2)."
