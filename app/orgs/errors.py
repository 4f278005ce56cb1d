"""Errors of orgs and units."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, Forbidden, Problem


class UnknownRegion(Problem):
    status, slug = 422, "unknown-region"
    title = gettext_noop("没有这个地区代码")
    advice = gettext_noop("请用 GET /v1/regions 查找地区代码（GB/T 2260；全国为 000000）。")


class PartyMemberRequired(Forbidden):
    slug = "party-member-required"
    title = gettext_noop("党组织的学习组织须由党员管理")
    advice = gettext_noop("如为党员，请先在“我的”中声明党员身份；非党员请创建党外人士学习组织。")


class NameSuffixTyped(Problem):
    status, slug = 422, "name-suffix-typed"
    title = gettext_noop("名称不需要加“学习管理组”")
    advice = gettext_noop("请去掉“学习管理组”后缀。")


class NameKindMismatch(Problem):
    status, slug = 422, "name-kind-mismatch"
    title = gettext_noop("名称与组织类型不一致")
    advice = gettext_noop("党外人士学习组织一律命名为“行政机构名称+党外人士学习组织”，党组织的名称不得如此。")


class NameUnshowable(Problem):
    status, slug = 422, "name-unshowable"
    title = gettext_noop("名称含有控制字符或不可见字符")
    advice = gettext_noop("请删除这些字符后重新输入。")


class OrgHasSubordinates(Conflict):
    slug = "org-has-subordinates"
    title = gettext_noop("该组织还有下级组织")
    advice = gettext_noop("请先解除下级组织的认证，或将它们转移到其他上级。")


class ClosureOpen(Conflict):
    slug = "closure-open"
    title = gettext_noop("已申请关闭该组织")
    advice = gettext_noop("请等待主管理员答复，或先撤回申请。")


class ReopeningTooLate(Conflict):
    slug = "reopening-too-late"
    title = gettext_noop("该组织关闭已满 7 天，不能恢复")
    advice = gettext_noop("请创建新的学习组织，并重新申请认证。")


class OrgMerged(Conflict):
    slug = "org-merged"
    title = gettext_noop("该组织已并入其他组织，不能恢复")
    advice = gettext_noop("人员和支部已在合并后的组织中；需要时请由该组织将支部改设为学习组织。")


class UnitNameTaken(Conflict):
    slug = "unit-name-taken"
    title = gettext_noop("同级已有同名支部")
    advice = gettext_noop("请换一个名称，或使用已有的支部。")


class UnknownUnit(Problem):
    status, slug = 422, "unknown-unit"
    title = gettext_noop("本组织没有这个支部")
    advice = gettext_noop("请用 GET …/units 查看本组织的支部。")


class LastDayMismatch(Problem):
    status, slug = 422, "last-day-mismatch"
    title = gettext_noop("临时党支部须填最后一天，其他支部不填")
    advice = gettext_noop("请为临时党支部填写最后一天；其他类型请不要填写。")


class UnitUnderItself(Conflict):
    slug = "unit-under-itself"
    title = gettext_noop("支部不能移到自己或自己的下级之下")
    advice = gettext_noop("请选择另一个上级支部；如要对调，请先把下面的支部移出。")


class UnitTooDeep(Conflict):
    slug = "unit-too-deep"
    title = gettext_noop("支部层级过多")
    advice = gettext_noop("请移到更高的层级。")


class UnitHasUnits(Conflict):
    slug = "unit-has-units"
    title = gettext_noop("该支部下还有支部")
    advice = gettext_noop("请先移走或删除下面的支部。")


class UnitHasPeople(Conflict):
    slug = "unit-has-people"
    title = gettext_noop("该支部还有人员")
    advice = gettext_noop("请先移走人员，或用 ?move_people_to= 指定他们移入的支部。")


class UnitHasNoAdmins(Conflict):
    slug = "unit-has-no-admins"
    title = gettext_noop("支部不能设管理员")
    advice = gettext_noop("只有学习组织可以添加管理员：请在学习组织添加，或将该支部改为独立的学习组织。")


class SiblingNameTaken(Conflict):
    slug = "sibling-name-taken"
    title = gettext_noop("同一上级下已有同名组织")
    advice = gettext_noop("请其中一个组织先修改名称。")
