"""Errors of invitations, applications and transfers."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, NotFound, Problem


class InvitationExpired(Problem):
    status, slug = 410, "invitation-expired"
    title = gettext_noop("邀请已过期")
    advice = gettext_noop("请上级组织重新发出邀请。")


class InvitationUnknown(NotFound):
    slug = "invitation-unknown"
    title = gettext_noop("邀请不存在或已撤销")
    advice = gettext_noop("请核对链接，或请上级组织重新发出邀请。")


class InvitationUsedUp(Conflict):
    slug = "invitation-used-up"
    title = gettext_noop("邀请的使用次数已用完")
    advice = gettext_noop("请上级组织重新发出邀请。")


class WouldCloseCircle(Conflict):
    slug = "would-close-circle"
    title = gettext_noop("上级组织不能同时是自己的下级")
    advice = gettext_noop("请核对认证方与接收方：由下级向上级申请认证。")


class AlreadyCertified(Conflict):
    slug = "already-certified"
    title = gettext_noop("该组织已有上级组织")
    advice = gettext_noop("一个组织同一时间只有一个上级：如需变更，请办理整体转移。")


class ApplicationOpen(Conflict):
    slug = "application-open"
    title = gettext_noop("已有待处理的认证申请")
    advice = gettext_noop("请等待处理，或先撤回原申请。")


class ApplicationDecided(Conflict):
    slug = "application-decided"
    title = gettext_noop("该申请已处理或已撤回")
    advice = gettext_noop("请刷新申请列表。")


class NoSuperior(Conflict):
    slug = "no-superior"
    title = gettext_noop("该组织没有上级组织")
    advice = gettext_noop("没有上级的组织无需转移：请凭邀请直接申请认证。")


class SameSuperior(Conflict):
    slug = "same-superior"
    title = gettext_noop("该组织已在此上级之下")
    advice = gettext_noop("请核对邀请来自哪个组织。")


class TransferOpen(Conflict):
    slug = "transfer-open"
    title = gettext_noop("已有进行中的整体转移")
    advice = gettext_noop("一个组织同一时间只能办理一项转移：请等待完成，或先撤回。")


class TransferDecided(Conflict):
    slug = "transfer-decided"
    title = gettext_noop("该转移已办结、撤回或失效")
    advice = gettext_noop("请刷新后查看处理结果。")


class TransferNotReleased(Conflict):
    slug = "transfer-not-released"
    title = gettext_noop("现上级尚未同意转出")
    advice = gettext_noop("请等待现上级组织同意。")


class PreviewStale(Conflict):
    slug = "preview-stale"
    title = gettext_noop("预览已过时：上下级关系已变化")
    advice = gettext_noop("请重新查看转移预览后再确认。")
