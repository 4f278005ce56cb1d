"""Errors of an upload, of a whole sheet, or of a step of an import.

The upload answers 422 if `inspect_upload` finds that the file cannot be read. Otherwise the job that reads the
sheet refuses it, and the import's `refusal` has the same code.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from app.core.i18n import gettext, gettext_noop
from app.web.errors import BodyTooLarge, Conflict, Problem


class SheetRefused(Problem):
    """A problem with the whole sheet. Nothing of the sheet is imported. `extra` may contain the names of columns."""

    status = 422


class FileEmpty(SheetRefused):
    slug = "file-empty"
    title = gettext_noop("文件是空的")
    advice = gettext_noop("请下载模板，填写后上传。")


class FileTypeUnknown(SheetRefused):
    slug = "file-type-unknown"
    title = gettext_noop("不支持的文件类型")
    advice = gettext_noop("请上传 .xlsx、.xls、.ods 或 .csv 文件。")


class FileRenamed(SheetRefused):
    slug = "file-renamed"
    title = gettext_noop("文件内容与扩展名不符")
    advice = gettext_noop("请在表格软件中打开后“另存为”xlsx，不要直接修改扩展名。")


class FileEncrypted(SheetRefused):
    slug = "file-encrypted"
    title = gettext_noop("文件设有密码")
    advice = gettext_noop("请取消文件密码后重新上传。")


class FileDamaged(SheetRefused):
    slug = "file-damaged"
    title = gettext_noop("文件已损坏或不完整")
    advice = gettext_noop("请在表格软件中打开，另存为 xlsx 后重新上传。")


class MaxFileSize(BaseModel):
    """Extension members: the limit."""

    limit: int = Field(description="The largest file, in MB.", examples=[20])


class FileTooLarge(BodyTooLarge):
    """The file is larger than the service accepts."""

    slug, extension = "file-too-large", MaxFileSize
    title = gettext_noop("文件过大")
    advice = gettext_noop("文件的大小（MB）不能超过 limit。请删除其中的图片和不需要的工作表后重新上传。")


class FileBomb(SheetRefused):
    slug = "file-bomb"
    title = gettext_noop("文件解压后过大")
    advice = gettext_noop(
        "除图片外，文件解压后不能超过 400 MB，也不能多于 1000 个部分。"
        "请将需要导入的工作表复制到新文件中（只粘贴数值）。"
    )


class FileExhausting(SheetRefused):
    slug = "file-exhausting"
    title = gettext_noop("读取此文件所需的内存或时间过多")
    advice = gettext_noop("读取一个文件最多用 20 秒和 1 GB 内存。请将数据复制到新下载的模板中（只粘贴数值）再上传。")


class FileHasDtd(SheetRefused):
    slug = "file-has-dtd"
    title = gettext_noop("文件含有不允许的 XML 声明")
    advice = gettext_noop("请在表格软件中另存为 xlsx。")


class EncodingUnknown(SheetRefused):
    slug = "encoding-unknown"
    title = gettext_noop("无法识别 CSV 的文字编码")
    advice = gettext_noop("请保存为 UTF-8 或 GB18030 编码。")


class NoSheet(SheetRefused):
    slug = "no-sheet"
    title = gettext_noop("文件中没有工作表")
    advice = gettext_noop("请下载模板，填写后上传。")


class HeaderMissing(SheetRefused):
    """The sheet lacks required columns. `extra["columns"]` contains their headings."""

    slug = "header-missing"
    title = gettext_noop("缺少必需的表头")
    advice = gettext_noop(
        "每个工作表只在前 30 行中查找表头。"
        "表头须含：姓名、手机号码、支部名称（或常用的说法，如：手机、所在支部）。建议使用模板。"
    )


class HeaderDoubled(SheetRefused):
    """Headings occur more than once. `extra["columns"]` contains these headings."""

    slug = "header-doubled"
    title = gettext_noop("表头重复")
    advice = gettext_noop("每个表头只能出现一次。")


class HeaderAmbiguous(SheetRefused):
    """Several headings could mean the same column. `extra["columns"]` contains these headings."""

    slug = "header-ambiguous"
    title = gettext_noop("有多列都可能是需要的一列")
    advice = gettext_noop("请选择要读取的一列，或将其表头改为：姓名、手机号码、支部名称。")


class HeaderMerged(SheetRefused):
    """A heading is in merged cells. `extra["columns"]` contains the headings of such cells."""

    slug = "header-merged"
    title = gettext_noop("表头横跨多列")
    advice = gettext_noop("请取消该表头的合并单元格，每列写一个表头。")


class NoRows(SheetRefused):
    slug = "no-rows"
    title = gettext_noop("表中没有数据行")
    advice = gettext_noop("请在表头下方填写人员信息。")


class TooManyRows(SheetRefused):
    """The sheet has more rows of data than one import accepts."""

    slug = "too-many-rows"
    title = gettext_noop("数据行过多")
    advice = gettext_noop("一次最多导入 200,000 行。请拆分为多个文件，以“新增和更新”的方式分别导入。")


class UnitLimit(BaseModel):
    """The additional member of the problem: the largest number of new units in one import."""

    limit: int = Field(description="The number of units that one import can create.", examples=[500])


class TooManyNewUnits(SheetRefused):
    """The sheet names more new units than one import can create."""

    slug, extension = "too-many-new-units", UnitLimit
    title = gettext_noop("需要新建的支部过多")
    advice = gettext_noop("一次最多新建 1000 个支部。请检查“支部名称”一列是否填错。")


# The advice of a refusal about which more is known than its code.
_OPEN_QUOTE = gettext_noop("第 {row} 行有一个引号没有配对，其后的内容会并入这一格。请在该行补上或去掉引号后重新上传。")
_DAMAGED_ROW = gettext_noop("第 {row} 行不能读取。请在表格软件中打开，另存为 xlsx 后重新上传。")
_NO_SPLITTING = gettext_noop(
    "一次最多导入 200,000 行。整体替换不能拆分文件：每个文件都会移除其余文件中的人员。请分批以“新增和更新”的方式导入。"
)


def describe_refusal(refusal: Mapping[str, Any], mode: str) -> tuple[str, str]:
    """Return the title and the advice of a stored refusal."""
    kind = SHEET_REFUSALS[refusal["code"]]
    advice = kind.advice
    if kind is FileDamaged and "row" in refusal:
        advice = _OPEN_QUOTE if refusal.get("cause") == "quote-open" else _DAMAGED_ROW
    elif kind is TooManyRows and mode != "add-and-update":
        advice = _NO_SPLITTING
    return gettext(kind.title), gettext(advice, row=refusal.get("row"))


SHEET_REFUSALS: dict[str, type[SheetRefused]] = {kind.slug: kind for kind in SheetRefused.__subclasses__()}


class ImportState(BaseModel):
    """Extension members: the state."""

    state: str = Field(description="The present state of the import.", examples=["checking"])


class ImportNotReady(Conflict):
    """The import cannot be confirmed in its present state."""

    slug, extension = "import-not-ready", ImportState
    title = gettext_noop("该导入当前不能确认")
    advice = gettext_noop("只有检查完毕、尚未确认的导入（state 为 ready）可以确认。")


class ImportNotRereadable(Conflict):
    """The file of the import cannot be read again."""

    slug, extension = "import-not-rereadable", ImportState
    title = gettext_noop("该导入不能重新读取")
    advice = gettext_noop("等待确认的导入和因表头被退回的导入可以重新读取；其他情况请重新上传文件。")


# The refusals after which the file remains, since another choice of columns or sheets may help.
REREADABLE = frozenset({"header-missing", "header-ambiguous", "header-doubled", "header-merged", "no-rows"})


class ImportSettled(Conflict):
    """The import cannot be canceled in its present state."""

    slug, extension = "import-settled", ImportState
    title = gettext_noop("该导入已结束，不能取消")
    advice = gettext_noop("已导入的人员可在通讯录中修改。")


class Removals(BaseModel):
    """The additional members of the problem: how many people the replacement removes, and the address of their list."""

    leaving: int = Field(description="The number of people that the replacement would remove.", examples=[40])
    people: int = Field(description="The number of people in the directory.", examples=[60])
    list_href: str = Field(
        description="The list of the people who would leave.",
        examples=["/v1/orgs/0197…/imports/0197…/changes?outcome=left"],
    )


class RemovalsNeedConsent(Conflict):
    """The replacement would remove many people, and the request does not confirm their number exactly."""

    slug, extension = "removals-need-consent", Removals
    title = gettext_noop("此次整体替换将移除较多人员")
    advice = gettext_noop("请核对将被移除的人员；确认无误后，在请求中以 leaving 给出该人数。")


class StalePreview(Removals):
    """The additional members of the problem: the number of the present preview, and those of `Removals`."""

    preview: int = Field(description="The number of the present preview.", examples=[2])


class ImportPreviewStale(Conflict):
    """The directory or the preview has changed since the admin saw the preview. There is a new preview."""

    slug, extension = "import-preview-stale", StalePreview
    title = gettext_noop("预览之后情况有变化")
    advice = gettext_noop("通讯录或表格的内容在预览之后有改动。请查看新的预览，再确认一次。")


class RowNotUndecided(Conflict):
    """The confirmation decides about a row that waits for no decision."""

    slug = "row-not-undecided"
    title = gettext_noop("该行无需选择")
    advice = gettext_noop("只有 outcome 为 undecided 的行可以选择；同一行只能有一种选择。")


class ImportRowEdited(Conflict):
    """Another admin has changed the row since the caller saw it."""

    slug = "import-row-edited"
    title = gettext_noop("该行已被他人修改")
    advice = gettext_noop("请重新读取该行，核对后再修改。")


class ImportNotReversible(Conflict):
    """The import cannot be undone: it is not done, was undone before, or was done too long ago."""

    slug = "import-not-reversible"
    title = gettext_noop("该导入不能撤销")
    advice = gettext_noop("只有完成后 24 小时内、尚未撤销的导入可以撤销。请在通讯录中修改。")


class Blocked(BaseModel):
    """The additional member of the problem: how many people were edited after the import."""

    blocked: int = Field(description="The number of people who were edited since the import.", examples=[3])


class ImportEditedSince(Conflict):
    """Some people of the import were edited after it, and the request does not accept that they remain unchanged."""

    slug, extension = "import-edited-since", Blocked
    title = gettext_noop("有人员在导入之后又被修改")
    advice = gettext_noop("这些人员不能撤销。如只撤销其余人员，请在请求中给出 partial: true。")
