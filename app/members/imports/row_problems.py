"""The codes and titles of problems and warnings for one row of a sheet."""

from app.core.i18n import gettext, gettext_noop
from app.core.phones import REFUSALS as PHONE_REFUSALS
from app.members.names import MAX_NAME_LENGTH
from app.members.names import REFUSALS as NAME_REFUSALS

MAX_UNIT_DEPTH = 6
MAX_UNIT_NAME_LENGTH = 100

_TITLES: dict[str, str] = {
    **NAME_REFUSALS,
    **PHONE_REFUSALS,
    "unit-missing": gettext_noop("缺少支部名称"),
    "unit-too-long": gettext_noop("支部名称超过 {unit_length} 个字符"),
    "unit-too-deep": gettext_noop("支部层级超过 {unit_depth} 级"),
    "unit-unshowable": gettext_noop("支部名称含有控制字符或不可见字符"),
    "unit-formula": gettext_noop("支部名称不能是公式"),
    "unit-unknown": gettext_noop("本组织没有这个支部"),
    "unit-ambiguous": gettext_noop("有多个同名支部，请写明上级，如“党总支/支部”"),
    "party-unreadable": gettext_noop("“是否党员”请填“是”或“否”"),
    "party-contradiction": gettext_noop("同一手机号码的多行“是否党员”不一致"),
    "party-kind-unreadable": gettext_noop("“党员类型”请填“正式党员”“预备党员”或“非党员”"),
    "party-kind-contradiction": gettext_noop("“是否党员”与“党员类型”不一致"),
    "post-unreadable": gettext_noop("职务不能超过 50 个字符，不能是公式或含有不可见字符"),
    "post-contradiction": gettext_noop("同一人的多行“职务”或“党员类型”不一致"),
    "party-members-only": gettext_noop("党组织的学习组织不能添加非党员，请加入所在单位的“党外人士学习组织”"),
    "phone-has-two-names": gettext_noop("同一手机号码对应不同姓名"),
    "other-row-refused": gettext_noop("此人的另一行有错误，请一并修改"),
    # Warnings: the row is imported nevertheless.
    "row-hidden": gettext_noop("该行在表格中被隐藏"),
    "row-repeated": gettext_noop("与前面的行重复"),
}


def get_problem_title(code: str) -> str:
    """Return the title of a problem or warning in the language of the request."""
    return gettext(
        _TITLES[code], name_length=MAX_NAME_LENGTH, unit_length=MAX_UNIT_NAME_LENGTH, unit_depth=MAX_UNIT_DEPTH
    )
