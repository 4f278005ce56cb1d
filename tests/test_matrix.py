"""Every operation by every kind of caller, on their own org, a certified, a released, another's and a closed org.

The rows are written by hand from the rules; the operations are read from the app. An operation without a row, or a row
without an operation, fails. The test checks authorization: an authorized caller gets to the validation of the body,
which is invalid on purpose, so that nothing changes.

On the own org every caller tries every operation. On the other orgs one operation per permission is tried, because a
permission decides in the same way for all its operations (`tests/test_routes.py` checks that for each route).
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api_docs.document import list_api_routes
from app.audit_log.entries import Actor
from app.auth.clients import create_client
from app.auth.operators.operators import add_operator
from app.authz.access import find_access_rule
from app.authz.permissions import CLOSED_ORG_PERMISSIONS
from app.authz.scopes import DEVICE_SCOPES, OWN_SCOPES, RESERVED, SERVICE_SCOPES, RegistrableScope
from app.authz.tokens import ISSUER, VERIFIER
from app.core.cipher import CIPHER
from tests.acts import Json, add_admin, add_member, certify, get_body
from tests.auth.authenticator import prove_key, register_key
from tests.auth.consoles import DESKTOP
from tests.people import People, Person, fresh_phone

MAY = 0  # authorized
WHO = {
    # row: what main admin, admin, member and an admin of a superior get; all others get 404
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
        POST /application-decisions,
        DELETE /subordinates/{}""",
    "inside": """GET /units, POST /units, GET /units/{}, PATCH /units/{}, DELETE /units/{}, POST /units/{}/admins,
        GET /units/{}/members,
        POST /promotions, GET /promotions, GET /promotions/{}, DELETE /promotions/{},
        GET /admins, GET /admin-invitations, GET /admin-invitations/{}, DELETE /admins/me,
        GET /subordinates/{}/recovery-offers, GET /subordinates/{}/recovery-offers/{},
        POST /change-requests, GET /change-requests, GET /change-requests/{}, DELETE /change-requests/{},
        GET /closures, DELETE /closure,
        PUT /change-requests/{}/approval, PUT /change-requests/{}/refusal,
        GET /members, POST /members, GET /members/{}, PATCH /members/{}, DELETE /members/{}, PUT /members/{}/units,
        PUT /members/{}/units/{}/position,
        POST /members/{}/copies, POST /members/{}/phone-disclosures, POST /members/phone-searches,
        GET /members/removed, POST /members/{}/restorations,
        POST /members/exports, DELETE /members/{}/activation,
        POST /members/{}/transfers, GET /person-transfers, GET /person-transfers/{}, DELETE /person-transfers/{},
        PUT /person-transfers/{}/acceptance, PUT /person-transfers/{}/refusal, POST /moves, POST /moves/previews,
        POST /moves/reversals,
        POST /group-transfers, POST /group-transfers/previews, POST /group-transfers/sheets, GET /group-transfers,
        GET /group-transfers/{},
        GET /group-transfers/{}/people, DELETE /group-transfers/{}, PUT /group-transfers/{}/acceptance,
        PUT /group-transfers/{}/refusal,
        GET /link-requests, GET /link-requests/{}, PUT /link-requests/{}/acceptance, PUT /link-requests/{}/refusal,
        GET /join-requests, GET /join-requests/{}, PUT /join-requests/{}/acceptance, PUT /join-requests/{}/refusal,
        GET /removal-requests, GET /removal-requests/{}, PUT /removal-requests/{}/acceptance,
        PUT /removal-requests/{}/refusal,
        POST /join-links, GET /join-links, GET /join-links/{}, GET /join-links/{}/qr.svg, DELETE /join-links/{},
        GET /imports/template, POST /imports, GET /imports, GET /imports/{}, GET /imports/{}/progress,
        PUT /imports/{}/confirmation, PUT /imports/{}/reading, GET /imports/{}/rows, GET /imports/{}/changes,
        GET /imports/{}/changes.xlsx,
        GET /imports/{}/failed-rows.xlsx, DELETE /imports/{}, PATCH /imports/{}/rows/{}, GET /imports/{}/summary,
        GET /imports/{}/units, PUT /imports/{}/units, GET /imports/{}/reversal, GET /imports/{}/reversal/blocked-people,
        PUT /imports/{}/reversal,
        GET /invitations, GET /invitations/{}, GET /invitations/{}/qr.svg, GET /applications, GET /applications/{},
        GET /certifications, GET /certifications/{},
        GET /transfers, GET /transfers/{}, PUT /transfers/{}/release, PUT /transfers/{}/acceptance,
        PUT /transfers/{}/refusal,
        GET /mergers, GET /mergers/{}, PUT /mergers/{}/acceptance, PUT /mergers/{}/refusal,
        GET /reports/units, POST /reports/units/exports, GET /audit""",
    "main": """DELETE /admins/{}, POST /admin-invitations, DELETE /admin-invitations/{}, POST /transfers,
        DELETE /transfers/{}, POST /mergers, DELETE /mergers/{},
        POST /subordinates/{}/recovery-offers, DELETE /subordinates/{}/recovery-offers/{}""",
    "overview": """GET /subordinates, GET /reports/overview, GET /reports/subordinates, GET /reports/trend,
        POST /reports/overview/exports, POST /reports/trend/exports""",
    "people": "GET /rankings, POST /rankings/exports",
}
# The scope that an access token needs beside the role of its user: by the first part of the path in the org, for reads
# and for writes. What is longer counts before its first part.
SCOPES = {
    (
        "orgs:read",
        "orgs:write",
    ): """, superiors, subordinates, subordinates/recovery-offers, units, units/admins, admins,
        admins, admin-invitations, promotions, change-requests, closure, closures, invitations, applications,
        application-decisions, certifications, transfers, mergers""",
    ("members:read", "members:write"): """units/members, members, moves, imports, person-transfers, group-transfers,
        link-requests, join-requests, join-links, removal-requests""",
    ("reports:read", "reports:read"): "reports, rankings",
    ("audit:read", "audit:read"): "audit",
    ("orgs:read", "orgs:read"): "exports",  # each export also needs the scope of its content
}
READS_OF_WRITERS = "GET /imports/{}/failed-rows.xlsx"  # whole phones, to be sent in again
SCOPES_ELSEWHERE = {
    # What decides over the account itself: only the app and the console may.
    "account:manage": """DELETE /v1/me/sessions, DELETE /v1/me/sessions/{}, POST /v1/me/verifications,
        POST /v1/me/phone-codes, POST /v1/me/old-phone-codes, PUT /v1/me/phone, POST /v1/me/closing-codes,
        PUT /v1/me/closure, POST /v1/me/account-recoveries, PUT /v1/me/account-recoveries/{}/stop,
        POST /v1/me/security-keys, PATCH /v1/me/security-keys/{}, DELETE /v1/me/security-keys/{},
        POST /v1/me/data-copies, GET /v1/me/data-copies/{}, GET /v1/me/data-copies/{}/content,
        DELETE /v1/me/data-copies/{},
        POST /v1/scans, GET /v1/scans/{}, PUT /v1/scans/{}/approval, PUT /v1/scans/{}/refusal""",
    "orgs:write": "POST /v1/orgs",
    # A security key is proved in the session that needs it, whatever its scopes are.
    "": "POST /v1/me/security-key-challenges, PUT /v1/me/security-key-check",
}
# Written where a route is not below an org: who gets in at all.
ELSEWHERE = ("public", "user", "operator", "service")

