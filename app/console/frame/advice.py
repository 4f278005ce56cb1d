"""Advice about a refusal for users of pages. It names buttons where the API's advice names calls and fields."""

from app.core.i18n import gettext, gettext_noop
from app.web.errors import Problem


def get_advice(problem: Problem | type[Problem]) -> str:
    """Return the advice in the reader's language."""
    return gettext(_AT_A_PAGE.get(problem.slug, problem.advice))


_AGAIN = gettext_noop("请刷新页面后重试。")
_LATER = gettext_noop("请稍后再试。")
_AT_A_PAGE = {
    "bad-request": _AGAIN,
    "conflict": _AGAIN,
    "edited-meanwhile": gettext_noop("请关闭后重新打开，查看最新内容后再修改。"),
    "export-not-ready": gettext_noop("请等到状态为“已完成”再下载；未成功的请重新导出。"),
    "import-edited-since": gettext_noop("这些人员不能撤销。可以只撤销其余人员。"),
    "import-not-ready": gettext_noop("请刷新页面，查看导入的最新进度。"),
    "import-row-edited": gettext_noop("这里显示的是最新内容，请核对后再修改。"),
    "invalid": gettext_noop("请检查填写的内容后重试。"),
    "main-admin-only": gettext_noop("请主管理员办理；主管理员无法履职时，可在“设置”中选择“主管理员无法履职”。"),
    "method-not-allowed": _AGAIN,
    "name-kind-mismatch": gettext_noop("党外人士学习组织命名为“行政机构名称+党外人士学习组织”；党组织的名称不得如此。"),
    "no-security-key": gettext_noop("请先在“登录与密钥”中登记安全密钥。"),
    "party-member-required": gettext_noop("如为党员，请先在手机“我的”中声明党员身份；非党员请创建党外人士学习组织。"),
    "not-your-review": gettext_noop("请重新打开后再决定；其他平台管理员打开后由其决定。"),
    "phone-exists": gettext_noop("请选择“复制到本组织”，即可将此人加入另一支部。"),
    "real-name-required": gettext_noop("请先在手机上“我的信息—个人实名认证”完成实名认证。"),
    "removals-need-consent": gettext_noop("人数与预览时不同。请核对现在的名单和人数，再确认。"),
    "row-not-undecided": gettext_noop("请刷新页面后重新选择。"),
    "security-key-needed": gettext_noop("请在“登录与密钥”中使用安全密钥确认身份，然后重试。"),
    "security-key-refused": gettext_noop("请重试，并使用已登记的那把密钥。"),
    "several-candidates": gettext_noop("请核对后选择其中一人。"),
    "too-many-requests": _LATER,
    "unavailable": _LATER,
    "unit-has-people": gettext_noop("请先移走人员，或选择他们移入的支部。"),
    "unknown-member": gettext_noop("此人可能已被移除。请刷新通讯录后重试。"),
    "unknown-org": gettext_noop("请向其学习管理员核对组织全称和所在地区；如有重名，请其中一个组织先修改名称。"),
    "unknown-region": gettext_noop("请输入地名，从列出的地区中选择。"),
    "unknown-unit": gettext_noop("支部可能已被删除。请刷新页面后重新选择。"),
    "unsupported-media-type": _AGAIN,
}
