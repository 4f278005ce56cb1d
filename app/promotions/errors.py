"""Errors of promotions."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, Problem


class PromotionOpen(Conflict):
    slug = "promotion-open"
    title = gettext_noop("该支部已有待接受的改设")
    advice = gettext_noop("请等待对方答复，或先撤回。")


class PromotionDecided(Conflict):
    slug = "promotion-decided"
    title = gettext_noop("该改设已答复或已撤回")
    advice = gettext_noop("请刷新后查看处理结果。")


class PromotionExpired(Problem):
    status, slug = 410, "promotion-expired"
    title = gettext_noop("该改设已过期")
    advice = gettext_noop("请组织管理员重新发出。")
