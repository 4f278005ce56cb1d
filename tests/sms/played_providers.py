"""A server that plays the protocols of the SMS providers. It checks each signature from the raw request, by the rules
of the provider's documentation, and answers as the test says."""

import asyncio
import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from socket import create_server
from typing import Any
from urllib.parse import parse_qsl, quote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY_ID, SECRET = "played-key", "played-secret-of-32-characters---"


@dataclass
class Played:
    """The server: its URL, the answer that it is to give, and the messages that it has accepted."""

    url: str = ""
    answer: tuple[int, Any] | None = None
    """The status and the body (bytes, or JSON) in place of the answer of success; None for success."""
    delay: float = 0
    messages: list[Mapping[str, Any]] = field(default_factory=list)

    def respond(self, message: Mapping[str, Any], success: Any) -> Response:
        status, body = self.answer or (200, success)
        if self.answer is None:
            self.messages.append(message)
        headers = {"location": "/taken"} if status == 302 else None
        return Response(body, status, headers) if isinstance(body, bytes) else JSONResponse(body, status)


def _hash(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _read_authorization(request: Request) -> tuple[str, dict[str, str]]:
    """Return the algorithm, and the parts `Credential`, `SignedHeaders` and `Signature`."""
    algorithm, _, rest = request.headers["authorization"].partition(" ")
    return algorithm, dict(part.strip().split("=", 1) for part in rest.split(","))


async def play_aliyun(played: Played, request: Request) -> Response:
    """`SendSms` of Dysmsapi 2017-05-25. The parameters are in the query string."""
    body = await request.body()
    await asyncio.sleep(played.delay)
    algorithm, parts = _read_authorization(request)
    pairs = parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True)
    encoded = [(quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in sorted(pairs)]
    canonical_query = "&".join(f"{name}={value}" for name, value in encoded)
    names = parts["SignedHeaders"].split(";")
    must_be_signed = {name for name in request.headers if name.startswith("x-acs-")} | {"host"}
    lines = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    canonical = f"{request.method}\n/\n{canonical_query}\n{lines}\n{parts['SignedHeaders']}\n{_hash(body)}"
    expected = _mac(SECRET.encode(), f"ACS3-HMAC-SHA256\n{_hash(canonical)}").hex()
    head = (request.headers["x-acs-action"], request.headers["x-acs-version"], request.headers["x-acs-content-sha256"])
    if (
        algorithm != "ACS3-HMAC-SHA256"
        or parts["Credential"] != KEY_ID
        or names != sorted(must_be_signed)
        or parts["Signature"] != expected
        or head != ("SendSms", "2017-05-25", _hash(body))
    ):
        return JSONResponse({"Code": "SignatureDoesNotMatch", "Message": "no"}, 400)
    return played.respond(dict(pairs), {"Code": "OK", "Message": "OK", "BizId": "9006", "RequestId": "F655A8D5"})


async def play_tencent(played: Played, request: Request) -> Response:
    """`SendSms` of version 2021-01-11. The parameters are JSON."""
    body = await request.body()
    await asyncio.sleep(played.delay)
    algorithm, parts = _read_authorization(request)
    credential = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    values = {name: request.headers[name].strip().lower() for name in names}
    canonical = "\n".join(
        ("POST", "/", "", "".join(f"{name}:{values[name]}\n" for name in names), ";".join(names), _hash(body))
    )
    time = request.headers["x-tc-timestamp"]
    key = _mac(_mac(_mac(f"TC3{SECRET}".encode(), credential[1]), "sms"), "tc3_request")
    to_sign = f"TC3-HMAC-SHA256\n{time}\n{'/'.join(credential[1:])}\n{_hash(canonical)}"
    if (
        algorithm != "TC3-HMAC-SHA256"
        or credential[0] != KEY_ID
        or {"content-type", "host"} - set(names)
        or parts["Signature"] != _mac(key, to_sign).hex()
        or (request.headers["x-tc-action"], request.headers["x-tc-version"]) != ("SendSms", "2021-01-11")
    ):
        error = {"Code": "AuthFailure.SignatureFailure", "Message": "no"}
        return JSONResponse({"Response": {"Error": error, "RequestId": "1"}})
    sent = {"SerialNo": "5000:10", "Code": "Ok", "Message": "send success", "Fee": 1, "IsoCode": "CN"}
    success = {"Response": {"SendStatusSet": [sent], "RequestId": "a0aabda6"}}
    return played.respond(await request.json(), success)


async def play_hook(played: Played, request: Request) -> Response:
    """A receiver of Standard Webhooks."""
    body = await request.body()
    await asyncio.sleep(played.delay)
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    if request.headers["webhook-signature"] != f"v1,{expected}":
        return Response(status_code=401)
    return played.respond(await request.json(), {})


@contextmanager
def play_providers() -> Iterator[Played]:
    """Serve all protocols on a free port of this machine until the block ends."""
    with create_server(("127.0.0.1", 0)) as listener:
        played = Played(f"http://127.0.0.1:{listener.getsockname()[1]}")
        paths = {"/aliyun/": play_aliyun, "/tencent/": play_tencent, "/hook": play_hook}
        routes = [Route(path, partial(play, played), methods=["POST"]) for path, play in paths.items()]
        app = Starlette(routes=[*routes, Route("/taken", lambda _: JSONResponse({}))])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            while not server.started:
                threading.Event().wait(0.01)
            yield played
        finally:
            server.should_exit = True
            thread.join(10)
