"""The README: it documents every setting, and its examples run."""

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.core.settings import Settings
from tests.people import fresh_phone

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_setting_is_documented_and_nothing_else() -> None:
    documented = set(re.findall(r"^\| `(XUEZU_[A-Z_]+)`", README, re.MULTILINE))
    assert documented == {f"XUEZU_{name.upper()}" for name in Settings.model_fields}


def _list_snippets(live: str, phone: str) -> list[str]:
    """Return the Python of the README, with the address of the test's service and a phone of the test's own."""
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return [text.replace("http://localhost:8000", live).replace("13800138000", phone) for text in snippets]


def _read_code(live: str, phone: str) -> str:
    for _ in range(100):
        messages = httpx.get(f"{live}/v1/simulator/sms", params={"phone": phone}).raise_for_status().json()["items"]
        if messages:
            return str(messages[0]["code"])
        time.sleep(0.05)
    raise AssertionError("no code arrived")


def _run(snippet: str, **names: object) -> None:
    exec(snippet, names)
    client = names["xuezu"]
    assert isinstance(client, httpx.Client)
    client.close()


def test_snippets_run(live: str, capsys: pytest.CaptureFixture[str]) -> None:
    phone = fresh_phone()
    sign_in, send_points, _ = _list_snippets(live, phone)
    _run(sign_in, input=lambda _: _read_code(live, phone))
    assert capsys.readouterr().out.splitlines()[-1] == "[]", "a new user administers no org"
    scopes = {"scopes": ["point-events:write"]}
    client = httpx.post(f"{live}/v1/simulator/clients", json=scopes).raise_for_status().json()
    _run(send_points, CLIENT_ID=client["client_id"], CLIENT_SECRET=client["client_secret"])
    (outcomes,) = [line for line in capsys.readouterr().out.splitlines() if "read-1" in line]
    assert "'outcome'" in outcomes


def test_snippet_of_a_desktop_client_runs(live: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The person approves while the program waits between two polls."""
    phone = fresh_phone()
    sign_in, _, desktop = _list_snippets(live, phone)
    app: dict[str, Any] = {"input": lambda _: _read_code(live, phone)}
    exec(sign_in, app)

    def approve(device: dict[str, str]) -> None:
        (code,) = parse_qs(urlsplit(device["verification_uri_complete"]).query)["code"]
        scanned = app["xuezu"].post("/v1/scans", json={"code": code}).raise_for_status().json()
        proof = {"user_code_end": device["user_code"][-4:]}
        app["xuezu"].put(f"/v1/scans/{scanned['id']}/approval", json=proof).raise_for_status()

    body = {"kind": "device", "scopes": ["account:read", "reports:read"]}
    client = httpx.post(f"{live}/v1/simulator/clients", json=body).raise_for_status().json()
    _run(desktop.replace("time.sleep(interval)", "approve(device)"), CLIENT_ID=client["client_id"], approve=approve)
    me = app["xuezu"].get("/v1/me").json()["id"]
    assert capsys.readouterr().out.splitlines()[-1] == f"account:read reports:read {me}"
    app["xuezu"].close()


def test_links_in_the_readme_resolve() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
