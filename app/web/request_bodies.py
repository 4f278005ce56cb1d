"""Bodies of requests, read strictly: compressed with gzip or not at all, and in JSON as RFC 8259 has it."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from email.message import Message
from typing import Any, NoReturn

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY

from app.core.i18n import gettext_noop
from app.web.errors import BadRequest, Problem, UnsupportedMediaType
from app.web.gzip_bodies import decompress, is_gzip


class RepeatedKey(BadRequest):
    slug = "repeated-key"
    title = gettext_noop("JSON 对象中有重复的键")
    advice = gettext_noop("每个键请只写一次。")


class BodyProblem(HTTPException):
    """The exception that carries a problem with the body to the error handler. FastAPI passes it on, because it is an
    HTTPException; it turns any other exception during the reading of a body into a plain 400."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status)
        self.problem = problem


class StrictRequest(Request):
    """A request whose body is decompressed, and whose JSON has one meaning.

    By default, Python guesses the encoding of JSON, takes numbers that JSON does not have, and of two equal keys takes
    the last one where other programs take the first.
    """

    async def stream(self) -> AsyncGenerator[bytes]:
        """Yield the body. Its limit (`max_body_size` of the route) applies before and after decompression.

        Raises BodyProblem.
        """
        encodings = self.headers.getlist("content-encoding")
        try:
            if hasattr(self, "_body") or not encodings or not is_gzip(encodings):
                async for chunk in super().stream():
                    yield chunk
                return
            async with aclosing(super().stream()) as compressed:
                async for chunk in decompress(compressed, self.scope[MAX_BODY_SIZE_SCOPE_KEY]):
                    yield chunk
            yield b""
        except Problem as problem:
            raise BodyProblem(problem) from None

    async def json(self) -> Any:
        """Return the body's value. Raises BodyProblem."""
        if not hasattr(self, "_json"):
            header = Message()
            header["content-type"] = self.headers.get("content-type", "application/json")
            if str(header.get_param("charset", "utf-8")).lower() not in ("utf-8", "utf8"):
                raise BodyProblem(UnsupportedMediaType())
            body = await self.body()
            try:
                self._json = json.loads(body.decode(), object_pairs_hook=_build_object, parse_constant=_refuse_constant)
            except _RepeatedKey:
                raise BodyProblem(RepeatedKey()) from None
            except (ValueError, RecursionError):
                raise BodyProblem(BadRequest()) from None
        return self._json


class _RepeatedKey(Exception):
    pass


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise _RepeatedKey
    return built


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
