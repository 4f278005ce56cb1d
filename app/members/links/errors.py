"""Errors of calls about link requests."""

from uuid import UUID

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, Problem


class UnknownOrg(Problem):
    status, slug = 422, "unknown-org"
    title = gettext_noop("没有这个学习组织，或有重名")
    advice = gettext_noop("请向其学习管理员核对组织全称和所在地区；如有重名，请使用组织的 id。")


class AlreadyInDirectory(Conflict):
    slug = "already-in-directory"
    title = gettext_noop("该账号已关联到此组织通讯录中的人员")
    advice = gettext_noop("无需再关联；如关联有误，请管理员先解除原有关联。")


class LinkRequestOpen(Conflict):
    slug = "link-request-open"
    title = gettext_noop("您已向该组织提出申请")
    advice = gettext_noop("请等待管理员处理，或先撤回原申请。")


class TooManyLinkRequests(Conflict):
    slug = "too-many-link-requests"
    title = gettext_noop("待处理的关联申请过多")
    advice = gettext_noop("请先撤回不再需要的申请。")


class LinkRequestDecided(Conflict):
    slug = "link-request-decided"
    title = gettext_noop("该申请已处理、撤回或过期")
    advice = gettext_noop("请刷新列表。")


class Candidates(BaseModel):
    """Extension members: the matching rows."""

    member_ids: list[UUID] = Field(
        description="The rows of the directory that match.", examples=[["01900000-0000-7000-8000-000000000000"]]
    )


class SeveralCandidates(Conflict):
    """Several rows of the directory match the requester."""

    slug, extension = "several-candidates", Candidates
    title = gettext_noop("通讯录中有多人符合")
    advice = gettext_noop("请核对后指定 member_id。")


class NoCandidate(Conflict):
    slug = "no-candidate"
    title = gettext_noop("此人与该申请不符")
    advice = gettext_noop("只能关联未激活、且姓名与申请人实名一致（或手机号码相同）的人员；如姓名有误，请先修改。")
