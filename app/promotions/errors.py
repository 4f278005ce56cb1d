"""Refusals of promotions: a unit that becomes an org of its own."""

from app.web.errors import Conflict, Problem


class PromotionOpen(Conflict):
    slug = "promotion-open"
    zh, en = "该支部已有待接受的改设", "The unit is offered to somebody already"
    advice_zh, advice_en = "请等待对方答复,或先撤回。", "Wait for their answer, or withdraw the offer first."


class PromotionDecided(Conflict):
    slug = "promotion-decided"
    zh, en = "该改设已答复或已撤回", "The offer was answered or withdrawn already"
    advice_zh, advice_en = "请刷新后查看。", "Read it again."


class PromotionExpired(Problem):
    status, slug = 410, "promotion-expired"
    zh, en = "该改设已过期", "The offer has expired"
    advice_zh, advice_en = "请组织管理员重新发出。", "Ask the organisation's admin to offer it again."
