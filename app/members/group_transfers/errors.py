"""Errors of calls about transfers of several people."""

from app.core.i18n import gettext_noop
from app.members.imports.errors import SheetRefused
from app.web.errors import Conflict


class GroupTransferOpen(Conflict):
    slug = "group-transfer-open"
    title = gettext_noop("已有一批人员等待该组织接收")
    advice = gettext_noop("请等待对方处理，或先撤回。")


class GroupTransferDecided(Conflict):
    slug = "group-transfer-decided"
    title = gettext_noop("该批人员转移已处理、撤回或失效")
    advice = gettext_noop("请刷新列表。")


class NobodyCanTransfer(Conflict):
    slug = "nobody-can-transfer"
    title = gettext_noop("所选人员均不能转移")
    advice = gettext_noop("请查看每个人不能转移的原因。")


class NameOrPhoneUnclear(SheetRefused):
    """No row of the sheet is a header with one column of names and one of phones."""

    slug = "name-or-phone-unclear"
    title = gettext_noop("不能确定姓名和手机号码在哪一列")
    advice = gettext_noop(
        "每个工作表的前 30 行中须有表头，其中“姓名”和“手机号码”（或常用的说法，如：名字、手机）各出现一次。"
    )


class TooManyPeopleInSheet(SheetRefused):
    slug = "too-many-people-in-sheet"
    title = gettext_noop("表格中的人员过多")
    advice = gettext_noop("一次最多转移 1000 人。请分几次处理。")
