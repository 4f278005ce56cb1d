"""What is refused about invitations and certification, and what to do instead."""

from app.web.errors import Conflict, NotFound, Problem


class InvitationExpired(Problem):
    status, slug = 410, "invitation-expired"
    zh, en = "邀请已过期", "The invitation has expired"
    advice_zh, advice_en = "请上级组织重新发出邀请。", "Ask the superior organisation for a new one."


class InvitationUnknown(NotFound):
    slug = "invitation-unknown"
    zh, en = "邀请不存在或已撤销", "No such invitation, or it was revoked"
    advice_zh, advice_en = "请核对链接,或请上级组织重新发出邀请。", "Check the link, or ask the superior for a new one."


class InvitationUsedUp(Conflict):
    slug = "invitation-used-up"
    zh, en = "邀请的使用次数已用完", "The invitation has been used as often as it may be"
    advice_zh, advice_en = "请上级组织重新发出邀请。", "Ask the superior organisation for a new one."


class WouldCloseCircle(Conflict):
    slug = "would-close-circle"
    zh, en = "上级组织不能同时是自己的下级", "An organisation cannot stand under itself"
    advice_zh = "请核对认证方与接收方:由下级向上级申请认证(S14)。"
    advice_en = "Check who certifies whom: the subordinate applies to the superior (S14)."


class AlreadyCertified(Conflict):
    slug = "already-certified"
    zh, en = "该组织已有上级组织", "The organisation has a superior already"
    advice_zh = "一个组织同一时间只有一个上级:如需变更,请办理整体转移(S20)。"
    advice_en = "An organisation has one superior at a time: to change it, ask for a transfer (S20)."


class ApplicationOpen(Conflict):
    slug = "application-open"
    zh, en = "已有待处理的认证申请", "An application is waiting already"
    advice_zh, advice_en = "请等待处理,或先撤回原申请。", "Wait for its decision, or withdraw it first."


class ApplicationDecided(Conflict):
    slug = "application-decided"
    zh, en = "该申请已处理或已撤回", "The application was decided or withdrawn already"
    advice_zh, advice_en = "请刷新申请列表。", "Read the list of applications again."


class NoSuperior(Conflict):
    slug = "no-superior"
    zh, en = "该组织没有上级组织", "The organisation has no superior"
    advice_zh = "没有上级的组织无需转移:请凭邀请直接申请认证(S6)。"
    advice_en = "There is nothing to be released from: apply with the invitation instead (S6)."


class SameSuperior(Conflict):
    slug = "same-superior"
    zh, en = "该组织已在此上级之下", "The organisation stands under this superior already"
    advice_zh, advice_en = "请核对邀请来自哪个组织。", "Check which organisation the invitation is from."


class TransferOpen(Conflict):
    slug = "transfer-open"
    zh, en = "已有进行中的整体转移", "A transfer is under way already"
    advice_zh = "一个组织同一时间只能办理一项转移:请等待完成,或先撤回(S20)。"
    advice_en = "An organisation has one transfer at a time: wait for it, or withdraw it first (S20)."


class TransferDecided(Conflict):
    slug = "transfer-decided"
    zh, en = "该转移已办结、撤回或失效", "The transfer was decided, withdrawn or superseded"
    advice_zh, advice_en = "请刷新后查看。", "Read it again."


class TransferNotReleased(Conflict):
    slug = "transfer-not-released"
    zh, en = "现上级尚未同意转出", "The present superior has not released it yet"
    advice_zh, advice_en = "请等待现上级组织同意(S20)。", "Wait until the present superior releases it (S20)."


class PreviewStale(Conflict):
    slug = "preview-stale"
    zh, en = "预览已过时:上下级关系已变化", "The preview is stale: the hierarchy around it has changed"
    advice_zh = "请重新查看转移预览后再确认(S20)。"
    advice_en = "Read the transfer's preview again, then decide (S20)."
