"""Details of a sheet that the parser library does not report: hidden rows, error values, and merged cells of ods.

Each function reads only the necessary part of the raw file. If it cannot read that part, the sheet has no details.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from xml.etree import ElementTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Place = tuple[int, int]  # row from 1, column from 0


class Details:
    """The numbers of the hidden rows, the error values by row and column, and the merged cells (ods only) as first row,
    first column, last row, last column."""

    def __init__(self) -> None:
        self.hidden: frozenset[int] = frozenset()
        self.errors: dict[Place, str] = {}
        self.merged: list[tuple[int, int, int, int]] = []


NOTHING = Details()
_SIGNS = (b"hidden=", b"visibility=", b't="e"', b"rows-spanned=", b'value-type="error"')


def may_need_details(xml: bytes) -> bool:
    """Return whether a piece of XML has one of the attributes that `read_details` looks for."""
    return any(sign in xml for sign in _SIGNS)


def read_details(kind: str, content: bytes, name: str) -> Details:
    """Return the details of the sheet with this name."""
    found = Details()
    try:
        if kind == "xls":
            _read_xls(content, name, found)
        else:
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                (_read_xlsx if kind == "xlsx" else _read_ods)(packed, name, found)
    except (KeyError, ValueError, IndexError, struct.error, ElementTree.ParseError):
        return NOTHING
    return found


_ROW = re.compile(rb"<(?:\w+:)?row\b[^>]*>")
_ATTRIBUTE = re.compile(rb'\b(r|hidden)="(\w+)"')
_ERROR = re.compile(rb'<(?:\w+:)?c\b([^>]*\bt="e"[^>]*)>(?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?v>([^<]{1,20})</', re.DOTALL)
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_LONGEST_CELL = 1 << 16


def _read_xlsx(packed: zipfile.ZipFile, name: str, found: Details) -> None:
    part = _find_sheet_part(packed, name)
    if part is None:
        return
    hidden: set[int] = set()
    rest = b""
    with packed.open(part) as xml:
        while chunk := xml.read(1 << 18):
            text = rest + chunk
            # Few sheets have hidden rows, and a search for the word is fifty times as fast as a search for the tag.
            for tag in _ROW.finditer(text) if b"hidden=" in text else ():
                attributes = dict(_ATTRIBUTE.findall(tag[0]))
                if attributes.get(b"hidden") in {b"1", b"true"} and attributes.get(b"r", b"").isdigit():
                    hidden.add(int(attributes[b"r"]))
            for cell in _ERROR.finditer(text) if b't="e"' in text else ():
                if reference := _REFERENCE.search(cell[1]):
                    found.errors[int(reference[2]), _get_column(reference[1])] = cell[2].decode("ascii", "replace")
            rest = (
                text[-_LONGEST_CELL:]
                if b't="e"' in text[-_LONGEST_CELL:]
                else text[max(text.rfind(b"<"), len(text) - 4096) :]
            )
    found.hidden = frozenset(hidden)


def _get_column(letters: bytes) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + letter - 64
    return column - 1


def _find_sheet_part(packed: zipfile.ZipFile, name: str) -> str | None:
    """Return the zip entry of the sheet with this name, or None."""
    workbook = ElementTree.fromstring(packed.read("xl/workbook.xml"))  # noqa: S314 — files with a DTD are refused before
    links = ElementTree.fromstring(packed.read("xl/_rels/workbook.xml.rels"))  # noqa: S314 — files with a DTD are refused before
    targets = {link.get("Id"): link.get("Target", "") for link in links}
    for element in workbook.iter():
        if element.tag.endswith("}sheet") and element.get("name") == name:
            for attribute, value in element.attrib.items():
                if attribute.endswith("}id") and value in targets:
                    target = targets[value]
                    part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                    return part if part in packed.namelist() else None
    return None


_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
# LibreOffice marks a cell with an error so; the parser library reports such a cell as empty.
_VALUE_TYPE = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_MAX_REPEATED = 10_000


def _read_ods(packed: zipfile.ZipFile, name: str, found: Details) -> None:
    hidden: set[int] = set()
    in_sheet, row_no, column = False, 0, 0
    with packed.open("content.xml") as content:
        for event, element in ElementTree.iterparse(content, ("start", "end")):  # noqa: S314 — files with a DTD are refused before
            tag = element.tag
            if event == "start":
                if tag == f"{_TABLE}table":
                    in_sheet, row_no = element.get(f"{_TABLE}name") == name, 0
                elif tag == f"{_TABLE}table-row":
                    column = 0
                continue
            if in_sheet and tag in {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}:
                rows = int(element.get(f"{_TABLE}number-rows-spanned", "1"))
                columns = int(element.get(f"{_TABLE}number-columns-spanned", "1"))
                if rows > 1 or columns > 1:
                    found.merged.append((row_no + 1, column, row_no + rows, column + columns - 1))
                if element.get(_VALUE_TYPE) == "error":
                    found.errors[row_no + 1, column] = element.findtext(f"{_TEXT}p") or "#N/A"
                column += int(element.get(f"{_TABLE}number-columns-repeated", "1"))
            elif in_sheet and tag == f"{_TABLE}table-row":
                repeated = int(element.get(f"{_TABLE}number-rows-repeated", "1"))
                if element.get(f"{_TABLE}visibility") in {"collapse", "filter"}:
                    hidden.update(range(row_no + 1, row_no + 1 + min(repeated, _MAX_REPEATED)))
                row_no += repeated
            if not tag.startswith(_TEXT):  # the text of a cell is read with the cell
                element.clear()
    found.hidden = frozenset(hidden)


_BOUND_SHEET, _ROW_RECORD, _END_OF_SHEET = 0x0085, 0x0208, 0x000A
_ERROR_RECORD, _FORMULA_RECORD = 0x0205, 0x0006
_ROW_HIDDEN = 0x20
_ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}


def _read_xls(content: bytes, name: str, found: Details) -> None:
    """Read the ROW records and the records with errors of a BIFF8 sheet."""
    stream = _extract_workbook_stream(content)
    for kind, data in _read_records(stream, 0):
        if kind == _BOUND_SHEET:
            (at,), (length, wide) = struct.unpack_from("<L", data), data[6:8]
            title = data[8 : 8 + length * 2].decode("utf-16-le") if wide & 1 else data[8 : 8 + length].decode("latin-1")
            if title == name:
                _read_xls_sheet(stream, at, found)
                return


def _read_xls_sheet(stream: bytes, at: int, found: Details) -> None:
    hidden: set[int] = set()
    for kind, data in _read_records(stream, at):
        if kind == _ROW_RECORD and struct.unpack_from("<H", data, 12)[0] & _ROW_HIDDEN:
            hidden.add(struct.unpack_from("<H", data)[0] + 1)
        elif kind == _ERROR_RECORD and data[7]:
            row, column = struct.unpack_from("<HH", data)
            found.errors[row + 1, column] = _ERRORS.get(data[6], "#N/A")
        elif kind == _FORMULA_RECORD and data[6] == 2 and data[12:14] == b"\xff\xff":
            row, column = struct.unpack_from("<HH", data)
            found.errors[row + 1, column] = _ERRORS.get(data[8], "#N/A")
    found.hidden = frozenset(hidden)


def _read_records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the data of each BIFF record from the offset `at` to the end of the substream."""
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        if kind == _END_OF_SHEET:
            return
        yield kind, stream[at + 4 : at + 4 + length]
        at += 4 + length


