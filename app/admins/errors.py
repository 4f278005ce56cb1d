"""Errors of admins, admin invitations and change requests."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, Forbidden, Problem


class UnknownMember(Problem):
    status, slug = 422, "unknown-member"
    title = gettext_noop("本组织通讯录中没有此人")
    advice = gettext_noop("请用 GET …/members 查找。")


class AlreadyAdmin(Conflict):
    slug = "already-admin"
    title = gettext_noop("此人已是本组织的管理员")
    advice = gettext_noop("无需再次邀请。")


class AdminInvitationOpen(Conflict):
    slug = "admin-invitation-open"
    title = gettext_noop("已邀请该手机号码")
    advice = gettext_noop("请等待对方答复，或先撤回。")


class InviteeNameDiffers(Conflict):
    """The offer was addressed to a member of the org whose name differs from the caller's."""

    slug = "invitee-name-differs"
    title = gettext_noop("该邀请发给另一位使用同一手机号码的人员")
    advice = gettext_noop("该邀请已结束。如确为您本人，请组织管理员核对通讯录中的姓名后重新发出。")


class AdminsLeft(Conflict):
    slug = "admins-left"
    title = gettext_noop("该组织还有其他管理员")
    advice = gettext_noop("请由其中一位管理员申请更换主管理员，再由您同意。")


class RecoveryOfferStale(Conflict):
    slug = "recovery-offer-stale"
    title = gettext_noop("该组织的管理员或上级已变更，提名已失效")
    advice = gettext_noop("请与提名的上级组织联系。")


class AdminInvitationDecided(Conflict):
    slug = "admin-invitation-decided"
    title = gettext_noop("该邀请已答复或已撤回")
    advice = gettext_noop("请刷新后查看处理结果。")


class AdminInvitationExpired(Problem):
    status, slug = 410, "admin-invitation-expired"
    title = gettext_noop("该邀请已过期")
    advice = gettext_noop("请主管理员重新邀请。")


class MainAdminStays(Conflict):
    slug = "main-admin-stays"
    title = gettext_noop("主管理员不能退出或被移除")
    advice = gettext_noop("请先将主管理员移交给另一名管理员。")


class MainAdminOnly(Forbidden):
    slug = "main-admin-only"
    title = gettext_noop("只有主管理员可以移交")
    advice = gettext_noop("请主管理员办理；主管理员无法履职时，可申请更换主管理员（kind: recovery）。")


class SoleAdmin(Conflict):
    slug = "sole-admin"
    title = gettext_noop("管理组中仅有主管理员一人")
    advice = gettext_noop("请先将接任者添加为管理员，再办理移交。")


class NotAnAdmin(Conflict):
    slug = "not-an-admin"
    title = gettext_noop("接任者还不是本组织的管理员")
    advice = gettext_noop("请先将其添加为管理员。")


class AlreadyMainAdmin(Conflict):
    slug = "already-main-admin"
    title = gettext_noop("此人已是主管理员")
    advice = gettext_noop("请选择另一名管理员。")


class NameUnchanged(Conflict):
    slug = "name-unchanged"
    title = gettext_noop("名称没有变化")
    advice = gettext_noop("请填写新的名称。")


class ChangeRequestOpen(Conflict):
    slug = "change-request-open"
    title = gettext_noop("已有同类申请等待上级处理")
    advice = gettext_noop("请等待处理，或先撤回原申请。")


class ChangeRequestDecided(Conflict):
    slug = "change-request-decided"
    title = gettext_noop("该申请已处理或已撤回")
    advice = gettext_noop("请刷新后查看处理结果。")


class ChangeRequestExpired(Problem):
    status, slug = 410, "change-request-expired"
    title = gettext_noop("该申请已过期")
    advice = gettext_noop("请申请组织重新申请。")


class ChangeRequestStale(Conflict):
    slug = "change-request-stale"
    title = gettext_noop("申请提出后情况已有变化")
    advice = gettext_noop("名称或管理员已变更，该申请已失效；请申请组织重新申请。")
