"""Sheets for imports that users download: the template, and the refused rows to correct.

A thread writes them, so that the event loop is not blocked.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from app.core.i18n import gettext
from app.sheets.layout import ByteBuffer, Choices, Column, Layout, Page, Row
from app.sheets.xlsx_writer import XlsxWriter

NO_PHONE = "无手机"
"""In the cell of the phone, in imports and exports: the person has no mobile phone."""
COLUMNS = ("姓名", "手机号码", "支部名称", "是否党员", "党员类型", "职务")
_WIDTHS = (16, 18, 36, 12, 14, 18)
_COMMENTS = (
    "必填。最多 50 个字符，与身份证上的姓名一致。",
    "必填。手机号码，境外号码请加代码，如 +852 91234567；请保持单元格为“文本”格式。没有手机的人员请填“无手机”。",
    "必填。可从下拉列表选择；多级支部用“/”分隔，如：机关党总支/第一党支部；多个支部用“;”分隔。",
    "选填：是 或 否。不填则按学习组织的类型。",
    "选填：正式党员、预备党员或非党员。",
    "选填。如：支部书记。不填则不改变。",
)
_GUIDE = (
    "填写说明",
    "1. 请在“人员”工作表中从第 2 行起填写，一行一人；示例行可以保留，导入时会跳过。",
    "2. 姓名、手机号码、支部名称为必填项；请不要修改、合并或删除表头。",
    "3. 同一人在多个支部：每个支部填一行，姓名和手机号码相同。",
    "4. 同一手机号码不能对应不同的姓名。没有手机的人员按姓名和支部区分：同一支部内同名的视为同一人。",
    "5. 支部名称可以用简称；不同上级下的同名支部请写全，如：机关党总支/第一党支部。",
    "6. 上传后先显示预览，确认之前不会改动通讯录；同一文件重复导入不会产生变化。",
    "7. 有错误的行可以单独下载，修改后再次上传。",
    "8. 党组织的学习组织不能添加非党员；非党员请加入所在单位的“党外人士学习组织”。",
)
_EXAMPLE = ("示例：张三", "13800138000", "机关第一党支部", "是", "正式党员", "支部书记")
_BATCH_ROWS = 1000


def _make_layout(units: Sequence[str], extra_headings: Sequence[str] = ()) -> Layout:
    """Return the columns of an import, with the org's units as choices, and columns with the extra headings."""
    choices = (
        None,
        None,
        Choices(units, strict=False, sheet="支部"),
        Choices(["是", "否"]),
        Choices(["正式党员", "预备党员", "非党员"]),
        None,
    )
    columns = [Column(*column) for column in zip(COLUMNS, _WIDTHS, _COMMENTS, choices, strict=True)]
    columns += [Column(heading, 30) for heading in extra_headings]
    return Layout("人员", columns, is_form=True, pages=[Page("填写说明", _GUIDE)])


async def draw_template(units: Sequence[str]) -> bytes:
    """Return the template of an import as xlsx: the columns, the org's units as choices, an example and a guide."""

    def draw() -> bytes:
        buffer = ByteBuffer()
        writer = XlsxWriter(_make_layout(units), buffer)
        name, phone, unit, *rest = _EXAMPLE
        writer.write_rows([[name, phone, units[0] if units else unit, *rest]])
        writer.finish()
        return buffer.take()

    return await asyncio.to_thread(draw)


async def draw_refused_rows(units: Sequence[str], rows: AsyncIterator[list[str | int]]) -> bytes:
    """Return refused rows as xlsx: the original cells, the row number, the reasons, and the number of the member.

    Users correct this sheet and upload it again.
    """
    buffer = ByteBuffer()
    layout = _make_layout(units, (gettext("原行号"), gettext("原因"), gettext("编号")))
    writer = await asyncio.to_thread(XlsxWriter, layout, buffer)
    batch: list[Row] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            await asyncio.to_thread(writer.write_rows, batch)
            batch = []
    await asyncio.to_thread(writer.write_rows, batch)
    await asyncio.to_thread(writer.finish)
    return buffer.take()
