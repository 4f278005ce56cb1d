"""What is refused about admins and change requests, and what to do instead."""

from app.web.errors import Conflict, Forbidden, Problem


class UnknownMember(Problem):
    status, slug = 422, "unknown-member"
    zh, en = "本组织没有这名成员", "The organisation has no such member"
    advice_zh, advice_en = "请用 GET …/members 查找。", "Look them up at GET …/members."


class AlreadyAdmin(Conflict):
    slug = "already-admin"
    zh, en = "该人员已是本组织的管理员", "They are an admin of the organisation already"
    advice_zh, advice_en = "无需再次邀请。", "Nothing more is needed."


class AdminInvitationOpen(Conflict):
    slug = "admin-invitation-open"
    zh, en = "已邀请该手机号码", "This phone is invited already"
    advice_zh, advice_en = "请等待对方答复,或先撤回。", "Wait for their answer, or withdraw the invitation first."


class InviteeNameDiffers(Conflict):
    """The offer was made to a member of the org, and the caller has another name."""

    slug = "invitee-name-differs"
    zh, en = "该邀请是发给另一位同手机号成员的", "The offer was made to a member of another name"
    advice_zh = "该邀请已结束。如确实是您本人，请组织管理员核对通讯录中的姓名后重新发出。"
    advice_en = "The offer has ended. If it was meant for you, ask the org's admin to correct the name and offer again."


class AdminsLeft(Conflict):
    slug = "admins-left"
    zh, en = "该组织还有其他管理员", "The organisation has another admin"
    advice_zh = "请由其中一位管理员申请更换主管理员，再由您同意。"
    advice_en = "Have one of them ask for a new main admin, then consent to it."


class RecoveryOfferStale(Conflict):
    slug = "recovery-offer-stale"
    zh, en = "该组织的管理员或上级已经变更，邀请已失效", "The admins or the superior of the organisation have changed"
    advice_zh, advice_en = "请与发出邀请的上级组织联系。", "The offer has ended: ask whoever made it for another."


class AdminInvitationDecided(Conflict):
    slug = "admin-invitation-decided"
    zh, en = "该邀请已答复或已撤回", "The invitation was answered or withdrawn already"
    advice_zh, advice_en = "请刷新后查看。", "Read it again."


class AdminInvitationExpired(Problem):
    status, slug = 410, "admin-invitation-expired"
    zh, en = "该邀请已过期", "The invitation has expired"
    advice_zh, advice_en = "请主管理员重新邀请。", "Ask the main admin to invite you again."


class MainAdminStays(Conflict):
    slug = "main-admin-stays"
    zh, en = "主管理员不能退出或被移除", "The main admin can neither resign nor be removed"
    advice_zh = "请先将主管理员移交给另一名管理员(S5)。"
    advice_en = "Hand the office over to another admin first (S5)."


class MainAdminOnly(Forbidden):
    slug = "main-admin-only"
    zh, en = "只有主管理员可以移交", "Only the main admin hands over"
    advice_zh = "请主管理员办理;主管理员无法办理时,可申请恢复(kind: recovery)。"
    advice_en = "Ask the main admin; where they are gone, ask for a recovery (kind: recovery)."


class SoleAdmin(Conflict):
    slug = "sole-admin"
    zh, en = "管理组中仅有主管理员一人", "The main admin is the only admin"
    advice_zh = "请先将接任者添加为管理员,再办理移交(S5)。"
    advice_en = "Add the person who is to take over as an admin first (S5)."


class NotAnAdmin(Conflict):
    slug = "not-an-admin"
    zh, en = "接任者还不是本组织的管理员", "Who is to take over is not an admin of the organisation"
    advice_zh, advice_en = "请先将其添加为管理员(S5)。", "Add them as an admin first (S5)."


class AlreadyMainAdmin(Conflict):
    slug = "already-main-admin"
    zh, en = "该人员已是主管理员", "They are the main admin already"
    advice_zh, advice_en = "请选择另一名管理员。", "Choose another admin."


class NameUnchanged(Conflict):
    slug = "name-unchanged"
    zh, en = "名称没有变化", "The organisation has this name already"
    advice_zh, advice_en = "请填写新的名称。", "Give another name."


class ChangeRequestOpen(Conflict):
    slug = "change-request-open"
    zh, en = "已有同类申请等待上级处理", "A request of this kind is waiting already"
    advice_zh, advice_en = "请等待处理,或先撤回原申请。", "Wait for its decision, or withdraw it first."


class ChangeRequestDecided(Conflict):
    slug = "change-request-decided"
    zh, en = "该申请已处理或已撤回", "The request was decided or withdrawn already"
    advice_zh, advice_en = "请刷新后查看。", "Read it again."


class ChangeRequestExpired(Problem):
    status, slug = 410, "change-request-expired"
    zh, en = "该申请已过期", "The request has expired"
    advice_zh, advice_en = "请申请组织重新申请。", "Have the organisation ask again."


class ChangeRequestStale(Conflict):
    slug = "change-request-stale"
    zh, en = "申请提出后情况已变", "What the request would change has changed meanwhile"
    advice_zh = "名称或管理员已变更,该申请已失效;请申请组织重新申请(S5)。"
    advice_en = "The name or the admins have changed, so the request has ended: have the organisation ask again (S5)."
