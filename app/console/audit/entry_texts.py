"""The texts of audit entries: actions, kinds, fields and their values."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.approvals.reasons import translate_reason
from app.core.i18n import gettext, gettext_noop, join_words, number, pgettext, pgettext_noop
from app.orgs.regions import format_region_path

# At most this many names are shown of a list.
_MAX_NAMES = 10
# The values of these fields are codes, which are translated. Values that users typed are never translated.
_CODED_FIELDS = {"kind", "mode", "status"}


_ACTIONS: dict[str, tuple[str, str]] = {
    "admin.added": pgettext_noop("audit", "新增管理员"),
    "admin.removed": pgettext_noop("audit", "移除管理员"),
    "admin.resigned": pgettext_noop("audit", "管理员辞去"),
    "admin_invitation.created": pgettext_noop("audit", "邀请管理员"),
    "admin_invitation.declined": pgettext_noop("audit", "谢绝管理员邀请"),
    "admin_invitation.expired": pgettext_noop("audit", "管理员邀请已过期"),
    "admin_invitation.superseded": pgettext_noop("audit", "管理员邀请不再有效"),
    "admin_invitation.withdrawn": pgettext_noop("audit", "撤回管理员邀请"),
    "application.created": pgettext_noop("audit", "申请认证"),
    "application.declined": pgettext_noop("audit", "拒绝认证申请"),
    "application.withdrawn": pgettext_noop("audit", "撤回认证申请"),
    "certification.created": pgettext_noop("audit", "完成认证"),
    "certification.ended": pgettext_noop("audit", "解除认证"),
    "change_request.accepted": pgettext_noop("audit", "同意变更申请"),
    "change_request.created": pgettext_noop("audit", "提出变更申请"),
    "change_request.declined": pgettext_noop("audit", "拒绝变更申请"),
    "change_request.expired": pgettext_noop("audit", "变更申请已过期"),
    "change_request.superseded": pgettext_noop("audit", "变更申请不再有效"),
    "change_request.withdrawn": pgettext_noop("audit", "撤回变更申请"),
    "export.created": pgettext_noop("audit", "申请导出"),
    "export.deleted": pgettext_noop("audit", "删除导出文件"),
    "export.finished": pgettext_noop("audit", "完成导出"),
    "import.canceled": pgettext_noop("audit", "取消导入"),
    "import.confirmed": pgettext_noop("audit", "确认导入"),
    "import.reread": pgettext_noop("audit", "重新读取导入的表格"),
    "import.edited": pgettext_noop("audit", "修改导入的预览"),
    "import.reversed": pgettext_noop("audit", "撤销导入"),
    "import.merged": pgettext_noop("audit", "完成导入"),
    "import.uploaded": pgettext_noop("audit", "上传导入表格"),
    "invitation.created": pgettext_noop("audit", "发出认证邀请"),
    "invitation.revoked": pgettext_noop("audit", "撤销认证邀请"),
    "join_link.created": pgettext_noop("audit", "创建加入链接"),
    "join_link.revoked": pgettext_noop("audit", "撤销加入链接"),
    "join_request.accepted": pgettext_noop("audit", "同意加入申请"),
    "join_request.created": pgettext_noop("audit", "提出加入申请"),
    "join_request.declined": pgettext_noop("audit", "拒绝加入申请"),
    "join_request.expired": pgettext_noop("audit", "加入申请已过期"),
    "join_request.withdrawn": pgettext_noop("audit", "撤回加入申请"),
    "link_request.accepted": pgettext_noop("audit", "接受关联申请"),
    "link_request.created": pgettext_noop("audit", "提出关联申请"),
    "link_request.declined": pgettext_noop("audit", "拒绝关联申请"),
    "link_request.expired": pgettext_noop("audit", "关联申请已过期"),
    "link_request.withdrawn": pgettext_noop("audit", "撤回关联申请"),
    "member.added": pgettext_noop("audit", "添加人员"),
    "member.copied": pgettext_noop("audit", "复制到支部"),
    "member.edited": pgettext_noop("audit", "修改人员"),
    "member.ordered": pgettext_noop("audit", "设置支部内次序"),
    "member.moved": pgettext_noop("audit", "调整所在组织"),
    "member.phone_disclosed": pgettext_noop("audit", "查看手机号码"),
    "member.searched_by_phone": pgettext_noop("audit", "按手机号码查找人员"),
    "member.phones_disclosed": pgettext_noop("audit", "导出手机号码"),
    "member.phone_recycled": pgettext_noop("audit", "号码已由他人使用，解除关联"),
    "member.removed": pgettext_noop("audit", "移除人员"),
    "member.restored": pgettext_noop("audit", "恢复人员"),
    "member.unlinked": pgettext_noop("audit", "解除关联"),
    "org_block.created": pgettext_noop("audit", "不接受组织的关联"),
    "org_block.lifted": pgettext_noop("audit", "恢复接受组织的关联"),
    "org.closed": pgettext_noop("audit", "关闭组织"),
    "org.reopened": pgettext_noop("audit", "恢复组织"),
    "org.created": pgettext_noop("audit", "创建组织"),
    "org.handed_over": pgettext_noop("audit", "移交主管理员"),
    "recovery.offered": pgettext_noop("audit", "提名主管理员"),
    "recovery.withdrawn": pgettext_noop("audit", "撤回主管理员提名"),
    "removal_request.accepted": pgettext_noop("audit", "同意移出申请"),
    "removal_request.created": pgettext_noop("audit", "提出移出申请"),
    "removal_request.declined": pgettext_noop("audit", "拒绝移出申请"),
    "removal_request.expired": pgettext_noop("audit", "移出申请已过期"),
    "removal_request.superseded": pgettext_noop("audit", "移出申请已失效"),
    "removal_request.withdrawn": pgettext_noop("audit", "撤回移出申请"),
    "org.recovered": pgettext_noop("audit", "更换主管理员"),
    "org.renamed": pgettext_noop("audit", "更改名称"),
    "org.updated": pgettext_noop("audit", "修改组织"),
    "closure.created": pgettext_noop("audit", "申请关闭组织"),
    "closure.declined": pgettext_noop("audit", "拒绝关闭申请"),
    "closure.withdrawn": pgettext_noop("audit", "撤回关闭申请"),
    "merger.accepted": pgettext_noop("audit", "组织合并"),
    "merger.created": pgettext_noop("audit", "申请并入其他组织"),
    "merger.declined": pgettext_noop("audit", "拒绝组织并入"),
    "merger.expired": pgettext_noop("audit", "组织合并申请已过期"),
    "merger.withdrawn": pgettext_noop("audit", "撤回组织合并申请"),
    "group_transfer.accepted": pgettext_noop("audit", "接收转入的一批人员"),
    "group_transfer.created": pgettext_noop("audit", "申请转移一批人员"),
    "group_transfer.declined": pgettext_noop("audit", "拒绝转入的一批人员"),
    "group_transfer.expired": pgettext_noop("audit", "一批人员的转移已过期"),
    "group_transfer.withdrawn": pgettext_noop("audit", "撤回一批人员的转移"),
    "person_transfer.accepted": pgettext_noop("audit", "接收转入的人员"),
    "person_transfer.created": pgettext_noop("audit", "申请转移人员"),
    "person_transfer.declined": pgettext_noop("audit", "拒绝转入的人员"),
    "person_transfer.expired": pgettext_noop("audit", "人员转移已过期"),
    "person_transfer.superseded": pgettext_noop("audit", "人员转移不再有效"),
    "person_transfer.withdrawn": pgettext_noop("audit", "撤回人员转移"),
    "promotion.created": pgettext_noop("audit", "提出支部改设"),
    "promotion.declined": pgettext_noop("audit", "谢绝支部改设"),
    "promotion.expired": pgettext_noop("audit", "支部改设已过期"),
    "promotion.superseded": pgettext_noop("audit", "支部改设不再有效"),
    "promotion.withdrawn": pgettext_noop("audit", "撤回支部改设"),
    "transfer.accepted": pgettext_noop("audit", "接收整体转移"),
    "transfer.created": pgettext_noop("audit", "申请整体转移"),
    "transfer.declined": pgettext_noop("audit", "拒绝整体转移"),
    "transfer.released": pgettext_noop("audit", "同意转出"),
    "transfer.superseded": pgettext_noop("audit", "整体转移不再有效"),
    "transfer.withdrawn": pgettext_noop("audit", "撤回整体转移"),
    "unit.created": pgettext_noop("audit", "添加支部"),
    "unit.people_moved": pgettext_noop("audit", "移动支部的全部人员"),
    "unit.move_undone": pgettext_noop("audit", "撤销移动人员"),
    "unit.promoted": pgettext_noop("audit", "支部独立为组织"),
    "unit.removed": pgettext_noop("audit", "删除支部"),
    "unit.ended": pgettext_noop("audit", "临时党支部到期"),
    "unit.updated": pgettext_noop("audit", "修改支部"),
}
# Entries are immutable. An action that was renamed is also read under its former name.
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

# Entries can be filtered by these kinds of subject.
_KINDS = {
    "member": gettext_noop("人员"),
    "unit": gettext_noop("支部"),
    "import": gettext_noop("批量导入"),
    "export": gettext_noop("导出"),
    "link_request": gettext_noop("关联申请"),
    "join_request": gettext_noop("加入申请"),
    "removal_request": gettext_noop("移出申请"),
    "join_link": gettext_noop("加入链接"),
    "person_transfer": gettext_noop("人员转移"),
    "group_transfer": gettext_noop("多人转移"),
    "admin": gettext_noop("管理员"),
    "admin_invitation": gettext_noop("管理员邀请"),
    "recovery": gettext_noop("主管理员提名"),
    "org": gettext_noop("组织"),
    "change_request": gettext_noop("变更申请"),
    "invitation": gettext_noop("认证邀请"),
    "application": gettext_noop("认证申请"),
    "certification": gettext_noop("认证"),
    "transfer": gettext_noop("整体转移"),
    "promotion": gettext_noop("支部改设"),
    "merger": gettext_noop("组织合并"),
    "closure": gettext_noop("关闭组织"),
}

# Changes of these fields are shown. Internal ids are not.
_FIELDS = {
    "name": gettext_noop("名称"),
    "phone": gettext_noop("手机号码"),
    "party": gettext_noop("党员"),
    "probationary": gettext_noop("预备党员"),
    "post": gettext_noop("职务"),
    "position": gettext_noop("次序"),
    "last_day": gettext_noop("最后一天"),
    "unit_ids": gettext_noop("所在组织"),
    "unit_id": gettext_noop("支部"),
    "people_moved_to": gettext_noop("人员移到"),
    "people": gettext_noop("人数"),
    "kind": gettext_noop("类型"),
    "parent_id": gettext_noop("上级"),
    "region_code": gettext_noop("所在地区"),
    "user_id": gettext_noop("管理员"),
    "main_admin_id": gettext_noop("主管理员"),
    "reason": gettext_noop("原因"),
    "superior_id": gettext_noop("上级组织"),
    "subordinate_id": gettext_noop("下级组织"),
    "org_id": gettext_noop("组织"),
    "from_id": gettext_noop("转出"),
    "to_id": gettext_noop("转入"),
    "new_org_id": gettext_noop("新的组织"),
    "units": gettext_noop("支部"),
    "max_uses": gettext_noop("可用次数"),
    "mode": gettext_noop("方式"),
    "format": gettext_noop("格式"),
    "file_name": gettext_noop("文件"),
    "active": gettext_noop("激活"),
    "at_org": gettext_noop("管理组"),
    "rows": gettext_noop("行数"),
    "added": gettext_noop("新增"),
    "changed": gettext_noop("更新"),
    "moved": gettext_noop("调整支部"),
    "leaving": gettext_noop("移出"),
    "left": gettext_noop("移出"),
    "refused": gettext_noop("未通过的行"),
    "new_units": gettext_noop("新建的支部"),
    "status": gettext_noop("状态"),
}

# Texts of the values of the fields in _CODED_FIELDS.
_CHOICES = {
    "party": gettext_noop("党组织"),
    "outside-party": gettext_noop("党外人士学习组织"),
    "branch": gettext_noop("党支部"),
    "general-branch": gettext_noop("党总支"),
    "department": gettext_noop("部门"),
    "party-group": gettext_noop("党小组"),
    "temporary-branch": gettext_noop("临时党支部"),
    "rename": gettext_noop("更改名称"),
    "hand-over": gettext_noop("移交主管理员"),
    "recovery": gettext_noop("更换主管理员"),
    "add-and-update": gettext_noop("新增和更新"),
    "replace-all": gettext_noop("整体替换"),
    "replace-unit": gettext_noop("覆盖一个支部"),
    "members": gettext_noop("通讯录"),
    "overview": gettext_noop("学习报表"),
    "own-overview": gettext_noop("学习报表"),
    "trend": gettext_noop("趋势"),
    "own-trend": gettext_noop("趋势"),
    "units": gettext_noop("支部"),
    "ranking": gettext_noop("组内排名"),
    "live": gettext_noop("正常"),
    "closed": gettext_noop("已关闭"),
}


def translate_action(action: str) -> str:
    """Return the text of an action, such as `Renamed`, or the action itself if it is unknown."""
    known = _ACTIONS.get(FORMER_ACTIONS.get(action, action))
    return pgettext(*known) if known else action


def list_kinds() -> dict[str, str]:
    """Return the subject kinds and their texts."""
    return {kind: gettext(text) for kind, text in _KINDS.items()}


def list_fields() -> dict[str, str]:
    """Return the fields that are shown and their texts."""
    return {name: gettext(text) for name, text in _FIELDS.items()}


def format_value(name: str, value: Any, names: Mapping[UUID, str]) -> str:
    """Return a field's value as text: an id becomes its name, an empty value becomes an empty text."""
    if isinstance(value, bool):
        return gettext("是") if value else gettext("否")
    if isinstance(value, int):
        return number(value) if value else ""
    if isinstance(value, list):
        shown = (gettext("管理组") if item is None else format_value(name, item, names) for item in value[:_MAX_NAMES])
        listed = join_words(each for each in shown if each)
        return gettext("{listed}等 {count} 个", listed=listed, count=len(value)) if len(value) > _MAX_NAMES else listed
    if not isinstance(value, str):
        return ""
    if name == "region_code":
        return format_region_path(value) or value
    if name.endswith(("_id", "_ids", "_to")):
        return _format_names(value, names)
    if name == "reason":
        return translate_reason(value) or ""
    # Entries are immutable, and older ones have values in snake_case.
    return gettext(_CHOICES.get(value.replace("_", "-"), value)) if name in _CODED_FIELDS else value


def _format_names(value: str, names: Mapping[UUID, str]) -> str:
    try:
        return names.get(UUID(value), "")
    except ValueError:
        return ""
