"""Errors of loads of orgs. Those of the sheet itself are the ones of imports (`members.imports.errors`)."""

from collections.abc import Sequence
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.org_loads.reversal import OrgInUse
from app.web.errors import Conflict


class PresentLoadState(BaseModel):
    """Extension members: the state."""

    state: str = Field(description="The present state of the load.", examples=["checking"])


class OrgLoadNotReady(Conflict):
    slug, extension = "org-load-not-ready", PresentLoadState
    title = gettext_noop("该载入当前不能确认")
    advice = gettext_noop("只有检查完毕、尚未确认的载入可以确认。")


class PresentPreview(BaseModel):
    """Extension members: the present preview."""

    preview: int = Field(description="The number of the present preview.", examples=[2])
    to_create: int = Field(description="Rows whose orgs will be created.", examples=[40])
    present: int = Field(description="Rows whose orgs exist already.", examples=[2])
    refused: int = Field(description="Rows with a problem.", examples=[0])


class OrgLoadPreviewStale(Conflict):
    """The operator has seen another preview than the present one."""

    slug, extension = "org-load-preview-stale", PresentPreview
    title = gettext_noop("预览之后情况已有变化")
    advice = gettext_noop("请重新查看各行的结果，再按新的预览确认。")


class OrgLoadSettled(Conflict):
    slug, extension = "org-load-settled", PresentLoadState
    title = gettext_noop("该载入已结束，不能取消")
    advice = gettext_noop("已载入的组织可以撤销载入。")


class OrgLoadNotReversible(Conflict):
    slug, extension = "org-load-not-reversible", PresentLoadState
    title = gettext_noop("该载入没有可以撤销的组织")
    advice = gettext_noop("只有已结束并新建了组织的载入可以撤销。")


class OrgInUseOut(BaseModel):
    """An org that cannot be closed."""

    row_no: int | None = Field(description="The number of the row in the sheet; null after the rows are deleted.")
    org_id: UUID
    reason: str = Field(
        description="`taken-over` (it has a main admin), `has-people`, `has-units`, "
        "`has-subordinates` (one that stays), `has-requests` (somebody waits for its answer).",
        examples=["taken-over"],
    )


class OrgsInUse(BaseModel):
    """Extension members: the orgs that cannot be closed."""

    orgs: int = Field(description="The number of all of them.", examples=[1])
    first: list[OrgInUseOut] = Field(
        description="The first of them, at most 100, in the order of the sheet.",
        examples=[[{"row_no": 3, "org_id": "019a0000-0000-7000-8000-000000000000", "reason": "taken-over"}]],
    )


class OrgLoadInUse(Conflict):
    """Orgs of the load are in use, so that the load cannot be reversed as a whole."""

    slug, extension = "org-load-in-use", OrgsInUse
    title = gettext_noop("部分已载入的组织已在使用，不能撤销")
    advice = gettext_noop("可以只撤销未使用的组织；其余组织由其主管理员关闭。")

    @classmethod
    def of(cls, found: Sequence[OrgInUse]) -> Self:
        """Return the error with the orgs that are in use."""
        first = [{"row_no": org.row_no, "org_id": str(org.org_id), "reason": org.reason} for org in found]
        return cls(orgs=found[0].orgs, first=first)
