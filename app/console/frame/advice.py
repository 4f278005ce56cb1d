"""What to do about a refusal, for people at a page: where the API's advice names calls and fields, what to press."""

import re

from app.console.frame.words import Words
from app.web.errors import Problem

# The rule that an advice of the API names at its end; people at a page do not know it by number.
_RULE = re.compile(r" ?\(S\d+(?:[,、] ?S\d+)*\)")


def advice_on(words: Words, problem: Problem | type[Problem]) -> str:
    """The advice in the reader's language."""
    said = _at_a_page(words).get(problem.slug)
    return _RULE.sub("", problem.advice_en if words.in_english else problem.advice_zh) if said is None else said


def _at_a_page(words: Words) -> dict[str, str]:
    again = words("请刷新页面后重试。")
    later = words("请稍后再试。")
    return {
        "bad-request": again,
        "conflict": again,
        "edited-meanwhile": words("请关闭后重新打开，看过现在的内容再修改。"),
        "export-not-ready": words("请等到状态为“已完成”再下载；未成功的请重新导出。"),
        "import-not-ready": words("请刷新页面，看导入现在到了哪一步。"),
        "invalid": words("请检查填写的内容后重试。"),
        "main-admin-only": words("请主管理员办理；主管理员无法办理时，可在“设置”中选择“主管理员无法履职”。"),
        "method-not-allowed": again,
        "name-kind-mismatch": words("党外人士学习组织命名为“行政机构名称+党外人士学习组织”；党组织的名称不得如此。"),
        "no-security-key": words("请先在“登录与密钥”中登记安全密钥。"),
        "party-member-required": words("如为党员，请先在手机上“我的”中声明党员身份；非党员请创建党外人士学习组织。"),
        "phone-exists": words("请选择“复制到本组织”，即可将此人加入另一支部。"),
        "real-name-required": words("请先在手机上“我的信息—个人实名认证”完成实名认证。"),
        "removals-need-consent": words("人数与预览不同了。请关闭后重新打开，核对人数后再确认。"),
        "security-key-needed": words("请在“登录与密钥”中使用安全密钥确认身份，然后重试。"),
        "security-key-refused": words("请重试，并使用已登记的那把密钥。"),
        "several-candidates": words("请核对后选择其中一人。"),
        "too-many-requests": later,
        "unavailable": later,
        "unit-has-people": words("请先移走人员，或选择他们移入的支部。"),
        "unknown-member": words("此人可能已被移除。请刷新通讯录后重试。"),
        "unknown-org": words("请向其学习管理员核对组织全称和所在地区；有重名时请其中一个先改名。"),
        "unknown-region": words("请输入地名，从列出的地区中选择。"),
        "unknown-unit": words("支部可能已被删除。请刷新页面后重新选择。"),
        "unsupported-media-type": again,
    }
