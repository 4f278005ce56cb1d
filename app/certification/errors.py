"""What is refused about invitations and certification, and what to do instead."""

from app.errors import Conflict, NotFound, Problem


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


class SiblingNameTaken(Conflict):
    slug = "sibling-name-taken"
    zh, en = "同一上级下已有同名组织", "The superior has a subordinate of this name already"
    advice_zh, advice_en = "请其中一个组织先改名(S2)。", "Have one of the two renamed first (S2)."
