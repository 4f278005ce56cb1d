"""Numbers of Hong Kong, Macao, Taiwan and abroad: accounts, member rows and sheets."""

import random

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import add_member, get_body, get_refusal
from tests.auth.test_accounts import request_phone_change
from tests.members.sheets import Work, list_members, merge, xlsx
from tests.people import People
from tests.points.services import event, sign_in_service


def make_hong_kong_phone() -> str:
    """Return a random valid mobile number: not all of +85292… is assigned."""
    return f"+852926{random.randrange(10**5):05d}"


async def test_account_with_a_number_outside_the_mainland_activates_its_row(people: People, worker: Work) -> None:
    admin = await people.register()
    org = await admin.create_org()
    phone = make_hong_kong_phone()
    person = await people.register_over_http(phone=phone)
    typed = f"00{phone[1:5]} {phone[5:]}"
    member = await add_member(admin, org, phone=typed, name=person.name)
    assert (member["phone"], member["active"]) == (f"+852****{phone[-4:]}", True)
    path = f"/v1/orgs/{org['id']}/members"
    again = await admin.post(path, json={"name": "另一人", "phone": phone})
    assert get_refusal(again) == (409, "phone-exists")
    shown = get_body(await admin.post(f"{path}/{member['id']}/phone-disclosures"))
    assert shown["phone"] == phone
    assert [row["id"] for row in await list_members(admin, org["id"], q=phone[-4:])] == [member["id"]]
    sheet = xlsx([("陈大文", f"+852 {make_hong_kong_phone()[4:]}", "甲支部"), (person.name, typed, "甲支部")])
    assert (await merge(admin, org["id"], worker, sheet, unknown_units="create"))["counts"]["added"] == 1
    assert (await merge(admin, org["id"], worker, sheet))["counts"]["unchanged"] == 2


@pytest.mark.parametrize("prefix", ["+852926", "+853621", "+8869121", "+44791112", "+1202555", "+65912"])
async def test_phone_is_changed_to_a_number_outside_the_mainland_and_gets_points(
    people: People, api: httpx.AsyncClient, engine: AsyncEngine, prefix: str
) -> None:
    digits = {"+8869121": 5, "+44791112": 4, "+1202555": 4}.get(prefix, 5)
    phone = f"{prefix}{random.randrange(10 ** (digits - 1), 10**digits)}"
    person = await people.register()
    body = await request_phone_change(person, phone) | {"phone": f"00{phone[1:]}"}
    assert (await person.put("/v1/me/phone", json=body)).status_code == 204
    again = await people.register_over_http(phone=phone, verified=False, party=False)
    assert again.user_id == person.user_id
    service = await sign_in_service(api, engine)
    assert await service.outcomes(event(phone=phone, points=4)) == ["counted"]
    assert get_body(await again.get("/v1/me/points"))["total"] == 4
