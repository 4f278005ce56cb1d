"""Forms with a file: read from the network into memory that is no process's own, and into no folder.

What people upload holds phones, which lie on no disk unencrypted. Starlette's own reader keeps a megabyte in memory
and the rest in a temporary file.
"""

import os
import tempfile
from collections.abc import AsyncGenerator
from typing import BinaryIO

from fastapi import Request
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from app.core.services import SETTINGS
from app.web.errors import BadRequest, BodyTooLarge


def anonymous_file() -> BinaryIO:
    """A file without a name: in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("upload"), "w+b")
    return tempfile.TemporaryFile()


async def read_form(request: Request) -> FormData:
    """The parts of a multipart form of one file at most, which `request.close` closes; read once.

    Raises BadRequest, and BodyTooLarge as soon as it is larger than the settings allow: if it says so, unread.
    """
    if request._form is None:
        most = SETTINGS.of(request).max_upload_mb << 20
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most + (1 << 20):
            raise BodyTooLarge
        parser = _Parser(request.headers, request.stream(), most)
        try:
            request._form = await parser.parse()
        except MultiPartException:
            raise BadRequest from None
    return request._form


class _Parser(MultiPartParser):
    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes], most: int) -> None:
        super().__init__(headers, stream, max_files=1, max_fields=10)
        self._most = most
        self._come = 0

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        file = self._current_part.file
        if file is not None:
            file.file.close()
            file.file = anonymous_file()
            self._files_to_close_on_error.append(file.file)  # type: ignore[arg-type]

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._come += end - start
        if self._come > self._most:
            raise BodyTooLarge
        super().on_part_data(data, start, end)
