"""Checks of an upload before it is stored: its size, its format, and the central directory of a zip.

This module unpacks and parses nothing; a child process does that (`sheet_parser`).
"""

import struct
from enum import StrEnum
from pathlib import PurePath
from typing import BinaryIO, NamedTuple
from uuid import UUID

from app.members.imports.errors import FileBomb, FileDamaged, FileEmpty, FileEncrypted, FileRenamed, FileTypeUnknown
from app.members.imports.parser.workbooks import PICTURES
from app.members.imports.schemas import ImportMode, UnitsOption, UnknownUnits

MAX_ENTRIES = 1000
MAX_PICTURES = 20_000
MAX_UNPACKED = 400 << 20
MAX_RATIO = 200
# The ratio is checked only above this size: small parts compress well and are harmless.
MIN_RATIO_BYTES = 16 << 20

UNREADABLE_NAME = "…"
"""The name of a file whose own name is missing or cannot be read. Its format is guessed from its first bytes."""

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BEGINNING = 64
_OLD_XLS = (b"\x09\x08", b"\x09\x04", b"\x09\x02", b"\x09\x00")
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_END_RECORD = struct.Struct("<4s4H2LH")
_ENTRY_RECORD = struct.Struct("<4s6H3L5H2L")


class SheetFormat(StrEnum):
    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    CSV = "csv"


class Upload(NamedTuple):
    """An uploaded sheet, and how to import it."""

    file: BinaryIO
    file_name: str
    mode: ImportMode
    unit_id: UUID | None
    units: UnitsOption
    unknown_units: UnknownUnits
    fill_units: bool


def _guess_format(beginning: bytes) -> SheetFormat:
    if beginning.startswith((_OLE, *_OLD_XLS)):
        return SheetFormat.XLS
    if beginning.startswith(_ZIP):
        return SheetFormat.ODS if b"mimetypeapplication/vnd.oasis" in beginning else SheetFormat.XLSX
    return SheetFormat.CSV


def inspect_upload(name: str, file: BinaryIO) -> SheetFormat:
    """Return the format of an uploaded sheet. Raises a SheetRefused if its first bytes or its zip directory show that
    it cannot be read."""
    file.seek(0)
    beginning = file.read(_BEGINNING)
    try:
        kind = (
            _guess_format(beginning)
            if name == UNREADABLE_NAME
            else SheetFormat(PurePath(name).suffix.lower().removeprefix("."))
        )
    except ValueError:
        raise FileTypeUnknown from None
    if not beginning:
        raise FileEmpty
    if beginning.startswith(_OLE):
        _inspect_ole(kind, file)
    elif beginning.startswith((_ZIP, _EMPTY_ZIP)):
        if kind not in {SheetFormat.XLSX, SheetFormat.ODS}:
            raise FileRenamed
        _inspect_zip(kind, file)
    elif kind is SheetFormat.XLS:
        if not beginning.startswith(_OLD_XLS):
            raise FileRenamed
    elif kind is not SheetFormat.CSV or beginning.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"{\\rtf")):
        raise FileRenamed
    file.seek(0)
    return kind


def _inspect_ole(kind: SheetFormat, file: BinaryIO) -> None:
    if kind is SheetFormat.XLS:
        return
    file.seek(0)
    rest = b""
    while chunk := file.read(1 << 20):
        if _ENCRYPTED_PACKAGE in rest + chunk:
            raise FileEncrypted
        rest = chunk[-64:]
    raise FileRenamed


def _inspect_zip(kind: SheetFormat, file: BinaryIO) -> None:
    size = file.seek(0, 2)
    entries = _read_zip_directory(file, size)
    names = {name for name, _, _ in entries}
    workbook = "xl/workbook.xml" if kind is SheetFormat.XLSX else "content.xml"
    if workbook not in names:
        raise FileRenamed
    # Nothing unpacks pictures. A sheet may have thousands of them; they hardly compress.
    read = [length for part, _, length in entries if not part.startswith(PICTURES)]
    unpacked = sum(length for _, _, length in entries)
    if len(read) > MAX_ENTRIES or sum(read) > MAX_UNPACKED:
        raise FileBomb
    if unpacked > MIN_RATIO_BYTES and unpacked > MAX_RATIO * size:
        raise FileBomb


def _read_zip_directory(file: BinaryIO, size: int) -> list[tuple[str, int, int]]:
    """Return the name, the packed and the unpacked length of each part, from the central directory of the zip.

    The work is bounded by MAX_PICTURES, even if the directory contains false numbers. Raises FileDamaged, FileBomb,
    FileEncrypted.
    """
    tail_at = max(0, size - (1 << 16) - _END_RECORD.size)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_RECORD.size:
        raise FileDamaged
    _, _, _, _, count, length, offset, _ = _END_RECORD.unpack_from(tail, at)
    if count > MAX_PICTURES or length > MAX_PICTURES * 512:
        raise FileBomb
    file.seek(min(offset, size))
    directory = file.read(length)
    found, position = [], 0
    for _ in range(count):
        if position + _ENTRY_RECORD.size > len(directory):
            raise FileDamaged
        fields = _ENTRY_RECORD.unpack_from(directory, position)
        if fields[0] != b"PK\x01\x02":
            raise FileDamaged
        flags, packed, unpacked = fields[3], fields[8], fields[9]
        if flags & 1:
            raise FileEncrypted
        name_length, extra_length, comment_length = fields[10:13]
        start = position + _ENTRY_RECORD.size
        name = directory[start : start + name_length].decode("utf-8", "replace")
        found.append((name, packed, unpacked))
        position = start + name_length + extra_length + comment_length
    return found
