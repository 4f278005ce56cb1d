"""What is refused about an upload, a whole sheet, or a step of an import, and what to do instead.

A sheet is refused at once where its outside tells (422 on the upload), else by the job that reads it: then the
import's `refusal` has the same code.
"""

from app.web.errors import Conflict, Problem


class SheetRefused(Problem):
    """A sheet that cannot be read as one; nothing of it has any effect. `extra` may name columns."""

    status = 422


class FileEmpty(SheetRefused):
    slug = "file-empty"
    zh, en = "文件是空的", "The file is empty"
    advice_zh, advice_en = "请下载模板,填写后上传。", "Download the template, fill it in, and upload that."


class FileTypeUnknown(SheetRefused):
    slug = "file-type-unknown"
    zh, en = "不支持的文件类型", "The file is of a kind that cannot be read"
    advice_zh, advice_en = "请上传 .xlsx、.xls、.ods 或 .csv 文件。", "Upload an .xlsx, .xls, .ods or .csv file."


class FileRenamed(SheetRefused):
    slug = "file-renamed"
    zh, en = "文件内容与扩展名不符", "The file is not what its extension says"
    advice_zh = "请在表格软件中打开后“另存为”xlsx,不要直接修改扩展名。"
    advice_en = "Open it in a spreadsheet program and save it as xlsx; renaming does not convert it."


class FileEncrypted(SheetRefused):
    slug = "file-encrypted"
    zh, en = "文件设有密码", "The file is protected by a password"
    advice_zh, advice_en = "请取消文件密码后重新上传。", "Save it without a password, and upload that."


class FileDamaged(SheetRefused):
    slug = "file-damaged"
    zh, en = "文件已损坏或不完整", "The file is damaged or incomplete"
    advice_zh = "请在表格软件中打开,另存为 xlsx 后重新上传。"
    advice_en = "Open it in a spreadsheet program, save it again as xlsx, and upload that."


class FileBomb(SheetRefused):
    slug = "file-bomb"
    zh, en = "文件解压后过大", "The file unpacks to far more than it holds"
    advice_zh, advice_en = "请只保留需要导入的工作表。", "Keep only the sheet that is to be imported."


class FileExhausting(SheetRefused):
    slug = "file-exhausting"
    zh, en = "读取此文件所需的内存或时间过多", "Reading the file takes more memory or time than allowed"
    advice_zh = "请将数据复制到新下载的模板中(只粘贴数值)再上传。"
    advice_en = "Copy the data into a fresh template, values only, and upload that."


class FileHasDtd(SheetRefused):
    slug = "file-has-dtd"
    zh, en = "文件含有不允许的 XML 声明", "The file holds XML declarations that are not allowed"
    advice_zh, advice_en = "请在表格软件中另存为 xlsx。", "Save it again as xlsx in a spreadsheet program."


class EncodingUnknown(SheetRefused):
    slug = "encoding-unknown"
    zh, en = "无法识别 CSV 的文字编码", "The text encoding of the CSV is not known"
    advice_zh, advice_en = "请保存为 UTF-8 或 GB18030 编码。", "Save it as UTF-8 or GB18030."


class NoSheet(SheetRefused):
    slug = "no-sheet"
    zh, en = "文件中没有工作表", "The file has no worksheet"
    advice_zh, advice_en = "请下载模板,填写后上传。", "Download the template, fill it in, and upload that."


class SheetsAmbiguous(SheetRefused):
    """Carries `sheets`, their names."""

    slug = "sheets-ambiguous"
    zh, en = "多个工作表都含有导入表头", "Several sheets have the columns of an import"
    advice_zh, advice_en = "请只保留一个需要导入的工作表。", "Keep one of them."


class HeaderMissing(SheetRefused):
    """Carries `columns`, the ones that were not found."""

    slug = "header-missing"
    zh, en = "缺少必需的表头", "A required column is missing"
    advice_zh = "表头须含:姓名、手机号码、支部名称。建议使用模板。"
    advice_en = "The header row needs 姓名, 手机号码 and 支部名称: best use the template."


class HeaderDoubled(SheetRefused):
    """Carries `columns`, the ones that are there twice."""

    slug = "header-doubled"
    zh, en = "表头重复", "A column is there twice"
    advice_zh, advice_en = "每个表头只能出现一次。", "Each heading may be there once."


class HeaderMerged(SheetRefused):
    slug = "header-merged"
    zh, en = "表头含有合并单元格", "The header row has merged cells"
    advice_zh, advice_en = "请取消表头的合并单元格。", "Unmerge the cells of the header row."


class NoRows(SheetRefused):
    slug = "no-rows"
    zh, en = "表中没有数据行", "The sheet has no rows of data"
    advice_zh, advice_en = "请在表头下方填写人员信息。", "Fill in people under the header row."


class TooManyRows(SheetRefused):
    """Carries `limit`."""

    slug = "too-many-rows"
    zh, en = "数据行过多", "The sheet has too many rows"
    advice_zh, advice_en = "请拆分为多个文件分别导入。", "Split it into several files."


class TooManyNewUnits(SheetRefused):
    """Carries `limit`."""

    slug = "too-many-new-units"
    zh, en = "需要新建的支部过多", "The sheet names too many new units"
    advice_zh, advice_en = "请检查“支部名称”一列是否填错。", "See whether the column 支部名称 holds what it should."


SHEET_REFUSALS: dict[str, type[SheetRefused]] = {kind.slug: kind for kind in SheetRefused.__subclasses__()}


class ImportNotReady(Conflict):
    """Carries `state`."""

    slug = "import-not-ready"
    zh, en = "该导入当前不能确认", "The import cannot be confirmed as it stands"
    advice_zh = "只有检查完成(state 为 ready)的导入可以确认。"
    advice_en = "An import is confirmed once, while its state is `ready`."


class ImportSettled(Conflict):
    """Carries `state`."""

    slug = "import-settled"
    zh, en = "该导入已结束,不能取消", "The import is over and cannot be cancelled"
    advice_zh, advice_en = "已导入的人员可在通讯录中修改。", "What it added can be edited in the directory."


class RemovalsNeedConsent(Conflict):
    """Carries `leaving` and `people`: how many of how many the replacement would remove."""

    slug = "removals-need-consent"
    zh, en = "此次覆盖导入将移除较多人员", "The replacement would remove many people"
    advice_zh = "请核对将离开的人员;确认无误后,在请求中以 leaving 给出该人数。"
    advice_en = "Look at who would leave; to go on, give that number as `leaving`."
