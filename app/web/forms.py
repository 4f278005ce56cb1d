"""Forms with a file, read from the network into an anonymous file in memory, never into a directory.

Uploads contain phones, which are never written to a disk unencrypted. Starlette's own parser stores up to a megabyte in
memory and the rest in a temporary file.
"""

import os
import tempfile
from collections.abc import AsyncGenerator
from typing import BinaryIO

from fastapi import Request
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from app.core.services import SETTINGS
from app.web.dispositions import read_disposition
from app.web.errors import BadRequest, BodyTooLarge


def open_anonymous_file() -> BinaryIO:
    """Open a file without a name, in memory if the system supports it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("upload"), "w+b")
    return tempfile.TemporaryFile()


async def read_form(request: Request) -> FormData:
    """Return the parts of a multipart form with at most one file. The form is parsed once; `request.close` closes its
    files.

    Raises BadRequest. Raises BodyTooLarge as soon as the form exceeds the configured size, before reading if the
    Content-Length says so.
    """
    if request._form is None:
        max_bytes = SETTINGS.get(request).max_upload_mb << 20
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > max_bytes + (1 << 20):
            raise BodyTooLarge
        parser = _Parser(request.headers, request.stream(), max_bytes)
        try:
            request._form = await parser.parse()
        except MultiPartException:
            raise BadRequest from None
    return request._form


class _Parser(MultiPartParser):
    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes], max_bytes: int) -> None:
        super().__init__(headers, stream, max_files=1, max_fields=10)
        self._max_bytes = max_bytes
        self._received = 0

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = read_disposition(part.content_disposition or b"")
        if disposition.is_file:
            # Starlette knows a file by a `filename` that it can read.
            part.content_disposition = b'form-data; name="%s"; filename="file"' % disposition.name
        super().on_headers_finished()
        file = part.file
        if file is not None:
            file.filename = disposition.file_name
            file.file.close()
            file.file = open_anonymous_file()
            self._files_to_close_on_error.append(file.file)  # type: ignore[arg-type]  # Starlette only closes the file

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._received += end - start
        if self._received > self._max_bytes:
            raise BodyTooLarge
        super().on_part_data(data, start, end)