ORG = "/v1/orgs/{org_id}"
RESIGNING = "DELETE /admins/me"
SIGNING_OUT = "DELETE /v1/me/sessions"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    kind: str
    needs: str | None = None

    @property
    def row(self) -> str:
        """Return the operation as in the rows: its path in the org, other parameters omitted."""
        subordinate = self.path.removeprefix(ORG) or "/"
        parts = ["{}" if part.startswith("{") else part for part in subordinate.split("/")]
        return f"{self.method} {'/'.join(parts)}"

    def at(self, org: Json | None) -> str:
        path = self.path.replace("{org_id}", org["id"]) if org else self.path
        parts = ["not-an-id" if part.startswith("{") else part for part in path.split("/")]
        return "/".join(parts)


def operations(app: FastAPI) -> Iterator[Operation]:
    for path, route in list_api_routes(app):
        rule = find_access_rule(route.dependant)
        if rule is None or not path.startswith("/v1/"):
            continue
        for method in sorted(route.methods or ()):
            if method != "HEAD":
                yield Operation(method, path, rule.kind, rule.needs)


def one_of_each_permission(app: FastAPI) -> Iterator[Operation]:
    """Yield one operation of each permission; if a permission has reads and writes, one of each."""
    found = {(operation.needs, operation.method == "GET"): operation for operation in org_operations(app)}
    yield from found.values()


