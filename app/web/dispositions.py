"""The head of a part of a form: its name, and the name of its file however a client writes it."""

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

FILE_PART = b"file"
"""The part that is a file also without a file name."""

_ESCAPED = re.compile(rb';\s*([a-z]+\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))', re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(rb';\s*([a-z]+\*?)\s*=\s*(?:"([^"]*)"|([^;"]*))', re.IGNORECASE)
_MAX_LENGTH = 4000


class Disposition(NamedTuple):
    """The parts of a `Content-Disposition: form-data` (RFC 7578 §4.2). `file_name` is None if there is none that can be
    read."""

    name: bytes
    is_file: bool
    file_name: str | None


def read_disposition(header: bytes) -> Disposition:
    """Return the name of a part, whether it is a file, and the name of the file.

    RFC 7578 has the name in UTF-8. Clients also send `filename*` (RFC 5987), encoded words (RFC 2047) or the bytes of
    GBK. An unreadable name costs the name alone: the part is the file all the same.
    """
    header = header[:_MAX_LENGTH]
    # A backslash escapes a quotation mark, but in GBK it can also be the second byte of a character.
    pattern = _ESCAPED if _decode(header, "utf-8") is not None else _PLAIN
    parameters: dict[bytes, bytes] = {}
    for key, quoted, bare in pattern.findall(header):
        value = re.sub(rb"\\(.)", rb"\1", quoted) if pattern is _ESCAPED and b'\\"' in quoted else quoted
        parameters.setdefault(key.lower(), value or bare.strip())
    name = parameters.get(b"name", b"")
    if b"filename*" not in parameters and b"filename" not in parameters:
        return Disposition(name, name == FILE_PART, None)
    file_name = _read_extended(parameters.get(b"filename*")) or _read_plain(parameters.get(b"filename"))
    return Disposition(name, True, file_name)


def _read_extended(value: bytes | None) -> str | None:
    """Return a value in the form `UTF-8''%E4%BA%BA.xlsx`."""
    charset, _, rest = (value or b"").partition(b"'")
    encoded = rest.partition(b"'")[2]
    return _decode(unquote_to_bytes(encoded), charset.decode("ascii", "replace")) if encoded else None


def _read_plain(value: bytes | None) -> str | None:
    text = _decode(value or b"", "utf-8") or _decode(value or b"", "gb18030")
    if text is not None and "=?" in text:
        try:
            return str(make_header(decode_header(text)))
        except (HeaderParseError, LookupError, ValueError):
            return None
    return text


def _decode(value: bytes, charset: str) -> str | None:
    try:
        return value.decode(charset)
    except (LookupError, ValueError):
        return None
