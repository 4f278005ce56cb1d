"""One of each thing that a page is about, made over HTTP in the group of 1,000 and in small orgs beside it."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from bench.people import id_of, newcomer
from bench.service import Measured
from devtools.demo.people import Person, answered, fresh_name, fresh_phone

CONSOLE = "xuezu-console"


@dataclass(frozen=True, slots=True)
class Made:
    """Their ids, as addresses hold them. What nothing says otherwise of is the group's own."""

    org: str
    county: str
    """An org with some 220 below it."""
    below: str
    """Certified under the group; asks for another name, another main admin and another superior."""
    applicant: str
    """Applies to the group."""
    unit: str
    member: str
    admin: str
    """An admin beside the main one."""
    session: str
    code: str
    """A code on a sign-in page, scanned."""
    ticketed: str
    """Another, asked for by a client of the API."""
    scan: str
    imported: str
    """A sheet that would remove nearly everybody, waiting for a yes."""
    export: str
    invitation: str
    token: str
    away: str
    """The token of an invitation by a third org, to which the one below wants to go."""
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
    """And one out of it."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Who looks at them: the group's main admin, its other admin, the county's main admin, somebody who was offered
    something; and the cookies of the two who wait to be let in, at the page and at the API."""

    main: Person
    other: Person
    above: Person
    invited: Person
    waits: str
    ticket: str


def make(measured: Measured, org: UUID) -> tuple[Made, Callers]:
    """Make them; the worker has done its part when this is over."""
    with httpx.Client(base_url=measured.ours, timeout=60) as service, measured.worker():
        made = _make(measured, service, str(org))
        asyncio.run(measured.drained())
    return made


def _make(measured: Measured, service: httpx.Client, org: str) -> tuple[Made, Callers]:
    main, above = (
        Person(service, "", "", measured.sign_in(measured.main_admin(of))["Authorization"].removeprefix("Bearer "))
        for of in (UUID(org), measured.world.county)
    )
    other, invited, asker = (newcomer(measured, service) for _ in range(3))
    own = f"/v1/orgs/{org}"
    below, beyond, applicant = (_org(main) for _ in range(3))
    unit = _made(main, f"{own}/units", name=f"第{fresh_phone()}党支部")
    admins = {
        of: main.call("POST", f"/v1/orgs/{of}/admin-invitations", 201, json={"phone": other.phone})["id"]
        for of in (org, below)
    }
    for invitation in admins.values():
        other.call("PUT", f"/v1/me/admin-invitations/{invitation}/acceptance", 200)

    invitation = main.call("POST", f"{own}/invitations", 201, json={"max_uses": 9})
    away = main.call("POST", f"/v1/orgs/{beyond}/invitations", 201, json={"max_uses": 9})["token"]
    certified, application = (
        _made(main, f"/v1/orgs/{of}/applications", invitation_token=invitation["token"]) for of in (below, applicant)
    )
    main.call("PUT", f"{own}/applications/{certified}/approval", 200)

    member = _made(main, f"{own}/members", name=invited.name, phone=invited.phone, unit_ids=[unit])
    _made(main, f"{own}/members", name=asker.name, phone=fresh_phone(), unit_ids=[unit])
    moving = [
        _made(
            main,
            f"{at}/members/{_made(main, f'{at}/members', name=fresh_name(), phone=fresh_phone())}/transfers",
            org_id=to,
        )
        for at, to in ((own, below), (f"/v1/orgs/{below}", org))
    ]
    imported = main.call(
        "POST",
        f"{own}/imports",
        202,
        files={"file": ("people.csv", f"姓名,手机号码,支部名称\n{fresh_name()},{fresh_phone()},\n王伟,1,\n".encode())},
        data={"mode": "replace-all"},
    )["id"]
    export = main.call("POST", f"{own}/members/exports", 202, json={})["id"]
    main.wait(f"{own}/imports/{imported}", {"ready"})
    main.wait(f"{own}/exports/{export}", {"done"})

    code, waits = _code_at_the_page(service)
    ticketed, ticket = _code_of_a_client(service)
    scan = _made(main, "/v1/scans", code=code)
    _made(main, "/v1/scans", code=ticketed)
    made = Made(
        org=org,
        county=str(measured.world.county),
        below=below,
        applicant=applicant,
        unit=unit,
        member=member,
        admin=str(id_of(other)),
        session=main.call("GET", "/v1/me/sessions", 200)["items"][0]["id"],
        code=code,
        ticketed=ticketed,
        scan=scan,
        imported=imported,
        export=export,
        invitation=invitation["id"],
        token=invitation["token"],
        away=away,
        application=application,
        transfer=_made(main, f"/v1/orgs/{below}/transfers", invitation_token=away),
        rename=_made(main, f"/v1/orgs/{below}/change-requests", kind="rename", name=_named()),
        recovery=_made(other, f"/v1/orgs/{below}/change-requests", kind="recovery"),
        admin_invitation=_made(main, f"{own}/admin-invitations", phone=invited.phone),
        promotion=_made(main, f"{own}/promotions", unit_id=unit, name=_named(), to={"phone": invited.phone}),
        link=_made(asker, "/v1/me/link-requests", org_id=org),
        leaving=moving[0],
        coming=moving[1],
    )
    return made, Callers(main, other, above, invited, waits, ticket)


def _named() -> str:
    return f"中共基准县{fresh_phone()}委员会"


def _org(admin: Person) -> str:
    return _made(admin, "/v1/orgs", name=_named(), region_code="320102")


def _made(person: Person, path: str, **body: Any) -> str:
    """The id of what such a call makes."""
    return str(person.call("POST", path, 201, json=body)["id"])


def _code_at_the_page(service: httpx.Client) -> tuple[str, str]:
    """A code that a sign-in page shows, and the cookie by which the page waits for it."""
    with httpx.Client(base_url=service.base_url) as browser:
        shown = browser.get("/console/")
        found = re.search(r'data-stream="/console/sign-in/([A-Z-]+)/events"', shown.text)
        assert found is not None
        ((name, value),) = browser.cookies.items()
    return found[1], f"{name}={value}"


def _code_of_a_client(service: httpx.Client) -> tuple[str, str]:
    """A code that a program of the API's shows, and the cookie by which its browser waits for it."""
    with httpx.Client(base_url=service.base_url) as browser:
        asked = answered(browser.post("/oauth/device_authorization", data={"client_id": CONSOLE}), 200)
        path = f"/v1/device-authorizations/{asked['user_code']}/ticket"
        browser.put(path, json={"device_code": asked["device_code"]}).raise_for_status()
        ((name, value),) = browser.cookies.items()
    return asked["user_code"], f"{name}={value}"
