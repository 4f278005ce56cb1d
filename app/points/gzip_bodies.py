"""Compressed request bodies: `Content-Encoding: gzip` (RFC 9110 §8.4), on the routes that use `GzipRoute`."""

import zlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request, Response
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.core.i18n import gettext_noop
from app.database.db import Handler, TransactionalRoute
from app.web.errors import BadRequest, BodyTooLarge, UnsupportedMediaType

MAX_MEMBERS = 64
"""The most gzip members (RFC 1952 §2.2) that a body may have: each costs some microseconds and can be 20 bytes long."""

_GZIP = 16 + zlib.MAX_WBITS  # This number makes zlib accept a gzip header and no other.


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


GZIP_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Content-Encoding",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "enum": ["gzip"]},
            "description": "`gzip` if the body is compressed. The limit of a plain body applies after decompression.",
        }
    ]
}
"""The `openapi_extra` of a route that accepts gzip bodies."""


class GzipRoute(TransactionalRoute):
    """A route that accepts a gzip body. It decompresses the body before it parses JSON and opens a transaction.

    Raises BrokenGzip, BodyTooLarge if the decompressed body is larger than the limit of plain bodies, and
    UnsupportedContentEncoding for any other encoding.
    """

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def handle_gzip(request: Request) -> Response:
            if not _is_gzip(request):
                return await handler(request)
            limit: int = request.scope[MAX_BODY_SIZE_SCOPE_KEY]
            try:
                body = await decompress(request.stream(), limit)
            except ClientDisconnect:
                raise BadRequest from None

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handler(Request(request.scope, receive))

        return handle_gzip


def _is_gzip(request: Request) -> bool:
    encodings = [part.strip().lower() for part in ",".join(request.headers.getlist("content-encoding")).split(",")]
    match [encoding for encoding in encodings if encoding not in ("", "identity")]:
        case []:
            return False
        case ["gzip" | "x-gzip"]:
            return True
    raise UnsupportedContentEncoding


async def decompress(compressed: AsyncIterator[bytes], limit: int) -> bytes:
    """Return the content of a gzip stream that has one member or several.

    Raises BodyTooLarge if the content is longer than `limit` bytes; no more than that is ever decompressed. Raises
    BrokenGzip.
    """
    content = bytearray()
    member, members = zlib.decompressobj(_GZIP), 1
    async for chunk in compressed:
        rest = chunk
        while rest:
            if member.eof:
                if members == MAX_MEMBERS:
                    raise BrokenGzip
                member, members = zlib.decompressobj(_GZIP), members + 1
            try:
                content += member.decompress(rest, limit + 1 - len(content))
            except zlib.error:
                raise BrokenGzip from None
            if len(content) > limit:
                raise BodyTooLarge
            rest = member.unused_data
    if not member.eof:
        raise BrokenGzip
    return bytes(content)
