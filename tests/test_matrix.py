"""Every operation by every kind of caller, on their own, another's and a released org.

The rows are written by hand, from the rules; the operations are read off the app. An operation without a row, or a
row without an operation, fails. What is tried is who is let in: a caller who may gets past authorization to the
check of what they sent, which is wrong on purpose, so that nothing is changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.operations import Actor
from app.auth.access import admission_of
from app.auth.clients import create_client
from app.auth.operators import add_operator
from app.openapi import api_routes
from tests.acts import Json, add_admin, add_member, certify, done
from tests.auth.authenticator import prove_key, register_key
from tests.people import People, Person, fresh_phone

MAY = 0  # let in
WHO = {
    # row: what main admin, admin, member and an admin above get; everybody else gets 404
    "card": (MAY, MAY, MAY, MAY),
    "edit": (MAY, MAY, 403, 403),
    "inside": (MAY, MAY, 404, 404),
    "main": (MAY, 403, 404, 404),
    "overview": (MAY, MAY, 403, MAY),
    "people": (MAY, MAY, MAY, 404),
}
ROWS = {
    "card": """GET /, GET /superiors,
        GET /exports, GET /exports/{}, GET /exports/{}/content, DELETE /exports/{}""",
    "edit": """PATCH /, PUT /closure, POST /invitations, DELETE /invitations/{}, POST /applications,
        DELETE /applications/{}, PUT /applications/{}/approval, PUT /applications/{}/refusal,
        DELETE /subordinates/{}""",
    "inside": """GET /units, POST /units, GET /units/{}, PATCH /units/{}, DELETE /units/{}, POST /units/{}/admins,
        POST /promotions, GET /promotions, DELETE /promotions/{},
        GET /admins, GET /admin-invitations, DELETE /admins/me,
        POST /change-requests, GET /change-requests, GET /change-requests/{}, DELETE /change-requests/{},
        PUT /change-requests/{}/approval, PUT /change-requests/{}/refusal,
        GET /members, POST /members, GET /members/{}, PATCH /members/{}, DELETE /members/{}, PUT /members/{}/places,
        POST /members/{}/copies, POST /members/{}/phone-disclosures,
        GET /members/removed, POST /members/{}/restorations,
        POST /members/exports, DELETE /members/{}/activation,
        POST /members/{}/transfers, GET /person-transfers, GET /person-transfers/{}, DELETE /person-transfers/{},
        PUT /person-transfers/{}/acceptance, PUT /person-transfers/{}/refusal, POST /moves,
        GET /link-requests, GET /link-requests/{}, PUT /link-requests/{}/acceptance, PUT /link-requests/{}/refusal,
        GET /imports/template, POST /imports, GET /imports, GET /imports/{}, GET /imports/{}/progress,
        PUT /imports/{}/confirmation, GET /imports/{}/rows, GET /imports/{}/failed-rows.xlsx, DELETE /imports/{},
        GET /invitations, GET /invitations/{}/qr.svg, GET /applications, GET /applications/{}, GET /certifications,
        GET /transfers, GET /transfers/{}, PUT /transfers/{}/release, PUT /transfers/{}/acceptance,
        PUT /transfers/{}/refusal, GET /reports/units, POST /reports/units/exports, GET /audit""",
    "main": """DELETE /admins/{}, POST /admin-invitations, DELETE /admin-invitations/{}, POST /transfers,
        DELETE /transfers/{}""",
    "overview": """GET /subordinates, GET /reports/overview, GET /reports/subordinates, GET /reports/trend,
        POST /reports/overview/exports, POST /reports/trend/exports""",
    "people": "GET /rankings, POST /rankings/exports",
}
# Written where a route is not below an org: who gets in at all.
ELSEWHERE = ("public", "user", "operator", "service")

# Every caller is tried on the own org; on the others those whom a mistake could let in.
ASKED = {"released": ("superior", "top", "main", "released-main"), "other": ("main", "superior", "member", "stranger")}

ORG = "/v1/orgs/{org_id}"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    kind: str

    @property
    def row(self) -> str:
        """As the rows name it: below the org, other parameters left out."""
        below = self.path.removeprefix(ORG) or "/"
        parts = ["{}" if part.startswith("{") else part for part in below.split("/")]
        return f"{self.method} {'/'.join(parts)}"

    def at(self, org: Json | None) -> str:
        path = self.path.replace("{org_id}", org["id"]) if org else self.path
        parts = ["not-an-id" if part.startswith("{") else part for part in path.split("/")]
        return "/".join(parts)


def operations(app: FastAPI) -> Iterator[Operation]:
    for path, route in api_routes(app):
        admission = admission_of(route.dependant)
        if admission is None or not path.startswith("/v1/"):
            continue
        for method in sorted(route.methods or ()):
            if method != "HEAD":
                yield Operation(method, path, admission.kind)


def expected_rows() -> dict[str, str]:
    return {row.strip(): group for group, rows in ROWS.items() for row in rows.split(",")}


def test_every_operation_has_its_row_and_every_row_its_operation(app: FastAPI) -> None:
    found = {operation.row for operation in operations(app) if operation.kind == "org"}
    rows = expected_rows()
    assert found - rows.keys() == set(), "say in ROWS who may do this"
    assert rows.keys() - found == set(), "no such operation any more"
    assert {operation.kind for operation in operations(app)} <= {"org", *ELSEWHERE}


@dataclass
class Scene:
    """`own` is certified under `above`, under `top`; `below` under it; `released` was under `above`; `other` alone."""

    own: Json
    released: Json
    other: Json
    callers: dict[str, Person | None]


@pytest.fixture(scope="module")
async def scene(app: FastAPI, engine: AsyncEngine, api: httpx.AsyncClient, people: People) -> Scene:
    names = ("main", "admin", "member", "removed", "superior", "top", "subordinate", "stranger", "released-main")
    persons = {name: await people.register() for name in names}
    learner = await people.register(verified=False, party=False)
    operator_phone = fresh_phone()
    async with engine.begin() as db:
        code = await add_operator(db, app.state.cipher, Actor(), operator_phone, "张审核")
        client = await create_client(db, Actor(), name="matrix", scopes=["point-events:write"])
    operator = await people.register(phone=operator_phone, verified=False, party=False)
    await prove_key(operator, await register_key(operator, enrolment_code=code))
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.secret}
    token = done(await api.post("/oauth/token", data=form))["access_token"]
    service = Person("", "", "", api, token)

    owners = ("main", "released-main", "stranger", "superior", "top", "subordinate")
    own, released, other, above, top, below = [await persons[name].create_org() for name in owners]
    await certify(persons["top"], top, persons["superior"], above)
    await certify(persons["superior"], above, persons["main"], own)
    await certify(persons["superior"], above, persons["released-main"], released)
    await certify(persons["main"], own, persons["subordinate"], below)
    done(await persons["superior"].delete(f"/v1/orgs/{above['id']}/subordinates/{released['id']}"), 204)
    for name in ("admin", "removed"):
        await add_admin(persons["main"], own, persons[name])
    done(await persons["main"].delete(f"/v1/orgs/{own['id']}/admins/{persons['removed'].user_id}"), 204)
    member = persons["member"]
    await add_member(persons["main"], own, phone=member.phone, name=member.name)
    callers: dict[str, Person | None] = {"nobody": None, "learner": learner, "operator": operator, "service": service}
    callers.update(persons)
    return Scene(own, released, other, callers)


async def verdict(api: httpx.AsyncClient, person: Person | None, operation: Operation, org: Json | None) -> int:
    """The refusal's status, or MAY."""
    options: dict[str, Any] = {"headers": {"If-Match": "no-version"}}
    if person is not None:
        options["headers"] |= person.headers
    if operation.method in ("POST", "PUT", "PATCH"):
        options["json"] = {"no-such-field": 1}
    if operation.row == "DELETE /admins/me":
        options["params"] = {"cursor": "x"}
    answer = await api.request(operation.method, operation.at(org), **options)
    assert answer.status_code < 500, answer.text
    return answer.status_code if answer.status_code in (401, 403, 404) else MAY


