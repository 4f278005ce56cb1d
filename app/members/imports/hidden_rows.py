"""Detection of the hidden rows of a sheet, which the parser library does not report. Runs in the child process.

Each function reads only the necessary part of the raw file. If it cannot read that part, no row counts as hidden:
a hidden row only causes a warning.
"""

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

_ROW = re.compile(rb"<(?:\w+:)?row\b[^>]*>")
_ATTRIBUTE = re.compile(rb'\b(r|hidden)="(\w+)"')


def find_hidden_rows(kind: str, content: bytes, name: str) -> frozenset[int]:
    """Return the numbers of the hidden rows of the sheet with this name."""
    try:
        if kind == "xls":
            return frozenset(_find_hidden_in_xls(content, name))
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return frozenset(
                _find_hidden_in_xlsx(packed, name) if kind == "xlsx" else _find_hidden_in_ods(packed, name)
            )
    except (KeyError, ValueError, IndexError, struct.error, ElementTree.ParseError):
        return frozenset()


def _find_hidden_in_xlsx(packed: zipfile.ZipFile, name: str) -> Iterator[int]:
    part = _find_sheet_part(packed, name)
    if part is None:
        return
    rest = b""
    with packed.open(part) as xml:
        while chunk := xml.read(1 << 18):
            text = rest + chunk
            # Few sheets have hidden rows, and a search for the word is fifty times as fast as a search for the tag.
            for tag in _ROW.finditer(text) if b"hidden=" in text else ():
                attributes = dict(_ATTRIBUTE.findall(tag[0]))
                if attributes.get(b"hidden") in {b"1", b"true"} and attributes.get(b"r", b"").isdigit():
                    yield int(attributes[b"r"])
            rest = text[max(text.rfind(b"<"), len(text) - 4096) :]


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
_MAX_REPEATED = 10_000


def _find_hidden_in_ods(packed: zipfile.ZipFile, name: str) -> Iterator[int]:
    content = packed.read("content.xml")
    if b"visibility=" not in content:
        return
    in_sheet, row_no = False, 0
    for event, element in ElementTree.iterparse(io.BytesIO(content), ("start", "end")):  # noqa: S314 — files with a DTD are refused before
        if event == "start" and element.tag == f"{_TABLE}table":
            in_sheet = element.get(f"{_TABLE}name") == name
        elif event == "end" and element.tag == f"{_TABLE}table-row" and in_sheet:
            repeated = int(element.get(f"{_TABLE}number-rows-repeated", "1"))
            if element.get(f"{_TABLE}visibility") in {"collapse", "filter"}:
                yield from range(row_no + 1, row_no + 1 + min(repeated, _MAX_REPEATED))
            row_no += repeated
        if event == "end":
            element.clear()


_BOUND_SHEET, _ROW_RECORD, _END_OF_SHEET = 0x0085, 0x0208, 0x000A
_ROW_HIDDEN = 0x20


def _find_hidden_in_xls(content: bytes, name: str) -> Iterator[int]:
    """Yield the numbers of the hidden rows from the ROW records of a BIFF8 sheet."""
    stream = _extract_workbook_stream(content)
    for kind, data in _read_records(stream, 0):
        if kind == _BOUND_SHEET:
            (at,), (length, wide) = struct.unpack_from("<L", data), data[6:8]
            title = data[8 : 8 + length * 2].decode("utf-16-le") if wide & 1 else data[8 : 8 + length].decode("latin-1")
            if title == name:
                for sort, row in _read_records(stream, at):
                    if sort == _ROW_RECORD and struct.unpack_from("<H", row, 12)[0] & _ROW_HIDDEN:
                        yield struct.unpack_from("<H", row)[0] + 1
                return


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
    An old file is not a compound file and consists of the records. A stream so short that the compound file stores it
    in its mini stream is not found.
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
    for at in range(0, len(directory) - 127, 128):
        (length,) = struct.unpack_from("<H", directory, at + 64)
        title = directory[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
        if title in {"Workbook", "Book"}:
            start, size = struct.unpack_from("<LL", directory, at + 116)
            return follow(start)[:size]
    return b""
