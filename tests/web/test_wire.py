"""What clients send on the wire: upgrades that they offer, repeated headers, paths, HEAD, idle connections."""

import io
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.settings import Settings
from app.http_server import build_server_config
from tests.live import serve_in_thread

CODE = b'{"phone": "not a phone"}'
"""A body that answers 422 where it arrives, and 422 with another place where it does not."""


@contextmanager
def connect(live: str) -> Iterator[socket.socket]:
    place = urlsplit(live)
    with socket.create_connection(("127.0.0.1", place.port or 80), timeout=10) as connection:
        yield connection


def exchange(live: str, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send these bytes on one connection, and return the answers: status, headers and body."""
    with connect(live) as connection:
        connection.sendall(b"".join(requests))
        reader = _Answers(connection.makefile("rb").detach())
        answers = []
        for sent in requests:
            response = HTTPResponse(reader, method=sent.split(b" ")[0].decode())  # type: ignore[arg-type]  # HTTPResponse only calls `makefile`
            response.begin()
            body = response.read()
            answers.append((response.status, {name.lower(): value for name, value in response.getheaders()}, body))
        return answers


class _Answers(io.BufferedReader):
    """What a connection receives, for several responses: `HTTPResponse` closes what it reads."""

    def makefile(self, _: str) -> "_Answers":
        return self

    def close(self) -> None:
        pass


def post(path: str, body: bytes, *headers: str, type_: str = "application/json") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {type_}", f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


OFFERS = {
    "curl": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "java": ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAA", "Upgrade: h2c"),
    "websocket": ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_body_of_a_request_that_offers_an_upgrade_arrives(live: str, offer: tuple[str, ...]) -> None:
    for sent in (post("/v1/phone-codes", CODE, *offer), post("/v1/phone-codes", CODE)):
        ((status, _, body),) = exchange(live, sent)
        assert status == 422
        assert json.loads(body)["errors"][0]["pointer"] == "/phone"


def test_upgrade_offer_sent_in_pieces_or_in_a_pipeline_is_answered(live: str) -> None:
    offered = post("/v1/phone-codes", CODE, *OFFERS["curl"])
    answers = exchange(live, *([offered] * 100), get("/livez", *OFFERS["java"]), get("/livez"))
    assert [status for status, _, _ in answers] == [422] * 100 + [200, 200]
    with connect(live) as connection:
        for start in range(0, len(offered), 7):
            connection.sendall(offered[start : start + 7])
        response = HTTPResponse(connection)
        response.begin()
        assert json.loads(response.read())["errors"][0]["pointer"] == "/phone"


def test_chunked_body_of_a_request_that_offers_an_upgrade_arrives(live: str) -> None:
    head = post("/v1/phone-codes", b"", *OFFERS["curl"], "Transfer-Encoding: chunked").replace(
        b"Content-Length: 0\r\n", b""
    )
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CODE[:5], CODE[5:])) + b"0\r\n\r\n"
    ((status, _, body),) = exchange(live, head + chunks)
    assert (status, json.loads(body)["errors"][0]["pointer"]) == (422, "/phone")


def test_curl_with_http2_sends_its_body(live: str) -> None:
    command = ["curl", "--silent", "--http2", "--json", CODE.decode(), f"{live}/v1/phone-codes"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    except FileNotFoundError:
        pytest.skip("curl is not installed")
    assert json.loads(done.stdout)["errors"][0]["pointer"] == "/phone"


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"GET\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_unreadable_request_is_answered_with_a_problem(live: str, sent: bytes) -> None:
    ((status, headers, body),) = exchange(live, sent)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(body)["type"] == "/problems/bad-request"


@pytest.mark.parametrize(
    "broken",
    [
        b"\x16\x03\x01",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_unreadable_request_is_answered_after_the_requests_before_it(live: str, broken: bytes) -> None:
    """A client that sends requests without waiting takes the first answer for that of the first request."""
    answers = exchange(live, get("/readyz"), get("/v1/me"), broken)
    assert [status for status, _, _ in answers] == [200, 401, 400]
    ((status, _, _),) = exchange(live, broken)
    assert status == 400


@pytest.mark.parametrize("part", [b"a" * 4096, b"a: b\r\n" * 700])
def test_endless_head_is_refused(live: str, part: bytes) -> None:
    """No head takes more memory than MAX_HEAD and one more part."""
    with connect(live) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ")
        with suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(part)
        received = b""
        with suppress(ConnectionError):
            while more := connection.recv(1 << 16):
                received += more
    assert received.startswith(b"HTTP/1.1 400") or not received  # the reset can overtake the answer
    large = get("/livez", f"Cookie: {'a' * 30_000}", f"X-Forwarded-For: {'192.0.2.1, ' * 2000}")
    assert [status for status, _, _ in exchange(live, large, get("/livez"))] == [200, 200]
    upload = post("/v1/phone-codes", b'{"phone": "1"}' + b" " * 200_000)
    assert [status for status, _, _ in exchange(live, upload + get("/livez")[:20], get("/livez")[20:])] == [422, 200]


def test_idle_connection_is_kept_longer_than_proxies_keep_theirs(settings: Settings) -> None:
    assert build_server_config(lambda *_: None, settings).timeout_keep_alive == 75  # type: ignore[arg-type]  # only its settings are read


def test_idle_connection_ends_after_the_setting(settings: Settings) -> None:
    with serve_in_thread(settings.model_copy(update={"keep_alive_seconds": 1})) as url, connect(url) as connection:
        connection.sendall(get("/livez"))
        received = b""
        while part := connection.recv(1 << 16):  # until the server closes the connection
            received += part
    assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/v1/me/", "/livez/", "/v1/orgs/", "/oauth/token/"])
def test_trailing_slash_is_not_found_and_not_redirected(live: str, path: str) -> None:
    for method in ("GET", "POST"):
        answer = httpx.request(method, f"{live}{path}")
        assert answer.status_code == 404
        assert "location" not in answer.headers


def test_site_is_found_without_its_trailing_slash(live: str) -> None:
    for site in ("/console", "/phone"):
        answer = httpx.get(f"{live}{site}", headers={"X-Forwarded-Proto": "https"})
        assert (answer.status_code, answer.headers["location"]) == (308, f"{site}/")


@pytest.mark.parametrize("path", ["/livez", "/v1/me", "/.well-known/oauth-authorization-server", "/docs", "/none"])
def test_head_answers_as_get_without_the_body(live: str, path: str) -> None:
    read, head = httpx.get(f"{live}{path}"), httpx.head(f"{live}{path}")
    assert head.status_code == read.status_code
    assert head.content == b""
    ignored = {"x-request-id", "date", "transfer-encoding"}
    assert {name for name in read.headers if name not in ignored} == {
        name for name in head.headers if name not in ignored
    }
    assert head.headers.get("content-length") == read.headers.get("content-length")


def test_connection_works_after_head(live: str) -> None:
    answers = exchange(live, get("/livez", method="HEAD"), get("/livez"))
    assert [(status, body == b"") for status, _, body in answers] == [(200, True), (200, False)]


def test_refused_method_names_all_methods(live: str) -> None:
    for path, methods in (
        ("/v1/orgs/0/units/0", "DELETE, GET, HEAD, PATCH"),
        ("/v1/me", "GET, HEAD, PATCH"),
        ("/oauth/token", "POST"),
        ("/livez", "GET, HEAD"),
    ):
        for method in ("PUT", "OPTIONS", "TRACE"):
            answer = httpx.request(method, f"{live}{path}")
            assert (answer.status_code, answer.headers["allow"]) == (405, methods), path


@pytest.mark.parametrize(
    "name", ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Origin", "Host"]
)
def test_repeated_header_is_refused(live: str, name: str) -> None:
    ((status, _, body),) = exchange(live, get("/v1/me", f"{name}: a", f"{name}: a"))
    assert status == 400
    if name != "Host":  # three of them
        assert json.loads(body)["header"] == name.lower()
    assert json.loads(body)["type"] == "/problems/repeated-header"


def test_repeated_header_is_refused_in_oauth_form(live: str) -> None:
    doubled = post("/oauth/token", b"", "Content-Type: text/plain", type_="application/x-www-form-urlencoded")
    ((status, headers, body),) = exchange(live, doubled)
    assert (status, json.loads(body)["error"]) == (400, "invalid_request")
    assert headers["cache-control"] == "no-store"


def test_header_with_a_list_may_be_repeated(live: str) -> None:
    ((status, _, _),) = exchange(live, get("/livez", "Accept: a/b", "Accept: c/d", "Cookie: a=b", "Cookie: c=d"))
    assert status == 200


@pytest.mark.parametrize("path", ["/livez%0A", "/livez%0a", "/v1%2Fme", "/v1%2fme", "/livez%00", "/v1%5Cme", "/livez%"])
def test_encoded_separator_in_a_path_is_not_decoded(live: str, path: str) -> None:
    ((status, _, _),) = exchange(live, get(path))
    assert status == 404


def test_encoded_letters_of_a_path_are_decoded(live: str) -> None:
    ((status, _, _),) = exchange(live, get("/%6Civez"))
    assert status == 200
