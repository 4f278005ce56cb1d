"""Sheets that the service writes: the import's template and its refused rows, one to be filled in, one to be mended.

Rows are written in constant memory and off the event loop. Every text is a text to the spreadsheet program: nothing
that somebody typed is ever a formula or a link.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

import xlsxwriter

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

COLUMNS = ("姓名", "手机号码", "支部名称", "是否党员")
_WIDTHS = (16, 18, 36, 12)
_COMMENTS = (
    "必填。最多 50 个字符,与身份证上的姓名一致。",
    "必填。中国大陆手机号码;请保持单元格为“文本”格式。",
    "必填。可从下拉列表选择;多级支部用“/”分隔,如:机关党总支/第一党支部。",
    "选填:是 或 否。不填则按学习组织的类型。",
)
_GUIDE = (
    "填写说明",
    "1. 请在“人员”工作表中从第 2 行起填写,一行一人;示例行可以保留,导入时会跳过。",
    "2. 姓名、手机号码、支部名称为必填项;请不要修改、合并或删除表头。",
    "3. 同一人在多个支部:每个支部填一行,姓名和手机号码相同。",
    "4. 同一手机号码不能对应不同的姓名。",
    "5. 支部名称可以用简称;不同上级下的同名支部请写全,如:机关党总支/第一党支部。",
    "6. 上传后先显示预览,确认之前不会改动通讯录;同一文件重复导入不会产生变化。",
    "7. 有错误的行可以单独下载,修改后再次上传。",
    "8. 党组织的学习组织不能添加非党员;非党员请加入所在单位的“党外人士学习组织”。",
)
_EXAMPLE = ("示例:张三", "13800138000", "机关第一党支部", "是")
_ENTERABLE = 100_000
_BATCH = 1000


class _PeopleSheet:
    """A workbook whose first sheet has the import's columns, with the org's units to choose from."""

    def __init__(self, units: Sequence[str], more: Sequence[str] = ()) -> None:
        self._content = io.BytesIO()
        self._book = xlsxwriter.Workbook(
            self._content,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
                "default_date_format": "yyyy-mm-dd",
            },
        )
        head = self._book.add_format({"bold": True, "bg_color": "#C00000", "font_color": "#FFFFFF", "border": 1})
        self._text = self._book.add_format({"num_format": "@"})
        sheet = self._sheet = self._book.add_worksheet("人员")
        sheet.freeze_panes(1, 0)
        for column, (width, comment) in enumerate(zip(_WIDTHS, _COMMENTS, strict=True)):
            sheet.set_column(column, column, width, self._text)
            sheet.write_comment(0, column, comment)
        if more:
            sheet.set_column(len(COLUMNS), len(COLUMNS) + len(more) - 1, 30)
        if units:
            self._offer(2, {"validate": "list", "source": f"=支部!$A$1:$A${len(units)}", "error_type": "information"})
        self._offer(3, {"validate": "list", "source": ["是", "否"]})
        sheet.write_row(0, 0, [*COLUMNS, *more], head)
        self._next_row = 1
        self._units = units

    def _offer(self, column: int, options: dict[str, Any]) -> None:
        self._sheet.data_validation(1, column, _ENTERABLE, column, options)

    def write(self, rows: Sequence[Sequence[str | int]]) -> None:
        for row in rows:
            for column, value in enumerate(row):
                if isinstance(value, int):
                    self._sheet.write_number(self._next_row, column, value)
                else:
                    self._sheet.write_string(self._next_row, column, value, self._text)
            self._next_row += 1

    def finish(self) -> bytes:
        guide = self._book.add_worksheet("填写说明")
        guide.set_column(0, 0, 90)
        for row, line in enumerate(_GUIDE):
            guide.write_string(row, 0, line)
        listed = self._book.add_worksheet("支部")
        listed.hide()
        for row, unit in enumerate(self._units):
            listed.write_string(row, 0, unit)
        self._book.close()
        return self._content.getvalue()


async def draw_template(units: Sequence[str]) -> bytes:
    """The import's template as xlsx: the columns, the org's units to choose from, an example and a guide."""

    def draw() -> bytes:
        sheet = _PeopleSheet(units)
        name, phone, unit, party = _EXAMPLE
        sheet.write([[name, phone, units[0] if units else unit, party]])
        return sheet.finish()

    return await asyncio.to_thread(draw)


async def draw_refused_rows(units: Sequence[str], rows: AsyncIterator[list[str | int]], *, english: bool) -> bytes:
    """Refused rows as xlsx, as they were typed, each with its number and the reasons; uploaded again once mended."""
    more = ("row in the sheet", "reason") if english else ("原行号", "原因")
    sheet = await asyncio.to_thread(_PeopleSheet, units, more)
    batch: list[list[str | int]] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            await asyncio.to_thread(sheet.write, batch)
            batch = []
    await asyncio.to_thread(sheet.write, batch)
    return await asyncio.to_thread(sheet.finish)
