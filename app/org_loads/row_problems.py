"""The codes and titles of problems and warnings for one row of a sheet of orgs."""

from app.core.i18n import gettext, gettext_noop
from app.core.phones import REFUSALS as PHONE_REFUSALS

MAX_NAME_LENGTH = 100
MAX_NUMBER_LENGTH = 64
MAX_LEVELS = 30

_TITLES: dict[str, str] = {
    **PHONE_REFUSALS,
    "org-name-missing": gettext_noop("缺少组织名称"),
    "org-name-too-long": gettext_noop("组织名称超过 {name_length} 个字符"),
    "name-unshowable": gettext_noop("名称含有控制字符或不可见字符"),
    "org-name-formula": gettext_noop("组织名称不能是公式"),
    "name-kind-mismatch": gettext_noop("名称与组织类型不一致"),
    "kind-unreadable": gettext_noop("“组织类型”请填“党组织”或“党外人士学习组织”"),
    "region-missing": gettext_noop("缺少所在地区代码"),
    "unknown-region": gettext_noop("没有这个地区代码"),
    "number-unreadable": gettext_noop("编号不能超过 {number_length} 个字符，不能含有不可见字符"),
    "number-doubled": gettext_noop("编号与另一行相同"),
    "superior-unreadable": gettext_noop("“上级组织”含有控制字符或不可见字符，或过长"),
    "superior-unknown": gettext_noop("表中和系统中都没有这个上级组织"),
    "superior-ambiguous": gettext_noop("有多个同名的上级组织，请填写编号，或从上到下写全，如“省委/市委”"),
    "superior-circle": gettext_noop("上下级关系形成循环，或超过 {levels} 级"),
    "superior-refused": gettext_noop("上级组织所在的行有错误，请一并修改"),
    "superior-gone": gettext_noop("上级组织已关闭，或没有载入"),
    "sibling-doubled": gettext_noop("同一上级下另有一行同名（没有上级的，按地区判断）"),
    "sibling-taken": gettext_noop("同一上级下已有同名组织"),
    "admin-incomplete": gettext_noop("主管理员的姓名和手机号码须同时填写"),
    "admin-name-unreadable": gettext_noop("主管理员姓名有误：最多 50 个字符，不能是公式，不能含有不可见字符"),
    # Warnings: the row is loaded nevertheless.
    "row-hidden": gettext_noop("该行在表格中被隐藏"),
    "admin-missing": gettext_noop("没有填写主管理员：载入后由上级或平台提名"),
    "name-exists": gettext_noop("该地区已有同名学习组织"),
    "present-differs": gettext_noop("该组织已存在，其地区或类型与表中不同，不作修改"),
    "superior-lower": gettext_noop("上级所在地区的层级低于下级：请核对上下级方向。"),
    "superior-outside-party": gettext_noop("上级是党外人士学习组织，下级是党组织：请核对上级。"),
}


def get_problem_title(code: str) -> str:
    """Return the title of a problem or warning in the language of the request."""
    return gettext(_TITLES[code], name_length=MAX_NAME_LENGTH, number_length=MAX_NUMBER_LENGTH, levels=MAX_LEVELS)
