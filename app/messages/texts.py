"""The text of a message in the language of the reader."""

from collections.abc import Mapping
from typing import Any

from app.approvals.reasons import translate_reason
from app.core.i18n import gettext, gettext_noop
from app.messages.kinds import MessageKind

REQUEST_NAMES: Mapping[str, str] = {
    "application": gettext_noop("认证申请"),
    "change-request": gettext_noop("变更申请"),
    "transfer": gettext_noop("整体转移"),
    "link-request": gettext_noop("关联申请"),
    "person-transfer": gettext_noop("人员转移"),
    "group-transfer": gettext_noop("多人转移"),
    "admin-invitation": gettext_noop("管理员邀请"),
    "promotion": gettext_noop("支部改设"),
    "closure": gettext_noop("关闭组织"),
    "merger": gettext_noop("组织合并"),
    "join-request": gettext_noop("加入申请"),
    "removal-request": gettext_noop("移出申请"),
}
"""The name of each kind of request."""

_TEXTS: Mapping[str, str] = {
    MessageKind.REQUEST_ACCEPTED: gettext_noop("“{org}”：您提出的“{request}”已获同意。"),
    MessageKind.REQUEST_DECLINED: gettext_noop("“{org}”：您提出的“{request}”未获同意。"),
    MessageKind.REQUEST_WITHDRAWN: gettext_noop("“{org}”：您提出的“{request}”已被撤回。"),
    MessageKind.REQUEST_EXPIRED: gettext_noop("“{org}”：您提出的“{request}”逾期未处理，已失效。"),
    MessageKind.REQUEST_SUPERSEDED: gettext_noop("“{org}”：情况已有变化，您提出的“{request}”不再有效。"),
    MessageKind.ORG_RELEASED: gettext_noop("“{org}”：上级已解除对本组织的认证，本组织现在没有上级。"),
    MessageKind.ORG_TRANSFERRED: gettext_noop("“{org}”：整体转移已完成，本组织已转到新的上级之下。"),
    MessageKind.ORG_CLOSED: gettext_noop("“{org}”已关闭。7 天内，主管理员可以恢复。"),
    MessageKind.ORG_MERGED: gettext_noop("“{org}”已并入另一组织，人员和支部已转入，原组织已关闭。"),
    MessageKind.ORG_REOPENED: gettext_noop("“{org}”已恢复。"),
    MessageKind.SUBORDINATE_CLOSED: gettext_noop("下级组织“{org}”已关闭，不再计入上级的统计。"),
    MessageKind.SUBORDINATE_REOPENED: gettext_noop("下级组织“{org}”已恢复，重新计入上级的统计。"),
    MessageKind.ADMIN_ADDED: gettext_noop("您已成为“{org}”的学习管理员。"),
    MessageKind.ADMIN_REMOVED: gettext_noop("您不再是“{org}”的学习管理员。"),
    MessageKind.MAIN_ADMIN_RECEIVED: gettext_noop("您已成为“{org}”的主管理员。"),
    MessageKind.MAIN_ADMIN_REPLACED: gettext_noop("您不再是“{org}”的主管理员。"),
    MessageKind.ROW_LINKED: gettext_noop("您已列入“{org}”的通讯录。"),
    MessageKind.ROW_UNLINKED: gettext_noop("您的账号不再关联“{org}”通讯录中的人员。"),
    MessageKind.ROW_REMOVED: gettext_noop("您已不在“{org}”的通讯录中。"),
    MessageKind.MEMBER_PHONE_RECYCLED: gettext_noop(
        "“{org}”：通讯录中一人的手机号码已由他人使用，该人员已转为未激活。请与本人核对后更新号码。"
    ),
    MessageKind.ADMIN_PHONE_RECYCLED: gettext_noop(
        "“{org}”：一名学习管理员的手机号码已由他人使用，在凭实名找回账号之前不能登录。"
    ),
    MessageKind.UNIT_ENDED: gettext_noop("“{org}”：一个临时党支部已到期。人员仍在其中，请调整人员、延期或删除该支部。"),
    MessageKind.IMPORT_DONE: gettext_noop(
        "“{org}”：批量导入已完成，新增 {added} 人、更新 {changed} 人、移出 {leaving} 人、{refused} 行未导入。"
    ),
    MessageKind.IMPORT_FAILED: gettext_noop("“{org}”：批量导入未能完成，通讯录没有改变。"),
    MessageKind.NEW_DEVICE: gettext_noop(
        "您的账号在新设备上登录：{client}，{device}。如非本人操作，请立即让该设备退出登录。"
    ),
    MessageKind.SECURITY_KEY_ADDED: gettext_noop(
        "您的账号登记了一把新的安全密钥。如非本人操作，请立即退出所有设备并联系平台管理员。"
    ),
    MessageKind.SECURITY_KEYS_RECOVERED: gettext_noop(
        "平台管理员已移除您的账号的全部安全密钥，所有设备已退出登录。如非本人申请，请立即联系平台管理员。"
    ),
    MessageKind.PHONE_CHANGED: gettext_noop(
        "您的账号更换了手机号，所有设备已退出登录。如非本人操作，请立即联系平台管理员。"
    ),
    MessageKind.ACCOUNT_RECOVERY_WAITING: gettext_noop(
        "有人凭您的实名申请把您的账号换到其他手机号，72 小时后生效。如非本人操作，请立即停止这项申请。"
    ),
    MessageKind.ACCOUNT_RECOVERY_STOPPED: gettext_noop("凭实名更换手机号的申请已停止，您的账号没有改变。"),
    MessageKind.ACCOUNT_RECOVERY_REFUSED: gettext_noop("您凭实名更换手机号或找回账号的申请未通过，您的账号没有改变。"),
}


_CODED_REASONS: Mapping[str, str] = {"name-differs": gettext_noop("对方的实名与所邀人员的姓名不一致")}


_TEXTS_WITHOUT_NAME: Mapping[str, str] = {
    MessageKind.SUBORDINATE_CLOSED: gettext_noop("一个下级组织已关闭，不再计入上级的统计。"),
    MessageKind.SUBORDINATE_REOPENED: gettext_noop("一个下级组织已恢复，重新计入上级的统计。"),
}


def write_reason(reason: str | None) -> str | None:
    """Return the reason of a decision to display: the service's in the reader's language, a person's text unchanged."""
    coded = _CODED_REASONS.get(reason or "")
    return translate_reason(reason) if coded is None else gettext(coded)


def write_text(kind: str, org_name: str | None, subject_type: str | None, parameters: Mapping[str, Any]) -> str:
    """Return the text of a message. A kind that this version does not know yet has the name of the org alone."""
    if kind not in _TEXTS:
        return org_name or ""
    if org_name is None and kind in _TEXTS_WITHOUT_NAME:
        return gettext(_TEXTS_WITHOUT_NAME[kind])
    request = gettext(REQUEST_NAMES[subject_type]) if subject_type is not None and subject_type in REQUEST_NAMES else ""
    counts = dict.fromkeys(("added", "changed", "leaving", "refused"), 0) | dict(parameters)
    counts["client"] = gettext(str(parameters.get("client", "")))
    counts["device"] = parameters.get("device") or gettext("未知设备")
    return gettext(_TEXTS[kind], **counts | {"org": org_name or "", "request": request})
