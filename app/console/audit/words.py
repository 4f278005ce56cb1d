"""The audit's own words in the reader's language: actions, kinds, fields and their values."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.console.frame.words import Words
from app.orgs.regions import path_of

# Of more than so many the first are named.
_LISTED = 10
# The fields whose values are words of the machinery; what people wrote themselves is none of them.
_CHOSEN = {"kind", "mode", "status"}


def what_was_done(words: Words) -> dict[str, str]:
    """Each action of an org's audit. What is marked `|了` is said of what was done; without it, on a button."""
    return {
        "admin.added": words("新增管理员"),
        "admin.removed": words("移除管理员"),
        "admin.resigned": words("管理员辞去"),
        "admin_invitation.created": words("邀请管理员"),
        "admin_invitation.declined": words("谢绝管理员邀请"),
        "admin_invitation.withdrawn": words("撤回管理员邀请"),
        "application.created": words("申请认证|了"),
        "application.declined": words("拒绝认证申请"),
        "application.withdrawn": words("撤回认证申请"),
        "certification.created": words("完成认证"),
        "certification.ended": words("解除认证|了"),
        "change_request.accepted": words("同意变更申请"),
        "change_request.created": words("提出变更申请"),
        "change_request.declined": words("拒绝变更申请"),
        "change_request.withdrawn": words("撤回变更申请"),
        "export.created": words("申请导出"),
        "export.deleted": words("删除导出文件"),
        "export.finished": words("完成导出"),
        "import.canceled": words("取消导入|了"),
        "import.confirmed": words("确认导入|了"),
        "import.merged": words("完成导入"),
        "import.uploaded": words("上传导入表格"),
        "invitation.created": words("发出认证邀请"),
        "invitation.revoked": words("作废认证邀请"),
        "link_request.accepted": words("接受关联申请"),
        "link_request.created": words("提出关联申请"),
        "link_request.declined": words("拒绝关联申请"),
        "link_request.withdrawn": words("撤回关联申请"),
        "member.added": words("添加人员|了"),
        "member.copied": words("复制到支部"),
        "member.edited": words("修改人员"),
        "member.moved": words("调整所在组织"),
        "member.phone_disclosed": words("查看手机号码"),
        "member.phones_disclosed": words("导出手机号码"),
        "member.removed": words("移除人员"),
        "member.restored": words("恢复人员"),
        "member.unlinked": words("解除关联|了"),
        "org.closed": words("关闭组织|了"),
        "org.created": words("创建组织"),
        "org.handed_over": words("移交主管理员|了"),
        "recovery.offered": words("提名主管理员"),
        "recovery.withdrawn": words("撤回主管理员提名"),
        "org.recovered": words("更换主管理员"),
        "org.renamed": words("更改名称"),
        "org.updated": words("修改组织"),
        "person_transfer.accepted": words("接收转入的人员"),
        "person_transfer.created": words("申请转移人员"),
        "person_transfer.declined": words("拒绝转入的人员"),
        "person_transfer.withdrawn": words("撤回人员转移"),
        "promotion.created": words("提出支部改设"),
        "promotion.declined": words("谢绝支部改设"),
        "promotion.withdrawn": words("撤回支部改设"),
        "transfer.accepted": words("接收整体转移"),
        "transfer.created": words("申请整体转移|了"),
        "transfer.declined": words("拒绝整体转移"),
        "transfer.released": words("同意转出|了"),
        "transfer.withdrawn": words("撤回整体转移"),
        "unit.created": words("添加支部|了"),
        "unit.people_moved": words("移动支部的全部人员"),
        "unit.promoted": words("支部独立为组织"),
        "unit.removed": words("删除支部"),
        "unit.updated": words("修改支部"),
    }


