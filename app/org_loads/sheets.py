"""Sheets of orgs that operators download: the template, and the refused rows to correct."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from app.core.i18n import gettext
from app.org_loads.rows import OPTIONAL, REQUIRED
from app.sheets.layout import ByteBuffer, Choices, Column, Layout, Page, Row
from app.sheets.xlsx_writer import XlsxWriter

_WIDTHS = (40, 20, 40, 20, 16, 16, 18)
_COMMENTS = (
    "必填。原系统中的组织全称，最多 100 个字符，保持不变（可以带“学习管理组”）。",
    "必填。地区代码（6 位或 9 位，全国为 000000），或从省级起的地区全名，如：江苏省南京市玄武区。",
    "选填。上级组织的编号、名称或系统中的 ID；有同名组织的，从上到下写全，用“/”分隔。没有上级的留空。",
    "选填：党组织 或 党外人士学习组织。不填则按名称判断。",
    "选填。原系统的编号，最多 64 个字符，表中不得重复；其他行可用它指明上级组织。",
    "选填，与手机号码同时填写。与身份证上的姓名一致。",
    "选填，与姓名同时填写。境外号码请加代码，如 +852 91234567；请保持单元格为“文本”格式。",
)
_GUIDE = (
    "填写说明",
    "1. 请在“组织”工作表中从第 2 行起填写，一行一个组织；示例行可以保留，载入时会跳过。",
    "2. 组织名称、所在地区代码为必填项；请不要修改、合并或删除表头。",
    "3. 上级组织可以是表中的另一行，也可以是系统中已有的组织；行的先后没有关系。",
    "4. 载入后，上下级认证即时生效，不需要申请。",
    "5. 主管理员不会直接任命：系统按姓名和手机号码向其发出提名，本人注册、实名认证并接受后成为主管理员，180 天内有效。",
    "6. 上传后先显示预览，确认之前不会新建组织；已有的组织不会改动，同一文件重复载入不会重复新建。",
    "7. 有错误的行可以单独下载，修改后再次上传；其下级所在的行也请保留在同一文件中。",
    "8. 载入的组织在使用之前可以撤销载入。",
)
_EXAMPLE = ("示例：中共南京市玄武区委员会", "320102", "中共南京市委员会", "党组织", "A0001", "张三", "13800138000")
_BATCH_ROWS = 1000


def _make_layout(extra_headings: Sequence[str] = ()) -> Layout:
    choices = (None, None, None, Choices(["党组织", "党外人士学习组织"]), None, None, None)
    columns = [Column(*column) for column in zip((*REQUIRED, *OPTIONAL), _WIDTHS, _COMMENTS, choices, strict=True)]
    columns += [Column(heading, 30) for heading in extra_headings]
    return Layout("组织", columns, is_form=True, pages=[Page("填写说明", _GUIDE)])


async def draw_template() -> bytes:
    """Return the template of a load as xlsx: the columns, an example and a guide."""

    def draw() -> bytes:
        buffer = ByteBuffer()
        writer = XlsxWriter(_make_layout(), buffer)
        writer.write_rows([_EXAMPLE])
        writer.finish()
        return buffer.take()

    return await asyncio.to_thread(draw)


async def draw_refused_rows(rows: AsyncIterator[list[str | int]]) -> bytes:
    """Return refused rows as xlsx: the cells as typed, the row number and the reasons."""
    buffer = ByteBuffer()
    writer = await asyncio.to_thread(XlsxWriter, _make_layout((gettext("原行号"), gettext("原因"))), buffer)
    batch: list[Row] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            await asyncio.to_thread(writer.write_rows, batch)
            batch = []
    await asyncio.to_thread(writer.write_rows, batch)
    await asyncio.to_thread(writer.finish)
    return buffer.take()
