"""The docs explorer's examples work unchanged: each one is sent once against a fresh demo."""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from app.core.settings import Settings
from app.worker.worker import run_worker
from devtools import demo
from devtools.demo.people import PHONE_CODE_GRANT
from devtools.live_examples.recorder import Recording
from tests.inlining import inline_shared_parts
from tests.live import serve_in_thread

ONE_TIME = "needs a secret or a code that is shown once"
KEY = "needs a security key"
NO_ADMIN = "needs an org in which no admin is left"
EXEMPT = {
    "POST /oauth/token": ONE_TIME,
    "GET /v1/device-authorizations/{user_code}": ONE_TIME,
    "GET /v1/device-authorizations/{user_code}/qr.svg": ONE_TIME,
    "GET /v1/device-authorizations/{user_code}/qr.png": ONE_TIME,
    "GET /v1/device-authorizations/{user_code}/events": ONE_TIME,
    "PUT /v1/device-authorizations/{user_code}/ticket": ONE_TIME,
    "POST /v1/scans": ONE_TIME,
    "GET /v1/scans/{scan_id}": ONE_TIME,
    "PUT /v1/scans/{scan_id}/approval": ONE_TIME,
    "PUT /v1/scans/{scan_id}/refusal": ONE_TIME,
    "PUT /v1/me/phone": ONE_TIME,
    "PUT /v1/me/closure": ONE_TIME,
    "POST /v1/verifications/{method}/notifications": "needs the provider's signature",
    "GET /v1/invitations/{token}": ONE_TIME,
    "GET /v1/join-links/{token}": ONE_TIME,
    "POST /v1/orgs/{org_id}/applications": ONE_TIME,
    "POST /v1/orgs/{org_id}/transfers": ONE_TIME,
    "POST /v1/me/security-keys": KEY,
    "GET /v1/me/security-keys/{key_id}": KEY,
    "PATCH /v1/me/security-keys/{key_id}": KEY,
    "DELETE /v1/me/security-keys/{key_id}": KEY,
    "PUT /v1/me/security-key-check": KEY,
    "GET /v1/operator/verifications": KEY,
    "PUT /v1/operator/verifications/{verification_id}/review": KEY,
    "GET /v1/operator/verifications/{verification_id}/pictures/{side}": KEY,
    "POST /v1/sms-receipts/hook": "needs the gateway's signature",
    "POST /v1/sms-receipts/{provider}/{secret}": "needs the secret of the address",
    "PUT /v1/operator/verifications/{verification_id}/approval": KEY,
    "PUT /v1/operator/verifications/{verification_id}/rejection": KEY,
    "GET /v1/operator/recoveries": KEY,
    "GET /v1/operator/audit-entries": KEY,
    "PUT /v1/operator/recoveries/{request_id}/approval": KEY,
    "PUT /v1/operator/recoveries/{request_id}/refusal": KEY,
    "POST /v1/operator/recovery-offers": KEY,
    "GET /v1/operator/recovery-offers": KEY,
    "GET /v1/operator/recovery-offers/{offer_id}": KEY,
    "DELETE /v1/operator/recovery-offers/{offer_id}": KEY,
    "POST /v1/operator/account-searches": KEY,
    "POST /v1/operator/key-recoveries": KEY,
    "POST /v1/operator/phone-return-codes": KEY,
    "POST /v1/operator/phone-returns": KEY,
    "POST /v1/operator/suspensions": KEY,
    "DELETE /v1/operator/suspensions/{user_id}": KEY,
    "GET /v1/operator/clients": KEY,
    "POST /v1/operator/clients": KEY,
    "GET /v1/operator/clients/{client_id}": KEY,
    "POST /v1/operator/clients/{client_id}/secrets": KEY,
    "DELETE /v1/operator/clients/{client_id}": KEY,
    "GET /v1/operator/org-loads/template": KEY,
    "POST /v1/operator/org-loads": KEY,
    "GET /v1/operator/org-loads": KEY,
    "GET /v1/operator/org-loads/{load_id}": KEY,
    "DELETE /v1/operator/org-loads/{load_id}": KEY,
    "GET /v1/operator/org-loads/{load_id}/rows": KEY,
    "GET /v1/operator/org-loads/{load_id}/refused-rows.xlsx": KEY,
    "PUT /v1/operator/org-loads/{load_id}/confirmation": KEY,
    "PUT /v1/operator/org-loads/{load_id}/reversal": KEY,
    "PUT /v1/operator/clients/{client_id}/restoration": KEY,
    "POST /v1/orgs/{org_id}/imports": "takes an upload",
    "POST /v1/orgs/{org_id}/group-transfers/sheets": "takes an upload",
    "PUT /v1/orgs/{org_id}/imports/{import_id}/units": "the example before it has the import read again",
    "PUT /v1/orgs/{org_id}/imports/{import_id}/reversal": "takes back the people of the other examples",
    "POST /v1/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers": NO_ADMIN,
    "GET /v1/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers/{offer_id}": NO_ADMIN,
    "DELETE /v1/orgs/{org_id}/subordinates/{subordinate_id}/recovery-offers/{offer_id}": NO_ADMIN,
    "POST /v1/sign-in-proofs": ONE_TIME,
    "POST /v1/me/account-recoveries": "the demo's administrators are verified and have lost no account",
    "GET /v1/me/account-recoveries/{recovery_id}": "the demo has no recovery",
    "PUT /v1/me/account-recoveries/{recovery_id}/stop": "the demo has no recovery",
    "DELETE /v1/me/data-copies/{copy_id}": "the example before it has made a new copy",
    "POST /v1/me/verifications": "the demo's administrators are verified, which is done once (S1)",
}
AS_SERVICE = {"POST /v1/point-events"}
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@dataclass
class Played:
    url: str
    output: str

    @property
    def first_administrators_phone(self) -> str:
        found = re.search(r"first administrator, (\d{11})", self.output)
        assert found, self.output
        return found[1]


