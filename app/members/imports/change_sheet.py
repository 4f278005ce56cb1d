"""The people whom an import changes, moves or removes as a file: one row for each value, before and after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from app.core.cipher import Cipher
from app.core.i18n import gettext, gettext_noop
from app.database.db import Readable
from app.database.paging import MAXIMUM, Paging
from app.members.imports.change_queries import list_changes
from app.members.imports.change_texts import describe_value, get_field_title
from app.members.imports.schemas import ChangeOutcome, ImportChangeOut
from app.members.imports.sheet_contents import describe_places
from app.sheets.layout import ByteBuffer, Column, Layout, Row
from app.sheets.xlsx_writer import XlsxWriter

_OUTCOMES = {
    ChangeOutcome.CHANGED: gettext_noop("更新"),
    ChangeOutcome.MOVED: gettext_noop("调整支部"),
    ChangeOutcome.UNDECIDED: gettext_noop("待确认"),
    ChangeOutcome.LEFT: gettext_noop("移出"),
}
_HEADINGS = (
    (gettext_noop("姓名"), 16),
    (gettext_noop("变动"), 12),
    (gettext_noop("项目"), 14),
    (gettext_noop("导入前"), 36),
    (gettext_noop("导入后"), 36),
    (gettext_noop("原行号"), 16),
)


async def draw_changes(
    db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID, outcome: ChangeOutcome | None
) -> bytes:
    """Return the changes as an XLSX, or only those with this outcome."""
    buffer = ByteBuffer()
    layout = Layout(gettext("变动"), [Column(gettext(heading), width) for heading, width in _HEADINGS])
    writer = await asyncio.to_thread(XlsxWriter, layout, buffer)
    async for people in _stream_changes(db, cipher, org_id, import_id, outcome):
        await asyncio.to_thread(writer.write_rows, [row for person in people for row in _make_rows(person)])
    await asyncio.to_thread(writer.finish)
    return buffer.take()


async def _stream_changes(
    db: Readable, cipher: Cipher, org_id: UUID, import_id: UUID, outcome: ChangeOutcome | None
) -> AsyncIterator[Sequence[ImportChangeOut]]:
    paging = Paging(MAXIMUM, None)
    while True:
        page = await list_changes(db, cipher, org_id, import_id, outcome, paging)
        yield page.items
        if page.next_cursor is None:
            return
        paging = Paging(MAXIMUM, (page.items[-1].member_id,))


def _make_rows(person: ImportChangeOut) -> list[Row]:
    place = "" if person.row is None else describe_places([person.row])
    return [
        [
            person.name,
            gettext(_OUTCOMES[person.outcome]),
            get_field_title(change.field),
            describe_value(change.before),
            describe_value(change.after),
            place,
        ]
        for change in person.changes
    ]