def org_operations(app: FastAPI) -> Iterator[Operation]:
    """Yield all operations of an org except resigning, which has no invalid input and has its own test."""
    for operation in operations(app):
        if operation.kind == "org" and operation.row != RESIGNING:
            yield operation


def find_scope(operation: Operation) -> str:
    """Return the scope that the operation needs by the tables above; an empty text if it needs none."""
    reads = operation.method == "GET"
    if operation.kind == "operator":
        return "operator"
    if operation.kind == "user":
        found = {row.strip(): scope for scope, rows in SCOPES_ELSEWHERE.items() for row in rows.split(",")}
        return found.get(operation.row, "account:read" if reads else "account:write")
    parts = [part for part in operation.row.partition(" ")[2].split("/") if part not in ("", "{}")]
    by_path = {path.strip(): pair for pair, paths in SCOPES.items() for path in paths.split(",")}
    pair = by_path.get("/".join(parts[:2])) or by_path["".join(parts[:1])]
    return pair[0] if reads and operation.row != READS_OF_WRITERS else pair[1]


def expected_rows() -> dict[str, str]:
    return {row.strip(): group for group, rows in ROWS.items() for row in rows.split(",")}


def test_operations_and_rows_correspond(app: FastAPI) -> None:
    found = {operation.row for operation in operations(app) if operation.kind == "org"}
    rows = expected_rows()
    assert found - rows.keys() == set(), "say in ROWS who may do this"
    assert rows.keys() - found == set(), "no such operation any more"
    assert {operation.kind for operation in operations(app)} <= {"org", *ELSEWHERE}


@dataclass
class Scene:
    """`own` is certified under `superior`, which is under `top`; `certified` is under `own`. `released` was under
    `superior`. `other` has no superior. `closed` was closed by the main admin of `own`."""

    own: Json
    certified: Json
    released: Json
    other: Json
    closed: Json
    callers: dict[str, Person | None]


@pytest.fixture(scope="module")
async def scene(app: FastAPI, engine: AsyncEngine, api: httpx.AsyncClient, people: People) -> Scene:
    names = ("main", "admin", "member", "removed", "superior", "top", "subordinate", "stranger", "released-main")
    persons = {name: await people.register() for name in names}
    learner = await people.register(verified=False, party=False)
    operator_phone = fresh_phone()
    async with engine.begin() as db:
        code = await add_operator(db, CIPHER.get(app), Actor(), operator_phone, "张审核")
        clients = [
            await create_client(db, Actor(), name="matrix", scopes=scopes) for scopes in (["point-events:write"], [])
        ]
    operator = await people.register(phone=operator_phone, verified=False, party=False)
    await prove_key(operator, await register_key(operator, enrolment_code=code))
    services = []
    for client in clients:
        form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.secret}
        services.append(Person("", "", "", api, get_body(await api.post("/oauth/token", data=form))["access_token"]))

    owners = ("main", "released-main", "stranger", "superior", "top", "subordinate")
    own, released, other, superior, top, subordinate = [await persons[name].create_org() for name in owners]
    await certify(persons["top"], top, persons["superior"], superior)
    await certify(persons["superior"], superior, persons["main"], own)
    await certify(persons["superior"], superior, persons["released-main"], released)
    await certify(persons["main"], own, persons["subordinate"], subordinate)
    get_body(await persons["superior"].delete(f"/v1/orgs/{superior['id']}/subordinates/{released['id']}"), 204)
    for name in ("admin", "removed"):
        await add_admin(persons["main"], own, persons[name])
    get_body(await persons["main"].delete(f"/v1/orgs/{own['id']}/admins/{persons['removed'].user_id}"), 204)
    member = persons["member"]
    await add_member(persons["main"], own, phone=member.phone, name=member.name)
    closed = await persons["main"].create_org()
    get_body(await persons["main"].put(f"/v1/orgs/{closed['id']}/closure"))
    callers: dict[str, Person | None] = {"anonymous": None, "learner": learner, "operator": operator}
    callers |= {"service": services[0], "scopeless service": services[1]}
    callers.update(persons)
    return Scene(own, subordinate, released, other, closed, callers)


