"""Errors of calls about transfers of people."""

from app.core.i18n import gettext_noop
from app.web.errors import Conflict


class SameOrg(Conflict):
    slug = "same-org"
    title = gettext_noop("此人已在该组织")
    advice = gettext_noop("在组织内部调整支部，请修改所在支部。")


class PersonTransferOpen(Conflict):
    slug = "person-transfer-open"
    title = gettext_noop("此人已有待处理的转移")
    advice = gettext_noop("请等待对方处理，或先撤回原转移。")


class PersonTransferDecided(Conflict):
    slug = "person-transfer-decided"
    title = gettext_noop("该转移已处理、撤回或失效")
    advice = gettext_noop("请刷新列表；如此人已被移出原组织，请直接添加。")


class PersonIsHere(Conflict):
    slug = "person-is-here"
    title = gettext_noop("此人已在本组织的通讯录中")
    advice = gettext_noop("请将其复制到所需支部，并由原组织移出。")
