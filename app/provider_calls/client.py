"""The HTTP call to a provider: bounded in time and size, without redirects, cookies or proxies of the environment."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import orjson

# Their lines have the URL, in which a provider takes a phone.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

TIMEOUT_SECONDS = 5.0
_MAX_ANSWER_BYTES = 64 * 1024


class Unanswered(Exception):
    """The provider has not answered, or not as its protocol says. `code` is the kind of the failure, and contains
    nothing of the request or the answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def create_client(url: str) -> httpx.AsyncClient:
    """Return a client for the provider at this URL. It follows no redirect, and takes no proxy from the environment."""
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)


class Answer(NamedTuple):
    """The status, the content and the JSON object of an answer; an empty object if its content is none."""

    status: int
    content: bytes
    body: Mapping[str, Any]


async def post(client: httpx.AsyncClient, path: str, **options: Any) -> Answer:
    """Send a POST and return the answer.

    Raises Unanswered where there is no answer, a large one, or one with a status of 500 or above and no JSON object.
    """
    try:
        async with client.stream("POST", path, **options) as answer:
            content = b""
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > _MAX_ANSWER_BYTES:
                    raise Unanswered("answer-too-large")
    except httpx.HTTPError as error:
        raise Unanswered(type(error).__name__) from None
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    body: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if answer.status_code >= 500 and not body:
        raise Unanswered(str(answer.status_code))
    return Answer(answer.status_code, content, body)
