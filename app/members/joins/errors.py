"""Errors of calls about requests to join an org."""

from uuid import UUID

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, NotFound, Problem


class JoinLinkUnknown(NotFound):
    slug = "join-link-unknown"
    title = gettext_noop("加入链接不存在或已撤销")
    advice = gettext_noop("请核对链接，或请该组织的管理员重新提供。")


class JoinLinkExpired(Problem):
    status, slug = 410, "join-link-expired"
    title = gettext_noop("加入链接已过期")
    advice = gettext_noop("请该组织的管理员重新提供。")


class JoinLinkUsedUp(Conflict):
    slug = "join-link-used-up"
    title = gettext_noop("加入链接的使用次数已用完")
    advice = gettext_noop("请该组织的管理员重新提供。")


class NameNeeded(Problem):
    status, slug = 422, "name-needed"
    title = gettext_noop("请填写姓名")
    advice = gettext_noop("未实名认证的用户须填写姓名，以便管理员核对。")


class PlaceInOrg(BaseModel):
    """Extension members: the org and the units in which the caller already is a member."""

    org_id: UUID = Field(description="The org.", examples=["01900000-0000-7000-8000-000000000000"])
    org_name: str = Field(description="The name of the org.", examples=["中共示范街道中心社区委员会"])
    units: list[str] = Field(description="The names of the units in which the caller is.", examples=[["第一支部"]])


class AlreadyMember(Conflict):
    slug, extension = "already-member", PlaceInOrg
    title = gettext_noop("您已在该组织的通讯录中")
    advice = gettext_noop("无需再申请；所在支部如有变化，请联系该组织的管理员。")


class JoinRequestOpen(Conflict):
    slug = "join-request-open"
    title = gettext_noop("您已申请加入该组织")
    advice = gettext_noop("请等待管理员处理，或先撤回原申请。")


class TooManyJoinRequests(Conflict):
    slug = "too-many-join-requests"
    title = gettext_noop("待处理的加入申请过多")
    advice = gettext_noop("请先撤回不再需要的申请。")


class JoinRequestDecided(Conflict):
    slug = "join-request-decided"
    title = gettext_noop("该申请已处理、撤回或过期")
    advice = gettext_noop("请刷新列表。")
