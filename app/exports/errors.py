"""The errors of exports."""

from typing import Literal

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.web.errors import Conflict, Problem


class ExportState(BaseModel):
    """Extension members: the state."""

    state: Literal["waiting", "running", "failed"] = Field(description="The state of the export.", examples=["running"])


class ExportNotReady(Conflict):
    """The file of the export does not exist: the job has not finished, or it has failed."""

    slug, extension = "export-not-ready", ExportState
    title = gettext_noop("导出文件尚未就绪")
    advice = gettext_noop("请等到 state 为 done 再下载；若为 failed，请重新导出。")


class ExportExpired(Problem):
    status, slug = 410, "export-expired"
    title = gettext_noop("导出文件已过期")
    advice = gettext_noop("导出文件只保留一天，请重新导出。")


class TooManyExports(Conflict):
    slug = "too-many-exports"
    title = gettext_noop("您在本组织的导出文件过多")
    advice = gettext_noop("请先删除不再需要的导出文件。")
