"""Common calls on orgs over HTTP. Each call succeeds, or fails its test."""

from typing import Any

import httpx

from tests.people import Person, fresh_phone

Json = dict[str, Any]


def get_body(response: httpx.Response, status: int = 200) -> Any:
    """Return the body of an answer that must have this status."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def get_refusal(response: httpx.Response) -> tuple[int, str]:
    """Return the status and the problem's slug of a refused call."""
    return response.status_code, response.json()["type"].removeprefix("/problems/")


async def invite(superior_admin: Person, superior: Json, **body: Any) -> Json:
    """Create an invitation to be certified."""
    invitation: Json = get_body(await superior_admin.post(f"/v1/orgs/{superior['id']}/invitations", json=body), 201)
    return invitation


async def send_application(subordinate_admin: Person, subordinate: Json, token: str) -> httpx.Response:
    return await subordinate_admin.post(f"/v1/orgs/{subordinate['id']}/applications", json={"invitation_token": token})


async def certify(superior_admin: Person, superior: Json, subordinate_admin: Person, subordinate: Json) -> Json:
    """Invite, apply, approve."""
    application = get_body(
        await send_application(subordinate_admin, subordinate, (await invite(superior_admin, superior))["token"]), 201
    )
    path = f"/v1/orgs/{superior['id']}/applications/{application['id']}/approval"
    approved: Json = get_body(await superior_admin.put(path))
    return approved


async def invite_admin(main_admin: Person, org: Json, person: Person) -> Json:
    path = f"/v1/orgs/{org['id']}/admin-invitations"
    invitation: Json = get_body(await main_admin.post(path, json={"phone": person.phone}), 201)
    return invitation


async def add_admin(main_admin: Person, org: Json, person: Person) -> Json:
    """Invite and accept."""
    invitation = await invite_admin(main_admin, org, person)
    accepted: Json = get_body(await person.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance"))
    return accepted


async def send_change_request(person: Person, org: Json, **body: Any) -> httpx.Response:
    """Create a change request."""
    return await person.post(f"/v1/orgs/{org['id']}/change-requests", json=body)


async def add_unit(admin: Person, org: Json, name: str, parent: Json | None = None, **body: Any) -> Json:
    fields = {"name": name, "parent_id": parent["id"] if parent else None} | body
    unit: Json = get_body(await admin.post(f"/v1/orgs/{org['id']}/units", json=fields), 201)
    return unit


async def add_member(admin: Person, org: Json, *units: Json, **body: Any) -> Json:
    """Add a person to the directory, in these units (none: at the org itself)."""
    fields = {"name": "王小明", "phone": fresh_phone(), "unit_ids": [unit["id"] for unit in units]} | body
    member: Json = get_body(await admin.post(f"/v1/orgs/{org['id']}/members", json=fields), 201)
    return member


async def list_all(person: Person, path: str, **params: Any) -> list[Json]:
    """Return all items of a list, read page by page."""
    items: list[Json] = []
    cursor = None
    while True:
        page = get_body(await person.get(path, params=params | ({"cursor": cursor} if cursor else {})))
        items += page["items"]
        cursor = page.get("next_cursor")
        if cursor is None:
            return items


async def list_actions(person: Person, org: Json) -> list[str]:
    """Return the actions in the org's audit, newest first."""
    return [entry["action"] for entry in await list_all(person, f"/v1/orgs/{org['id']}/audit")]
