"""Compressed request bodies: `Content-Encoding: gzip` (RFC 9110 §8.4)."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from app.core.i18n import gettext_noop
from app.web.errors import BadRequest, BodyTooLarge, UnsupportedMediaType

MAX_MEMBERS = 64
"""The most gzip members (RFC 1952 §2.2) that a body may have: each costs some microseconds and can be 20 bytes long."""

_GZIP = 16 + zlib.MAX_WBITS  # This number makes zlib accept a gzip header and no other.
_PIECE = 1 << 18


class BrokenGzip(BadRequest):
    slug = "broken-gzip"
    title = gettext_noop("gzip 内容无法解压")
    advice = gettext_noop("请发送完整的 gzip 数据，其后不附加内容。")


class UnsupportedContentEncoding(UnsupportedMediaType):
    slug = "unsupported-content-encoding"
    title = gettext_noop("不支持的压缩方式")
    advice = gettext_noop("请使用 gzip，或不压缩。")

    def __init__(self) -> None:
        super().__init__(headers={"Accept-Encoding": "gzip"})


def is_gzip(headers: Sequence[str]) -> bool:
    """Return whether the values of Content-Encoding say that a body is gzip. Raises UnsupportedContentEncoding for any
    other encoding."""
    encodings = [part.strip().lower() for part in ",".join(headers).split(",")]
    match [encoding for encoding in encodings if encoding not in ("", "identity")]:
        case []:
            return False
        case ["gzip" | "x-gzip"]:
            return True
    raise UnsupportedContentEncoding


async def decompress(compressed: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes]:
    """Yield the content of a gzip stream that has one member or several, in pieces of bounded size.

    Raises BodyTooLarge if the content is longer than `limit` bytes; no more than that is ever decompressed. Raises
    BrokenGzip.
    """
    member, members, size = zlib.decompressobj(_GZIP), 1, 0
    async for chunk in compressed:
        rest = chunk
        while rest:
            if member.eof:
                if members == MAX_MEMBERS:
                    raise BrokenGzip
                member, members = zlib.decompressobj(_GZIP), members + 1
            try:
                piece = member.decompress(rest, min(_PIECE, limit + 1 - size))
            except zlib.error:
                raise BrokenGzip from None
            size += len(piece)
            if size > limit:
                raise BodyTooLarge
            if piece:
                yield piece
            rest = member.unused_data or member.unconsumed_tail
    if not member.eof:
        raise BrokenGzip
