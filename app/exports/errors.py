"""What is refused about exports, and what to do instead."""

from app.web.errors import Conflict, Problem


class ExportNotReady(Conflict):
    """Carries `state`: still being made, or failed."""

    slug = "export-not-ready"
    zh, en = "导出文件尚未就绪", "The export is not ready"
    advice_zh = "请等到 state 为 done 再下载;若为 failed,请重新导出。"
    advice_en = "Download it once its state is done; where it is failed, ask for a new one."


class ExportExpired(Problem):
    status, slug = 410, "export-expired"
    zh, en = "导出文件已过期", "The export has expired"
    advice_zh, advice_en = "导出文件只保留一天,请重新导出。", "Files are kept for a day: ask for a new export."


class TooManyExports(Conflict):
    slug = "too-many-exports"
    zh, en = "您在本组织的导出文件过多", "You have too many exports in this organisation"
    advice_zh, advice_en = "请先删除不再需要的导出文件。", "Delete those that you no longer need first."