def expected(group: str, caller: str, org: str) -> int:
    if caller in ("nobody", "service"):
        return 401
    standing = {
        "own": {"main": 0, "admin": 1, "member": 2, "removed": 2, "superior": 3, "top": 3},
        "released": {"released-main": 0},
        "other": {"stranger": 0},
    }[org]
    return WHO[group][standing[caller]] if caller in standing else 404


@pytest.mark.parametrize("org", ["own", "released", "other"])
async def test_who_is_let_in_to_an_org(app: FastAPI, api: httpx.AsyncClient, scene: Scene, org: str) -> None:
    rows = expected_rows()
    found: Json = getattr(scene, org)
    wrong = []
    for operation in operations(app):
        if operation.kind != "org" or operation.row == "DELETE /admins/me":
            continue
        for caller, person in scene.callers.items():
            if caller not in ASKED.get(org, scene.callers):
                continue
            got = await verdict(api, person, operation, found)
            wanted = expected(rows[operation.row], caller, org)
            if got != wanted:
                wrong.append(f"{caller}: {operation.method} {operation.path} of the {org} org: {got}, not {wanted}")
    assert wrong == []


async def test_who_may_resign(api: httpx.AsyncClient, scene: Scene) -> None:
    """The one operation without anything to get wrong is done for real, the admin last."""
    operation = Operation("DELETE", f"{ORG}/admins/me", "org")
    for caller, person in sorted(scene.callers.items(), key=lambda item: item[0] == "admin"):
        assert await verdict(api, person, operation, scene.own) == expected("inside", caller, "own"), caller


async def test_who_is_let_in_elsewhere(app: FastAPI, api: httpx.AsyncClient, scene: Scene) -> None:
    wanted = {
        "user": {"nobody": 401, "service": 401},
        "operator": {"nobody": 401, "service": 404, "main": 404, "learner": 404, "superior": 404, "operator": MAY},
        "service": {"nobody": 401, "main": 403, "operator": 403},
    }
    wrong = []
    for operation in operations(app):
        for caller, status in wanted.get(operation.kind, {}).items():
            got = await verdict(api, scene.callers[caller], operation, None)
            if caller == "operator" and got == 404 and operation.method == "DELETE":
                got = MAY  # a text for an id: past the door, and nothing there
            if got != status:
                wrong.append(f"{caller}: {operation.method} {operation.path}: {got}, not {status}")
    assert wrong == []


async def test_a_service_without_the_scope_is_told_so(
    app: FastAPI, engine: AsyncEngine, api: httpx.AsyncClient
) -> None:
    async with engine.begin() as db:
        client = await create_client(db, Actor(), name="scopeless", scopes=[])
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.secret}
    token = done(await api.post("/oauth/token", data=form))["access_token"]
    service = Person("", "", "", api, token)
    found = [operation for operation in operations(app) if operation.kind == "service"]
    assert found
    for operation in found:
        assert await verdict(api, service, operation, None) == 403