@contextmanager
def _run_worker(settings: Settings) -> Iterator[None]:
    """Run a worker beside the service, in a thread with its own event loop."""
    stop: list[Callable[[], object]] = []

    async def work() -> None:
        working = asyncio.create_task(run_worker(settings))
        stop.append(partial(asyncio.get_running_loop().call_soon_threadsafe, working.cancel))
        with suppress(asyncio.CancelledError):
            await working

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        assert thread.is_alive(), "the worker ended by itself"
        stop[0]()
        thread.join(15)


@pytest.fixture(scope="module")
def played(settings: Settings) -> Iterator[Played]:
    """Yield a service on which the demo has just run."""
    capture = pytest.MonkeyPatch()
    output: list[str] = []
    capture.setattr("builtins.print", lambda *words, **_: output.append(" ".join(map(str, words))))
    with serve_in_thread(settings) as url, _run_worker(settings):
        try:
            failed = demo.main(["--base-url", url])
        finally:
            capture.undo()
        assert not failed, "\n".join(output)
        yield Played(url, "\n".join(output))


@pytest.fixture
def client(played: Played) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=played.url, timeout=30, headers={"Accept-Language": "en"}) as made:
        yield made


def _sign_in(client: httpx.Client, phone: str) -> str:
    """Sign in with the three calls of the introduction."""
    handle = client.post("/v1/phone-codes", json={"phone": phone}).raise_for_status().json()["handle"]
    for _ in range(100):
        messages = client.get("/v1/simulator/sms", params={"phone": phone}).raise_for_status().json()["items"]
        grant = {"grant_type": PHONE_CODE_GRANT, "client_id": "xuezu-app", "phone": phone, "handle": handle}
        if messages:
            answer = client.post("/oauth/token", data=grant | {"code": messages[0]["code"]})
            if answer.is_success:
                return str(answer.json()["access_token"])
        threading.Event().wait(0.05)
    raise AssertionError("no code that signs in arrived")


def _service_token(client: httpx.Client) -> str:
    made = client.post("/v1/simulator/clients", json={"scopes": ["point-events:write"]}).raise_for_status().json()
    form = {"grant_type": "client_credentials", "scope": "point-events:write"}
    answer = client.post("/oauth/token", data=form, auth=(made["client_id"], made["client_secret"]))
    return str(answer.raise_for_status().json()["access_token"])


def _get_example_value(parameter: dict[str, Any]) -> Any:
    """Return the value that the explorer fills in: the parameter's example, or its schema's, or its default."""
    schema = parameter["schema"]
    if "example" in parameter:
        return parameter["example"]
    return schema["examples"][0] if "examples" in schema else schema.get("default")


def _send(client: httpx.Client, method: str, path: str, operation: dict[str, Any], token: str) -> httpx.Response:
    """Send the operation's example unchanged, with the token under Authorize."""
    headers = {"Authorization": f"Bearer {token}"} if operation.get("security") else {}
    query: dict[str, Any] = {}
    for parameter in operation.get("parameters", ()):
        given = _get_example_value(parameter)
        if parameter["in"] == "path":
            assert given is not None, f"{method} {path}: {parameter['name']} has no example"
            path = path.replace(f"{{{parameter['name']}}}", str(given))
        elif parameter["in"] == "query" and given is not None:
            query[parameter["name"]] = str(given).lower() if isinstance(given, bool) else given
        else:
            assert given is None
    content = operation.get("requestBody", {}).get("content", {})
    body: dict[str, Any] = {}
    for media_type, described in content.items():
        form = media_type == "application/x-www-form-urlencoded"
        assert "example" in described, f"{method} {path} has no example of its body"
        body = {"data" if form else "json": described["example"]}
    return client.request(method, path, params=query, headers=headers, **body)


@pytest.mark.long
def test_examples_of_the_docs_explorer_succeed_as_they_are(played: Played, client: httpx.Client) -> None:
    document = inline_shared_parts(client.get("/openapi.json").raise_for_status().json())
    tokens = {True: _service_token(client), False: _sign_in(client, played.first_administrators_phone)}
    operations = {
        f"{method.upper()} {path}": (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert not set(EXEMPT) - set(operations), "exempt, but gone"
    failed, recording = [], Recording(datetime.now(UTC))
    # Reads first, then writes, then operations that end something. Of two that end something, the narrower one first.
    for call in sorted(operations, key=lambda name: (METHODS.index(operations[name][0]), -len(name))):
        if call not in EXEMPT:
            answer = _send(client, *operations[call], tokens[call in AS_SERVICE])
            if answer.is_success and answer.content and answer.headers["Content-Type"] == "application/json":
                recording.add(call, answer.status_code, answer.json())
            if answer.is_error:
                failed.append(f"{call}: {answer.status_code} {answer.text[:300]}")
            elif "Location" in answer.headers:
                token = tokens[call in AS_SERVICE]
                read = client.get(answer.headers["Location"], headers={"Authorization": f"Bearer {token}"})
                if read.status_code != 200:
                    failed.append(f"{call}: its Location answers {read.status_code} {read.text[:300]}")
    assert not failed, "\n".join(failed)
    if "XUEZU_RECORD_EXAMPLES" in os.environ:  # `make examples`
        recording.write()
