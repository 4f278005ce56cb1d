"""What is refused about link requests, and what to do instead."""

from app.web.errors import Conflict, Problem


class UnknownOrg(Problem):
    status, slug = 422, "unknown-org"
    zh, en = "没有这个学习组织,或有重名", "No organisation is called so, or more than one"
    advice_zh = "请向其学习管理员核对组织全称和所在地区;如有重名,请使用组织的 id。"
    advice_en = "Ask its admin for the full name and the region; where several are called so, give the id."


class AlreadyInDirectory(Conflict):
    slug = "already-in-directory"
    zh, en = "该账号已关联到此组织的成员", "The account is linked to somebody in this directory already"
    advice_zh = "无需再关联;如关联有误,请管理员先解除原有关联。"
    advice_en = "There is nothing to link; where that link is wrong, an admin undoes it first."


class LinkRequestOpen(Conflict):
    slug = "link-request-open"
    zh, en = "您已向该组织提出申请", "Your request to this organisation waits already"
    advice_zh = "请等待管理员处理,或先撤回原申请。"
    advice_en = "Wait for an admin to decide, or withdraw it first."


class TooManyLinkRequests(Conflict):
    slug = "too-many-link-requests"
    zh, en = "待处理的关联申请过多", "Too many of your requests wait"
    advice_zh, advice_en = "请先撤回不再需要的申请。", "Withdraw those that you no longer need first."


class LinkRequestDecided(Conflict):
    slug = "link-request-decided"
    zh, en = "该申请已处理、撤回或过期", "The request has been decided, withdrawn, or has expired"
    advice_zh, advice_en = "请刷新列表。", "Read the list again."


class SeveralCandidates(Conflict):
    """Carries `member_ids`, the rows that it can be."""

    slug = "several-candidates"
    zh, en = "有多名成员符合", "Several people of the directory fit"
    advice_zh, advice_en = "请核对后指定 member_id。", "Find out which it is, and give its member_id."


class NoCandidate(Conflict):
    slug = "no-candidate"
    zh, en = "该成员不符合此申请", "The person does not fit the request"
    advice_zh = "只能关联未激活、且姓名与申请人实名一致(或手机号码相同)的成员;如姓名有误请先修改。"
    advice_en = "Only an inactive row with the asker's verified name, or with their phone, fits; mend the name first."
