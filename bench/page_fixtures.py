"""One row of each kind that a page shows, created over HTTP in the group of 1,000 and in small orgs around it."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from bench.people import get_user_id, register_person
from bench.service import Measured
from devtools.demo.people import Person, fresh_name, fresh_phone, read_answer


@dataclass(frozen=True, slots=True)
class PageFixtures:
    """The id of one row of each kind that the pages show.

    Unless a field says otherwise, the row belongs to the org with 1,000 people, here called the group."""

    org: str
    county: str
    """An org with some 220 subordinates in its subtree."""
    subordinate: str
    """An org certified under the group. It has requested another name, another main admin and another superior."""
    applicant: str
    """An org that has applied to the group."""
    unit: str
    member: str
    admin: str
    """An admin other than the main admin."""
    session: str
    code: str
    """The scanned code of a sign-in page."""
    ticketed: str
    """A scanned code that a client of the API requested."""
    scan: str
    imported: str
    finished: str
    """An import that would remove nearly all people and waits for its confirmation."""
    export: str
    invitation: str
    token: str
    away: str
    """The token of an invitation by a third org, to which the subordinate wants to move."""
    application: str
    transfer: str
    rename: str
    recovery: str
    admin_invitation: str
    promotion: str
    link: str
    coming: str
    """A person's transfer into the group."""
    leaving: str
    """A person's transfer out of the group."""
    coming_people: str
    """A transfer of several people into the group."""
    leaving_people: str
    """A transfer of several people out of the group."""
    join_request: str
    join_link: str
    removal_request: str
    """The removal request of the invited person, who is in the group's directory."""
    blocked: str
    """An org that the invited person has blocked."""
    merging: str
    """An org that has requested a merger into the group. Its second admin has requested its closing."""
    merger: str
    closed: str
    """An org that was just closed."""
    orphan_recovery: str
    """A recovery that the platform operator decides: of the merging org, which has no superior."""
    client: str
    """A service client."""
    operator_offer: str
    """The platform operator's offer of the office of main admin of the applicant, which has no other admin."""


@dataclass(frozen=True, slots=True)
class Callers:
    """The callers of the pages: the group's main admin (`main`), its other admin, the main admin of the county above
    it, an invited person, and a platform operator.

    `waits` and `ticket` are the cookies of two browsers that wait for a scan: of the sign-in page and of the API.
    """

    main: Person
    other: Person
    superior_admin: Person
    invited: Person
    operator: Person
    waits: str
    ticket: str


def create_fixtures(measured: Measured, org: UUID) -> tuple[PageFixtures, Callers]:
    """Create the rows that the pages show, and the callers. Return the ids and the callers.

    When the function returns, the worker has finished its jobs for these rows, and the totals contain them.
    """
    with httpx.Client(base_url=measured.ours, timeout=60) as service, measured.run_worker():
        data = _create_fixtures(measured, service, str(org))
        asyncio.run(measured.wait_for_rollup())
    return data