def _extract_workbook_stream(content: bytes) -> bytes:
    """Return the bytes with the BIFF records of an .xls file, or no bytes if it has none.

    An .xls file is a compound file (OLE) with several streams; the records are in the one named `Workbook` or `Book`.
    An old file is not a compound file and consists of the records. A short stream is in the mini stream, which consists
    of smaller sectors and is itself the stream of the first entry of the directory.
    """
    if not content.startswith(b"\xd0\xcf\x11\xe0"):
        return content
    sector = 1 << struct.unpack_from("<H", content, 30)[0]
    (directory_at,) = struct.unpack_from("<L", content, 48)
    more_at, more = struct.unpack_from("<LL", content, 68)
    table_sectors = list(struct.unpack_from("<109L", content, 76))

    def read(number: int) -> bytes:
        return content[(number + 1) * sector : (number + 2) * sector]

    for _ in range(min(more, 1000)):
        *found, more_at = struct.unpack(f"<{sector // 4}L", read(more_at))
        table_sectors += found
    table = b"".join(read(sector_no) for sector_no in table_sectors if sector_no < 0xFFFFFFFA)
    chain = struct.unpack(f"<{len(table) // 4}L", table)

    def follow(start: int) -> bytes:
        found: list[bytes] = []
        number = start
        while number < 0xFFFFFFFA and len(found) <= len(content) // sector:
            found.append(read(number))
            number = chain[number]
        return b"".join(found)

    directory = follow(directory_at)
    (shortest,) = struct.unpack_from("<L", content, 56)
    for at in range(0, len(directory) - 127, 128):
        (length,) = struct.unpack_from("<H", directory, at + 64)
        title = directory[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
        if title in {"Workbook", "Book"}:
            start, size = struct.unpack_from("<LL", directory, at + 116)
            if size >= shortest:
                return follow(start)[:size]
            root_start, root_size = struct.unpack_from("<LL", directory, 116)
            return _read_mini_stream(content, follow(root_start)[:root_size], follow, start)[:size]
    return b""


def _read_mini_stream(content: bytes, mini: bytes, follow: Callable[[int], bytes], start: int) -> bytes:
    """Return the sectors of a short stream from the mini stream `mini`. `follow` reads a stream of whole sectors."""
    sector = 1 << struct.unpack_from("<H", content, 32)[0]
    table = follow(struct.unpack_from("<L", content, 60)[0])
    chain = struct.unpack(f"<{len(table) // 4}L", table)
    found: list[bytes] = []
    number = start
    while number < 0xFFFFFFFA and len(found) <= len(mini) // sector:
        found.append(mini[number * sector : (number + 1) * sector])
        number = chain[number]
    return b"".join(found)