async def verdict(api: httpx.AsyncClient, person: Person | None, operation: Operation, org: Json | None) -> int:
    """Return the status of the refusal, or MAY."""
    answer = await ask(api, person, operation, org)
    return answer.status_code if answer.status_code in (401, 403, 404) else MAY


async def ask(api: httpx.AsyncClient, person: Person | None, operation: Operation, org: Json | None) -> httpx.Response:
    options: dict[str, Any] = {"headers": {"If-Match": "no-version"}}
    if person is not None:
        options["headers"] |= person.headers
    if operation.method in ("POST", "PUT", "PATCH"):
        options["json"] = {"no-such-field": 1}
    answer = await api.request(operation.method, operation.at(org), **options)
    assert answer.status_code < 500, answer.text
    return answer


def expected(group: str, caller: str, org: str) -> int:
    if caller in ("anonymous", "service", "scopeless service"):
        return 401 if caller == "anonymous" else 403
    standing = {
        "own": {"main": 0, "admin": 1, "member": 2, "removed": 2, "superior": 3, "top": 3},
        "certified": {"subordinate": 0, "main": 3, "admin": 3, "superior": 3, "top": 3},
        "released": {"released-main": 0},
        "other": {"stranger": 0},
    }[org]
    return WHO[group][standing[caller]] if caller in standing else 404


@pytest.mark.parametrize("org", ["own", "certified", "released", "other"])
async def test_access_to_an_org_matches_the_rows(app: FastAPI, api: httpx.AsyncClient, scene: Scene, org: str) -> None:
    rows = expected_rows()
    found: Json = getattr(scene, org)
    wrong = []
    for operation in org_operations(app) if org == "own" else one_of_each_permission(app):
        for caller, person in scene.callers.items():
            got = await verdict(api, person, operation, found)
            wanted = expected(rows[operation.row], caller, org)
            if got != wanted:
                wrong.append(f"{caller}: {operation.method} {operation.path} of the {org} org: {got}, not {wanted}")
    assert wrong == []


async def test_closed_org_can_only_be_read(app: FastAPI, api: httpx.AsyncClient, scene: Scene) -> None:
    wrong = []
    for operation in one_of_each_permission(app):
        answer = await ask(api, scene.callers["main"], operation, scene.closed)
        refused = answer.status_code == 409 and answer.json()["type"] == "/problems/org-closed"
        if refused is (operation.needs in CLOSED_ORG_PERMISSIONS):
            wrong.append(f"{operation.method} {operation.path}: {answer.status_code}")
        assert await verdict(api, scene.callers["stranger"], operation, scene.closed) == 404
    assert wrong == []


async def test_resignation_is_allowed_to_other_admins_only(api: httpx.AsyncClient, scene: Scene) -> None:
    """The one operation without anything to get wrong is done for real, the admin last."""
    operation = Operation("DELETE", f"{ORG}/admins/me", "org")
    assert operation.row == RESIGNING
    for caller, person in sorted(scene.callers.items(), key=lambda item: item[0] == "admin"):
        assert await verdict(api, person, operation, scene.own) == expected("inside", caller, "own"), caller


