"""Errors of calls about transfers of several people."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict


class GroupTransferOpen(Conflict):
    slug = "group-transfer-open"
    title = gettext_noop("已有一批人员等待该组织接收")
    advice = gettext_noop("请等待对方处理，或先撤回。")


class GroupTransferDecided(Conflict):
    slug = "group-transfer-decided"
    title = gettext_noop("该批人员转移已处理、撤回或失效")
    advice = gettext_noop("请刷新列表。")


class NobodyCanTransfer(Conflict):
    slug = "nobody-can-transfer"
    title = gettext_noop("所选人员均不能转移")
    advice = gettext_noop("请查看每个人不能转移的原因。")
