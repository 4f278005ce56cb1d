"""Answers that a browser saves as a file, and that no cache stores."""

from collections.abc import AsyncIterator
from typing import Protocol

from fastapi import Response
from fastapi.responses import StreamingResponse


class StreamedFile(Protocol):
    """A file that is sent part by part. `size` is its length in bytes, if known."""

    @property
    def name(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def content(self) -> AsyncIterator[bytes]: ...


def build_download(content: bytes, name: str, media_type: str) -> Response:
    """Return the file as a response. Its name is ASCII without quotes."""
    return Response(content, media_type=media_type, headers=_build_headers(name))


def build_picture_response(content: bytes) -> Response:
    """Return a JPEG that is shown and not saved, as a response."""
    headers = {"Content-Disposition": "inline", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="image/jpeg", headers=headers)


def stream_download(file: StreamedFile) -> StreamingResponse:
    """Return the file as a response that is sent part by part."""
    length = {} if file.size is None else {"Content-Length": str(file.size)}
    return StreamingResponse(file.content, media_type=file.media_type, headers=_build_headers(file.name) | length)


def _build_headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