async def test_access_outside_an_org_matches_the_rows(app: FastAPI, api: httpx.AsyncClient, scene: Scene) -> None:
    wanted = {
        "user": {"anonymous": 401, "service": 403, "scopeless service": 403},
        "operator": {"anonymous": 401, "service": 404, "main": 404, "learner": 404, "superior": 404, "operator": MAY},
        "service": {"anonymous": 401, "scopeless service": 403, "main": 403, "operator": 403, "service": MAY},
    }
    wrong = []
    for operation in operations(app):
        for caller, status in wanted.get(operation.kind, {}).items():
            got = await verdict(api, scene.callers[caller], operation, None)
            if caller == "operator" and got == 404 and operation.path.endswith(("}", "/restoration")):
                got = MAY  # a text in place of an id: authorized, then not found
            if got != status:
                wrong.append(f"{caller}: {operation.method} {operation.path}: {got}, not {status}")
    assert wrong == []


def people_operations(app: FastAPI) -> Iterator[Operation]:
    """Yield all operations that a person's token can make, except resigning."""
    for operation in operations(app):
        if operation.kind in ("org", "user", "operator") and operation.row != RESIGNING:
            yield operation


@pytest.fixture(scope="module")
async def scoped(app: FastAPI, scene: Scene) -> Callable[[str, Collection[str]], Awaitable[Person]]:
    """Return a function that gives a caller of the scene a token of these scopes."""

    async def grant(caller: str, scopes: Collection[str]) -> Person:
        person = scene.callers[caller]
        assert person is not None
        token = await VERIFIER.get(app).verify(person.token)
        granted = await ISSUER.get(app).issue(
            token.subject, client_id=DESKTOP, session_id=token.session_id, scopes=scopes
        )
        return replace(person, token=granted)

    return grant


async def test_token_without_the_scope_of_an_operation_is_refused(
    app: FastAPI,
    api: httpx.AsyncClient,
    scene: Scene,
    scoped: Callable[[str, Collection[str]], Awaitable[Person]],
) -> None:
    """Every operation with a token of all scopes but the one that it needs. On an org that the token's user may
    not see, the answer is the same."""
    tokens: dict[tuple[str, str], Person] = {}
    wrong = []
    for operation in people_operations(app):
        needed = find_scope(operation)
        caller = "operator" if operation.kind == "operator" else "main"
        if (caller, needed) not in tokens:
            tokens[caller, needed] = await scoped(caller, OWN_SCOPES - {needed})
        for org in [scene.own, scene.other] if operation.kind == "org" else [None]:
            answer = await ask(api, tokens[caller, needed], operation, org)
            refused = answer.status_code == 403 and answer.json()["type"] == "/problems/insufficient-scope"
            challenge = answer.headers.get("www-authenticate", "")
            if refused is not bool(needed) or (refused and f'scope="{needed}"' not in challenge):
                wrong.append(f"{operation.method} {operation.path}: {answer.status_code} {challenge}, needs {needed}")
    assert wrong == []


async def test_token_with_only_the_scope_of_an_operation_is_authorized(
    app: FastAPI,
    api: httpx.AsyncClient,
    scene: Scene,
    scoped: Callable[[str, Collection[str]], Awaitable[Person]],
) -> None:
    tokens: dict[tuple[str, str], Person] = {}
    wrong = []
    for operation in people_operations(app):
        needed = find_scope(operation)
        caller = "operator" if operation.kind == "operator" else "main"
        if (caller, needed) not in tokens:
            tokens[caller, needed] = await scoped(caller, {needed} if needed else {"audit:read"})
        if operation.row == SIGNING_OUT:
            continue  # it needs no body, so it would be done
        org = scene.own if operation.kind == "org" else None
        got = await ask(api, tokens[caller, needed], operation, org)
        if got.status_code in (401, 403):
            wrong.append(f"{operation.method} {operation.path}: {got.status_code} with {needed}")
    assert wrong == []


def test_every_scope_of_the_tables_exists() -> None:
    named = {scope for pair in SCOPES for scope in pair} | SCOPES_ELSEWHERE.keys() - {""}
    assert named | {"account:read", "account:write", "operator"} == OWN_SCOPES
    assert set(get_args(RegistrableScope)) == DEVICE_SCOPES | SERVICE_SCOPES
    assert set() == DEVICE_SCOPES & RESERVED