def _create_fixtures(measured: Measured, service: httpx.Client, org: str) -> tuple[PageFixtures, Callers]:
    main, superior_admin = (
        Person(service, "", "", measured.sign_in(measured.find_main_admin(of))["Authorization"].removeprefix("Bearer "))
        for of in (UUID(org), measured.world.county)
    )
    other, invited, asker = (register_person(measured, service) for _ in range(3))
    own = f"/v1/orgs/{org}"
    subordinate, beyond, applicant = (_create_org(main) for _ in range(3))
    unit = _create(main, f"{own}/units", name=f"第{fresh_phone()}党支部")
    merging, closed, blocked = (_create_org(main) for _ in range(3))
    admins = {
        of: main.call("POST", f"/v1/orgs/{of}/admin-invitations", 201, json={"phone": other.phone})["id"]
        for of in (org, subordinate, merging)
    }
    for invitation in admins.values():
        other.call("PUT", f"/v1/me/admin-invitations/{invitation}/acceptance", 200)

    invitation = main.call("POST", f"{own}/invitations", 201, json={"max_uses": 9})
    away = main.call("POST", f"/v1/orgs/{beyond}/invitations", 201, json={"max_uses": 9})["token"]
    certified, application = (
        _create(main, f"/v1/orgs/{of}/applications", invitation_token=invitation["token"])
        for of in (subordinate, applicant)
    )
    main.call("PUT", f"{own}/applications/{certified}/approval", 200)

    member = _create(main, f"{own}/members", name=invited.name, phone=invited.phone, unit_ids=[unit])
    _create(main, f"{own}/members", name=asker.name, phone=fresh_phone(), unit_ids=[unit])
    moving = [
        _create(
            main,
            f"{at}/members/{_create(main, f'{at}/members', name=fresh_name(), phone=fresh_phone())}/transfers",
            org_id=to,
        )
        for at, to in ((own, subordinate), (f"/v1/orgs/{subordinate}", org))
    ]
    groups = [
        _create(
            main,
            f"{at}/group-transfers",
            org_id=to,
            member_ids=[_create(main, f"{at}/members", name=fresh_name(), phone=fresh_phone()) for _ in range(2)],
        )
        for at, to in ((own, subordinate), (f"/v1/orgs/{subordinate}", org))
    ]
    imported = main.call(
        "POST",
        f"{own}/imports",
        202,
        files={"file": ("people.csv", f"姓名,手机号码,支部名称\n{fresh_name()},{fresh_phone()},\n王伟,1,\n".encode())},
        data={"mode": "replace-all"},
    )["id"]
    export = main.call("POST", f"{own}/members/exports", 202, json={})["id"]
    main.wait_for_state(f"{own}/imports/{imported}", {"ready"})
    main.wait_for_state(f"{own}/exports/{export}", {"done"})

    _create(main, f"/v1/orgs/{blocked}/members", name=invited.name, phone=invited.phone)
    invited.call("PUT", f"/v1/me/blocked-orgs/{blocked}", 200)
    other.call("PUT", f"/v1/orgs/{merging}/closure", 202)
    main.call("PUT", f"/v1/orgs/{closed}/closure", 200)

    code, waits = _create_page_code(service)
    ticketed, ticket = _create_client_code(service)
    scan = _create(main, "/v1/scans", code=code)
    _create(main, "/v1/scans", code=ticketed)
    operator = _create_operator(measured, service)
    data = PageFixtures(
        org=org,
        county=str(measured.world.county),
        subordinate=subordinate,
        applicant=applicant,
        unit=unit,
        member=member,
        admin=str(get_user_id(other)),
        session=main.call("GET", "/v1/me/sessions", 200)["items"][0]["id"],
        code=code,
        ticketed=ticketed,
        scan=scan,
        imported=imported,
        finished=_import_person(main, own),
        export=export,
        invitation=invitation["id"],
        token=invitation["token"],
        away=away,
        application=application,
        transfer=_create(main, f"/v1/orgs/{subordinate}/transfers", invitation_token=away),
        rename=_create(main, f"/v1/orgs/{subordinate}/change-requests", kind="rename", name=_create_name()),
        recovery=_create(other, f"/v1/orgs/{subordinate}/change-requests", kind="recovery"),
        admin_invitation=_create(main, f"{own}/admin-invitations", phone=invited.phone),
        promotion=_create(main, f"{own}/promotions", unit_id=unit, name=_create_name(), to={"phone": invited.phone}),
        link=_create(asker, "/v1/me/link-requests", org_id=org),
        leaving=moving[0],
        coming=moving[1],
        leaving_people=groups[0],
        coming_people=groups[1],
        join_request=_create(register_person(measured, service), "/v1/me/join-requests", org_id=org),
        join_link=_create(main, f"{own}/join-links"),
        removal_request=_create(invited, "/v1/me/removal-requests", org_id=org),
        blocked=blocked,
        merging=merging,
        merger=_create(main, f"/v1/orgs/{merging}/mergers", org_id=org),
        closed=closed,
        orphan_recovery=_create(other, f"/v1/orgs/{merging}/change-requests", kind="recovery"),
        client=_create_client(service, kind="service", scopes=["point-events:write"]),
        operator_offer=_create(
            operator, "/v1/operator/recovery-offers", org_id=applicant, phone=fresh_phone(), reason="离任"
        ),
    )
    return data, Callers(main, other, superior_admin, invited, operator, waits, ticket)


def _create_operator(measured: Measured, service: httpx.Client) -> Person:
    """Return a new platform operator whose session has a proved security key."""
    operator = register_person(measured, service)
    user_id = get_user_id(operator)
    measured.query_value("INSERT INTO operators (user_id, name) VALUES ($1, $2)", user_id, operator.name)
    measured.query_value("UPDATE sessions SET key_checked_at = now() WHERE user_id = $1", user_id)
    return operator


def _create_client(service: httpx.Client, **body: Any) -> str:
    """Create a client of the API, and return its id."""
    return str(read_answer(service.post("/v1/simulator/clients", json=body), 200)["client_id"])


def _create_name() -> str:
    return f"中共基准县{fresh_phone()}委员会"


def _create_org(admin: Person) -> str:
    return _create(admin, "/v1/orgs", name=_create_name(), region_code="320102")


def _create(person: Person, path: str, **body: Any) -> str:
    """POST the body to the path as this person. Return the id of the created row."""
    return str(person.call("POST", path, 201, json=body)["id"])


def _import_person(person: Person, own: str) -> str:
    """Import a sheet of one person. Return the id of the finished import."""
    sheet = f"姓名,手机号码,支部名称\n{fresh_name()},{fresh_phone()},\n".encode()
    path = f"{own}/imports/{person.call('POST', f'{own}/imports', 202, files={'file': ('people.csv', sheet)})['id']}"
    person.wait_for_state(path, {"ready"})
    preview = person.call("GET", path, 200)["preview"]
    person.call("PUT", f"{path}/confirmation", 202, json={"preview": preview})
    person.wait_for_state(path, {"done"})
    return path.rpartition("/")[2]


def _create_page_code(service: httpx.Client) -> tuple[str, str]:
    """Open a sign-in page of the console. Return its code and the cookie of the browser that waits for the scan."""
    with httpx.Client(base_url=service.base_url) as browser:
        shown = browser.get("/console/")
        found = re.search(r'data-stream="/console/sign-in/([A-Z-]+)/events"', shown.text)
        assert found is not None
        ((name, value),) = browser.cookies.items()
    return found[1], f"{name}={value}"


def _create_client_code(service: httpx.Client) -> tuple[str, str]:
    """Start a device authorization of an API client. Return its code and the cookie of the browser that waits."""
    with httpx.Client(base_url=service.base_url) as browser:
        client = _create_client(browser, kind="device", scopes=["account:read"])
        device = read_answer(browser.post("/oauth/device_authorization", data={"client_id": client}), 200)
        path = f"/v1/device-authorizations/{device['user_code']}/ticket"
        browser.put(path, json={"device_code": device["device_code"]}).raise_for_status()
        ((name, value),) = browser.cookies.items()
    return device["user_code"], f"{name}={value}"
