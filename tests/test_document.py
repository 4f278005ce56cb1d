"""Hostile input for the whole OpenAPI document: every answer is declared and has the declared shape, never a 5xx.

Schemathesis generates the calls, as a main admin of an org, as a service, and without sign-in.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.transport.requests import ManagedCookiesSession

from app.cli import SNAPSHOT
from tests.people import fresh_name, fresh_org_name, fresh_phone, name_person

EXAMPLES = 300 if os.environ.get("XUEZU_PROOF") else 20
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@dataclass
class Callers:
    url: str
    token: str
    org_id: str


@pytest.fixture(scope="module")
def callers(live: str) -> Iterator[Callers]:
    with httpx.Client(base_url=live, timeout=30) as client:
        phone, name = fresh_phone(), fresh_name()
        handle = client.post("/v1/phone-codes", json={"phone": phone}).raise_for_status().json()["handle"]
        code = None
        while code is None:
            messages = client.get("/v1/simulator/sms", params={"phone": phone}).json()["items"]
            code = messages[0]["code"] if messages else None
        grant = "urn:xuezu:params:oauth:grant-type:phone-code"
        form = {"grant_type": grant, "client_id": "xuezu-app", "phone": phone, "code": code, "handle": handle}
        token = client.post("/oauth/token", data=form).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        begun = client.post("/v1/me/verifications", json=name_person(name)).raise_for_status().json()
        page = client.get(begun["redirect_url"]).headers["location"]
        client.post(page, json={"consents": True}).raise_for_status()
        client.patch("/v1/me", json={"party_member": True}).raise_for_status()
        org = client.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"}).raise_for_status()
        yield Callers(live, token, org.json()["id"])


@pytest.fixture(scope="module")
def document(callers: Callers) -> Any:
    return schemathesis.openapi.from_url(f"{callers.url}/openapi.json", timeout=60)


@pytest.fixture(scope="module")
def session() -> Iterator[ManagedCookiesSession]:
    """One connection for all calls; no cookie is carried from one call to the next."""
    with ManagedCookiesSession() as made:
        made.trust_env = False  # reading proxies from the environment takes longer than many calls
        yield made


# These operations end the caller's own session or account, or never end.
LEFT_OUT = re.compile(r"/v1/me/sessions|/v1/me/closure|/oauth/revoke|/(events|progress|stream)$")
OPERATIONS = [
    (method.upper(), path)
    for path, methods in json.loads(SNAPSHOT.read_text())["paths"].items()
    for method in methods
    if not LEFT_OUT.search(path)
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_operation_answers_hostile_input_as_declared(
    method: str, path: str, document: Any, callers: Callers, session: ManagedCookiesSession
) -> None:
    @given(document[path][method].as_strategy())
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=not os.environ.get("XUEZU_PROOF"),
        database=None,
    )
    def call(case: Case[Any]) -> None:
        if "org_id" in case.path_parameters:
            case.path_parameters["org_id"] = callers.org_id
        headers = {"Authorization": f"Bearer {callers.token}"}
        case.call_and_validate(session=session, headers=headers, checks=list(CHECKS), timeout=30)

    call()
