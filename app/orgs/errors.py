"""What is refused about orgs and units, and what to do instead."""

from app.errors import Conflict, Forbidden, Problem


class UnknownRegion(Problem):
    status, slug = 422, "unknown-region"
    zh, en = "没有这个地区代码", "No region has this code"
    advice_zh = "请用 GET /v1/regions 查找地区代码(GB/T 2260;全国为 000000)。"
    advice_en = "Look the code up at GET /v1/regions (GB/T 2260; the nation is 000000)."


class PartyMemberRequired(Forbidden):
    slug = "party-member-required"
    zh, en = "创建党组织的学习组织须为党员", "Only a party member creates a party organisation"
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


class UnitNameTaken(Conflict):
    slug = "unit-name-taken"
    zh, en = "同级已有同名支部", "A unit of this name is already there"
    advice_zh, advice_en = "请换一个名称,或使用已有的支部。", "Choose another name, or use the unit that is there."


class UnknownUnit(Problem):
    status, slug = 422, "unknown-unit"
    zh, en = "本组织没有这个支部", "The organisation has no such unit"
    advice_zh, advice_en = "请用 GET …/units 查看本组织的支部。", "See the organisation's units at GET …/units."


class UnitHasNoAdmins(Conflict):
    slug = "unit-has-no-admins"
    zh, en = "支部不能设管理员", "A unit has no admins"
    advice_zh = "只有学习组织可以添加管理员:请在学习组织添加,或将该支部改为独立的学习组织(S11)。"
    advice_en = (
        "Only organisations have admins: add them to the organisation, or turn the unit into one of its own (S11)."
    )
