"""Request bodies that are sent packed: `Content-Encoding: gzip` (RFC 9110 §8.4), on the routes of a `GzipRoute`."""

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
"""How many gzip members (RFC 1952 §2.2) a body may consist of: each costs some microseconds, and can be 20 bytes."""

_GZIP = 16 + zlib.MAX_WBITS  # zlib's number for: a gzip header, and nothing else


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
            "description": "`gzip` where the body is sent packed. It may unpack to as much as a plain body may hold.",
        }
    ]
}
"""The `openapi_extra` of a route that takes gzip bodies."""


class GzipRoute(TransactionalRoute):
    """A route whose body may be gzip. It is unpacked before the body is read as JSON, and before a transaction opens.

    Raises BrokenGzip, BodyTooLarge where it unpacks to more than the limit of plain bodies, and
    UnsupportedContentEncoding for any other encoding.
    """

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def unpacking(request: Request) -> Response:
            if not _is_gzip(request):
                return await handler(request)
            limit: int = request.scope[MAX_BODY_SIZE_SCOPE_KEY]
            try:
                body = await unpack(request.stream(), limit)
            except ClientDisconnect:
                raise BadRequest from None

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handler(Request(request.scope, receive))

        return unpacking


def _is_gzip(request: Request) -> bool:
    encodings = [part.strip().lower() for part in ",".join(request.headers.getlist("content-encoding")).split(",")]
    match [encoding for encoding in encodings if encoding not in ("", "identity")]:
        case []:
            return False
        case ["gzip" | "x-gzip"]:
            return True
    raise UnsupportedContentEncoding


async def unpack(packed: AsyncIterator[bytes], limit: int) -> bytes:
    """The content of a gzip stream of one member or several, of at most `limit` bytes.

    No more than that is ever unpacked. Raises BodyTooLarge and BrokenGzip.
    """
    content = bytearray()
    member, members = zlib.decompressobj(_GZIP), 1
    async for piece in packed:
        rest = piece
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
