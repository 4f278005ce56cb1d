"""The calls of Tencent Cloud's API 3.0, signed by version 3 (TC3-HMAC-SHA256)."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import orjson

from app.provider_calls.client import post

_ALGORITHM = "TC3-HMAC-SHA256"
_CONTENT_TYPE = "application/json; charset=utf-8"
_SIGNED = "content-type;host;x-tc-action"


class Caller(NamedTuple):
    """The key of a caller, and the service that it calls."""

    secret_id: str
    secret_key: str
    service: str
    version: str
    region: str


async def call_tencent(
    client: httpx.AsyncClient, caller: Caller, action: str, parameters: Mapping[str, object]
) -> Mapping[str, object]:
    """Call an action and return the `Response` of its answer, an empty mapping if it has none. Raises Unanswered."""
    host = urlsplit(str(client.base_url)).netloc
    body, now = orjson.dumps(parameters), int(time.time())
    headers = {
        "host": host,
        "content-type": _CONTENT_TYPE,
        "x-tc-action": action,
        "x-tc-version": caller.version,
        "x-tc-timestamp": str(now),
        "x-tc-region": caller.region,
        "authorization": sign(caller, action, host, body, now),
    }
    answer = await post(client, "/", content=body, headers=headers)
    response = answer.body.get("Response")
    return response if isinstance(response, dict) else {}


def find_error_code(response: Mapping[str, object]) -> str | None:
    """Return the code of the error in a `Response`, None if it is no error."""
    error = response.get("Error")
    return str(error.get("Code")) if isinstance(error, dict) else None


def build_canonical_request(action: str, host: str, body: bytes) -> str:
    """Return what is signed of a POST to `/`."""
    headers = f"content-type:{_CONTENT_TYPE}\nhost:{host}\nx-tc-action:{action.lower()}\n"
    return "\n".join(("POST", "/", "", headers, _SIGNED, hashlib.sha256(body).hexdigest()))


def sign(caller: Caller, action: str, host: str, body: bytes, now: int) -> str:
    """Return the header `Authorization` of a call with this JSON body at this Unix time."""
    day = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    scope = f"{day}/{caller.service}/tc3_request"
    request = hashlib.sha256(build_canonical_request(action, host, body).encode()).hexdigest()
    key = f"TC3{caller.secret_key}".encode()
    for part in (day, caller.service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, f"{_ALGORITHM}\n{now}\n{scope}\n{request}".encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Credential={caller.secret_id}/{scope}, SignedHeaders={_SIGNED}, Signature={signature}"
