"""Sheets that the service writes: the import's template and its refused rows, one to be filled in, one to be mended.

Rows are written in constant memory and off the event loop. Every text is a text to the spreadsheet program: nothing
that somebody typed is ever a formula or a link.
"""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import xlsxwriter

from app.exports.sheets import row_xml

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


_ROWS_END = b"</sheetData>"
_FIRST_SHEET = "xl/worksheets/sheet1.xml"
# Only says how large the sheet is, which is not known before it is written; a program that wants to know looks.
_DIMENSION = re.compile(rb"<dimension [^>]*/>")
_TEXT_STYLE = re.compile(rb'<col min="1" max="1" [^>]*style="(\d+)"')


def _empty(units: Sequence[str], more: Sequence[str] = ()) -> bytes:
    """A workbook whose first sheet has the import's columns and no rows, with the org's units to choose from."""
    content = io.BytesIO()
    # Its parts are made in memory, which holds the units at most: what is not goes through files.
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    head = book.add_format({"bold": True, "bg_color": "#C00000", "font_color": "#FFFFFF", "border": 1})
    text = book.add_format({"num_format": "@"})
    sheet = book.add_worksheet("人员")
    sheet.freeze_panes(1, 0)
    for column, (width, comment) in enumerate(zip(_WIDTHS, _COMMENTS, strict=True)):
        sheet.set_column(column, column, width, text)
        sheet.write_comment(0, column, comment)
    if more:
        sheet.set_column(len(COLUMNS), len(COLUMNS) + len(more) - 1, 30)
    offered: dict[int, dict[str, Any]] = {3: {"validate": "list", "source": ["是", "否"]}}
    if units:
        listed_units = f"=支部!$A$1:$A${len(units)}"
        offered[2] = {"validate": "list", "source": listed_units, "error_type": "information"}
    for column, options in sorted(offered.items()):
        sheet.data_validation(1, column, _ENTERABLE, column, options)
    sheet.write_row(0, 0, [*COLUMNS, *more], head)
    guide = book.add_worksheet("填写说明")
    guide.set_column(0, 0, 90)
    guide.write_column(0, 0, _GUIDE)
    listed = book.add_worksheet("支部")
    listed.hide()
    for row, unit in enumerate(units):
        listed.write_string(row, 0, unit)
    book.close()
    return content.getvalue()


class _PeopleSheet:
    """The empty workbook written again with rows in its first sheet, straight through the zip: people's phones are in
    no file on the way, and no more of them in memory than is written at a time."""

    def __init__(self, units: Sequence[str], more: Sequence[str] = ()) -> None:
        self._content = io.BytesIO()
        self._zip = zipfile.ZipFile(self._content, "w", zipfile.ZIP_DEFLATED)
        with zipfile.ZipFile(io.BytesIO(_empty(units, more))) as empty:
            for entry in empty.namelist():
                if entry != _FIRST_SHEET:
                    self._zip.writestr(entry, empty.read(entry))
            sheet = _DIMENSION.sub(b"", empty.read(_FIRST_SHEET))
        style = _TEXT_STYLE.search(sheet)
        assert style is not None
        self._style = int(style[1])
        before, self._after = sheet.split(_ROWS_END)
        self._part = self._zip.open(_FIRST_SHEET, "w", force_zip64=True)
        self._part.write(before)
        self._numbers = count(2)

    def write(self, rows: Sequence[Sequence[str | int]]) -> None:
        self._part.write("".join([row_xml(next(self._numbers), row, self._style) for row in rows]).encode())

    def finish(self) -> bytes:
        self._part.write(_ROWS_END + self._after)
        self._part.close()
        self._zip.close()
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
