"""Errors of calls about requests to be removed from a directory."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict


class NotInDirectory(Conflict):
    """No row of the org's directory is linked to the caller."""

    slug = "not-in-directory"
    title = gettext_noop("您不在该组织的通讯录中")
    advice = gettext_noop("请在“我所在的组织”中查看。")


class AdminMustResign(Conflict):
    """The caller administers the org. Every admin is in its directory (S8)."""

    slug = "admin-must-resign"
    title = gettext_noop("您是该组织的管理员")
    advice = gettext_noop("请先辞去管理员；主管理员请先移交。")


class RemovalRequestOpen(Conflict):
    slug = "removal-request-open"
    title = gettext_noop("您已申请从该组织移出")
    advice = gettext_noop("请等待管理员处理，或先撤回原申请。")


class RemovalRequestDecided(Conflict):
    slug = "removal-request-decided"
    title = gettext_noop("该申请已处理、撤回或过期")
    advice = gettext_noop("请刷新列表。")