# Entries stay as they were written: an action that has another name now is read by its first one too.
FORMER_ACTIONS = {
    "admin_invitation.refused": "admin_invitation.declined",
    "application.refused": "application.declined",
    "certification.released": "certification.ended",
    "change_request.approved": "change_request.accepted",
    "change_request.refused": "change_request.declined",
    "link_request.refused": "link_request.declined",
    "person_transfer.refused": "person_transfer.declined",
    "promotion.offered": "promotion.created",
    "promotion.refused": "promotion.declined",
    "transfer.refused": "transfer.declined",
}


def kinds_of(words: Words) -> dict[str, str]:
    """What entries can be filtered by: the kind of thing that something was done to."""
    return {
        "member": words("人员"),
        "unit": words("支部"),
        "import": words("批量导入"),
        "export": words("导出"),
        "link_request": words("关联申请"),
        "person_transfer": words("人员转移"),
        "admin": words("管理员"),
        "admin_invitation": words("管理员邀请"),
        "org": words("组织"),
        "change_request": words("变更申请"),
        "invitation": words("认证邀请"),
        "application": words("认证申请"),
        "certification": words("认证"),
        "transfer": words("整体转移"),
        "promotion": words("支部改设"),
    }


def fields_of(words: Words) -> dict[str, str]:
    """The fields that are shown of what changed; ids of the machinery are not."""
    return {
        "name": words("名称"),
        "phone": words("手机号码"),
        "party": words("党员"),
        "unit_ids": words("所在组织"),
        "unit_id": words("支部"),
        "people_moved_to": words("人员移到"),
        "people": words("人数"),
        "kind": words("类型"),
        "parent_id": words("上级"),
        "region_code": words("所在地区"),
        "user_id": words("管理员"),
        "main_admin_id": words("主管理员"),
        "reason": words("原因"),
        "superior_id": words("上级组织"),
        "subordinate_id": words("下级组织"),
        "org_id": words("组织"),
        "from_id": words("转出"),
        "to_id": words("转入"),
        "new_org_id": words("新的组织"),
        "units": words("支部"),
        "max_uses": words("可用次数"),
        "mode": words("方式"),
        "format": words("格式"),
        "rows": words("行数"),
        "added": words("新增"),
        "changed": words("更新"),
        "moved": words("调整支部"),
        "leaving": words("移出"),
        "left": words("移出"),
        "refused": words("未通过的行"),
        "new_units": words("新建的支部"),
        "status": words("状态"),
    }


def shown_value(words: Words, name: str, value: Any, names: Mapping[UUID, str]) -> str:
    """A value as it is read; an id by its name, and nothing where there is none."""
    if isinstance(value, bool):
        return words("是") if value else words("否")
    if isinstance(value, int):
        return words.number(value) if value else ""
    if isinstance(value, list):
        shown = (words("管理组") if one is None else shown_value(words, name, one, names) for one in value[:_LISTED])
        listed = words("、").join(each for each in shown if each)
        return words("{listed} 等 {count} 个", listed=listed, count=len(value)) if len(value) > _LISTED else listed
    if not isinstance(value, str):
        return ""
    if name == "region_code":
        return path_of(value) or value
    if name.endswith(("_id", "_ids", "_to")):
        return _named(value, names)
    return _choices(words).get(value, value) if name in _CHOSEN else value


def _named(value: str, names: Mapping[UUID, str]) -> str:
    try:
        return names.get(UUID(value), "")
    except ValueError:
        return ""


def _choices(words: Words) -> dict[str, str]:
    return {
        "party": words("党组织"),
        "outside_party": words("党外人士学习组织"),
        "branch": words("党支部"),
        "general_branch": words("党总支"),
        "department": words("部门"),
        "rename": words("更改名称"),
        "hand-over": words("移交主管理员"),
        "recovery": words("更换主管理员"),
        "add-and-update": words("新增和更新"),
        "replace-all": words("整体替换"),
        "members": words("通讯录"),
        "overview": words("学习报表"),
        "own-overview": words("学习报表"),
        "trend": words("趋势"),
        "own-trend": words("趋势"),
        "units": words("支部"),
        "ranking": words("组内排名"),
        "live": words("正常"),
        "closed": words("已关闭"),
    }
