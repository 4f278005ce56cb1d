"""The logs of requests: what a line contains, and what it never contains. The service runs in a process of its own,
because logging is configured once per process."""

import json
import subprocess
import sys
from typing import Any

from tests.processes import ROOT, build_environment

PHONE, RESIDENT_ID = "13800138000", "11010519491231002X"

SERVICE = f"""
import asyncio, logging, sys
import httpx, structlog
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from app.web.request_state import get_request_state
from app.web import errors
from app.core import logs
from app.middleware.request_log import RequestLog

logs.configure(sys.argv[1], process="api")
app = FastAPI()
errors.install_error_handler(app)
log = structlog.get_logger()

@app.get("/people/{{token}}")
async def person(token: str, request: Request) -> str:
    log.info("looked_up", phone="{PHONE}", seen=[{{"id": "{RESIDENT_ID}"}}, {PHONE}], count=3)
    logging.getLogger("library").warning("no match for %s", "{PHONE}")
    return get_request_state(request).request_id

@app.get("/broken")
async def broken() -> None:
    try:
        raise KeyError("{PHONE}")
    except KeyError as error:
        raise ValueError("bad input Li Xiaoming") from error

@app.get("/torn")
async def torn() -> StreamingResponse:
    async def parts():
        yield b"first"
        raise ValueError("Li Xiaoming")
    return StreamingResponse(parts())

@app.get("/livez")
async def livez() -> str:
    return "alive"

app.middleware_stack = RequestLog(app.build_middleware_stack())

async def main() -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for line in sys.stdin:
            path, _, request_id = line.rstrip("\\n").partition(" ")
            try:
                headers = [(b"X-Request-Id", request_id.encode())] if request_id else []
                response = await client.get(path, headers=headers)
                said = [response.status_code, response.headers["x-request-id"], response.text]
            except ValueError:
                said = "torn"
            print("ANSWER", __import__("json").dumps(said))

asyncio.run(main())
"""


def serve(*requests: str, log_format: str = "json") -> tuple[list[Any], str]:
    """Return the answers to these requests (`PATH [REQUEST-ID]`) and the whole log output."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, log_format],
        cwd=ROOT,
        env=build_environment(),
        input="".join(f"{line}\n" for line in requests),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in lines if line.startswith("ANSWER ")]
    return answers, "\n".join(line for line in lines if not line.startswith("ANSWER "))


def test_log_line_has_the_request_id_and_no_personal_data() -> None:
    token = "019ab3c0-7a10-7cc0-8000-00000000abcd"
    answers, logged = serve(
        f"/people/{token}?phone={PHONE} given-by.the_caller",
        f"/people/{PHONE}",
        "/people/WDJB-MJHT",
        f"/nowhere/{RESIDENT_ID}/Zm9vYmFyYmF6",
        "/livez",
        "/broken broken-1",
    )
    events = [json.loads(line) for line in logged.splitlines()]
    assert all(event["process"] == "api" and event["level"] and event["timestamp"] for event in events)
    for trace in (PHONE, RESIDENT_ID, "Li Xiaoming", "WDJB", "Zm9v", "phone="):
        assert trace not in logged
    requests = {event["request_id"]: event for event in events if event["event"] == "request"}
    refused = {event["path"]: event["refusal"] for event in requests.values() if "refusal" in event}
    assert refused == {"/nowhere/…/…": "not-found"}
    shown = [(event["path"], event["status"]) for event in requests.values()]
    assert shown == [
        (f"/people/{token}", 200),
        ("/people/…", 200),
        ("/people/…", 200),
        ("/nowhere/…/…", 404),
        ("/broken", 500),
    ]
    # The header of the answer, the handler, and each line of the service and of a library have the same id.
    status, request_id, body = answers[0]
    assert (status, request_id, json.loads(body)) == (200, "given-by.the_caller", request_id)
    own = [event["event"] for event in events if event.get("request_id") == request_id]
    assert own == ["looked_up", "no match for ▒", "request"]
    looked_up = next(event for event in events if event["event"] == "looked_up")
    assert (looked_up["phone"], looked_up["seen"], looked_up["count"]) == ("▒", [{"id": "▒"}, "▒"], 3)


def test_error_is_logged_once_with_traceback_without_text() -> None:
    [(status, request_id, body)], logged = serve("/broken broken-1")
    assert (status, request_id) == (500, "broken-1")
    assert json.loads(body)["request_id"] == "broken-1"
    events = [json.loads(line) for line in logged.splitlines()]
    error, request = events
    assert error["request_id"] == request["request_id"] == "broken-1"
    assert (error["level"], request["event"]) == ("error", "request")
    assert "in broken" in error["exception"]
    assert "ValueError" in error["exception"]


def test_interrupted_answer_is_logged() -> None:
    _, logged = serve("/torn torn-1")
    assert "Li Xiaoming" not in logged
    assert json.loads(logged.splitlines()[-1])["path"] == "/torn"


def test_invalid_or_personal_request_id_is_replaced() -> None:
    given = ["a" * 65, "a b", "a\tb", "ä", "<script>", "a,b", PHONE, RESIDENT_ID]
    answers, logged = serve(*(f"/people/x {request_id}" for request_id in given))
    for refused, (status, request_id, _) in zip(given, answers, strict=True):
        assert status == 200
        assert request_id != refused
        assert len(request_id) == 16
        assert f'"request_id":"{refused}"' not in logged
    assert len({request_id for _, request_id, _ in answers}) == len(given)


def test_console_format_contains_the_same_facts() -> None:
    _, logged = serve("/broken broken-1", f"/people/{PHONE}", log_format="console")
    assert "in broken" in logged
    assert "request_id=broken-1" in logged
    assert "path=/people/…" in logged
    for trace in (PHONE, RESIDENT_ID, "Li Xiaoming"):
        assert trace not in logged
