"""The codes and titles of problems and warnings for one row of a sheet."""

from app.core.i18n import gettext, gettext_noop
from app.core.phones import REFUSALS as PHONE_REFUSALS
from app.members.imports.parser.headings import HEADINGS
from app.members.names import MAX_NAME_LENGTH
from app.members.names import REFUSALS as NAME_REFUSALS

MAX_UNIT_DEPTH = 6
MAX_UNIT_NAME_LENGTH = 100

_TITLES: dict[str, str] = {
    **NAME_REFUSALS,
    **PHONE_REFUSALS,
    "name-damaged": gettext_noop("姓名中有字变成了“�”，请改成原来的字"),
    "name-line-break": gettext_noop("姓名中有换行，请一行只写一人"),
    "phone-too-short": gettext_noop("手机号码少 {value} 位"),
    "phone-too-long": gettext_noop("手机号码多 {value} 位"),
    "phone-id-number": gettext_noop("这像是身份证号，请填写手机号码"),
    "phone-two-numbers": gettext_noop("有两个号码，请只留一个手机号码"),
    "phone-negative": gettext_noop("手机号码是负数，请去掉前面的减号并核对"),
    "phone-letters": gettext_noop("手机号码中有字母（如 O、l），请改成数字"),
    "phone-unclear": gettext_noop("没有手机的人员请填“无手机”，有手机的请填写号码"),
    "phone-masked": gettext_noop("号码中间四位已隐去，请填写完整号码，或保留导出表格中的“编号”一列"),
    "cell-error": gettext_noop("“{value}”一格是表格软件的错误值，请改成实际内容"),
    "cell-date": gettext_noop("“{value}”一格已被表格软件改成日期，请设为文本格式后改回原来的文字"),
    "unit-missing": gettext_noop("缺少支部名称"),
    "unit-too-long": gettext_noop("支部名称超过 {unit_length} 个字符"),
    "unit-too-deep": gettext_noop("支部层级超过 {unit_depth} 级"),
    "unit-unshowable": gettext_noop("支部名称含有控制字符或不可见字符"),
    "unit-formula": gettext_noop("本组织没有这个支部，新支部的名称不能以 = + - @ 开头"),
    "unit-damaged": gettext_noop("支部名称中有字变成了“�”，请改成原来的字"),
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
    "unit-skipped": gettext_noop("按您的选择，此支部的人员不导入"),
    "unit-outside": gettext_noop("不是所选支部或其下级支部"),
    "person-has-two-phones": gettext_noop("同一人的多行手机号码不一致"),
    "phone-taken": gettext_noop("此手机号码属于另一人"),
    "phone-of-admin": gettext_noop("此人是学习管理员，手机号码不能通过导入更改"),
    "name-verified": gettext_noop("此手机号码的使用者已实名认证，姓名以实名为准"),
    # The row waits for the decision of the admin, and is refused without it.
    "name-differs": gettext_noop("通讯录中此手机号码的姓名不同，请确认是否改名"),
    "person-has-other-phone": gettext_noop("本支部已有同名的人，手机号码不同，请确认是否同一人"),
    # Warnings: the row is imported nevertheless.
    "row-hidden": gettext_noop("该行在表格中被隐藏"),
    "row-repeated": gettext_noop("与前面的行重复"),
    "unit-filled-down": gettext_noop("支部名称为空，按上一行填写"),
    "name-example": gettext_noop("已去掉姓名前的“示例：”"),
    "name-private-use": gettext_noop("姓名中有自造字，在其他电脑上可能显示为空白，请核对"),
    "name-question-mark": gettext_noop("姓名中有“?”，可能是没有保存下来的生僻字，请核对"),
    "name-unusual": gettext_noop("不像姓名，或其中有数字、符号，请核对"),
    "phone-remark": gettext_noop("手机号码后的说明没有导入"),
    "same-name-in-unit": gettext_noop("同一支部有同名的人，手机号码不同"),
}

SHEET_CODES = [
    "unit-formula",
    "unit-unknown",
    "unit-ambiguous",
    "unit-skipped",
    "unit-outside",
    "party-contradiction",
    "post-contradiction",
    "phone-has-two-names",
    "other-row-refused",
    "person-has-two-phones",
    "phone-masked",
    "phone-taken",
    "phone-of-admin",
    "name-verified",
    "name-differs",
    "person-has-other-phone",
    "row-repeated",
    "same-name-in-unit",
]
"""The codes that depend on other rows or on the directory. They are decided again with each preview."""


_CAUSES: dict[str, str] = {
    "phone-too-short": gettext_noop("手机号码少几位"),
    "phone-too-long": gettext_noop("手机号码多几位"),
    "cell-error": gettext_noop("有一格是表格软件的错误值，请改成实际内容"),
    "cell-date": gettext_noop("有一格已被表格软件改成日期，请设为文本格式后改回原来的文字"),
}


def get_cause_title(code: str) -> str:
    """Return the title of the problem that several rows have, in the language of the request."""
    return gettext(_CAUSES[code]) if code in _CAUSES else get_problem_title(code)


def get_problem_title(problem: str) -> str:
    """Return the title of a problem or warning in the language of the request.

    A problem is a code, which may have a value: `phone-too-short:1`, `cell-error:unit`.
    """
    code, _, value = problem.partition(":")
    return gettext(
        _TITLES[code],
        name_length=MAX_NAME_LENGTH,
        unit_length=MAX_UNIT_NAME_LENGTH,
        unit_depth=MAX_UNIT_DEPTH,
        value=gettext(HEADINGS[value]) if value in HEADINGS else value,
    )
