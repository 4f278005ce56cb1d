"""The security key of provincial level (S16): whose calls demand it, and that it ends with its session."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.auth.authenticator import prove_key, register_key
from tests.people import People, Person


def demanded(answer: httpx.Response) -> bool:
    found: dict[str, Any] = answer.json()
    challenge = answer.headers.get("www-authenticate", "")
    return (
        answer.status_code == 401
        and found["type"] == "/problems/security-key-needed"
        and challenge.startswith('Bearer error="insufficient_user_authentication"')
        and 'acr_values="urn:xuezu:acr:security-key"' in challenge
        and 'max_age="43200"' in challenge
    )


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register()


@pytest.mark.parametrize("region", ["000000", "320000", "110000"])
async def test_an_admin_of_a_province_or_the_nation_needs_a_key(person: Person, region: str) -> None:
    org = await person.create_org(region_code=region)
    calls = (("GET", "/units"), ("GET", "/applications"), ("POST", "/invitations"))
    for method, path in calls:
        assert demanded(await person.request(method, f"/v1/orgs/{org['id']}{path}", json={})), path
    await prove_key(person)
    for method, path in calls:
        assert not demanded(await person.request(method, f"/v1/orgs/{org['id']}{path}", json={})), path


@pytest.mark.parametrize("region", ["320100", "320102"])
async def test_other_admins_need_none(person: Person, region: str) -> None:
    org = await person.create_org(region_code=region)
    assert (await person.get(f"/v1/orgs/{org['id']}/units")).status_code == 200


async def test_what_a_member_may_needs_none(person: Person) -> None:
    """The admin stands in the org as one of its people too, and sees its card as they do."""
    org = await person.create_org(region_code="320000")
    assert (await person.get(f"/v1/orgs/{org['id']}")).status_code == 200


async def test_a_stranger_is_not_told_of_keys(people: People, person: Person) -> None:
    org = await person.create_org(region_code="320000")
    other = await people.register()
    assert (await other.get(f"/v1/orgs/{org['id']}/units")).status_code == 404


async def test_looking_down_from_a_province_needs_a_key(people: People, person: Person) -> None:
    """What is seen of a county by way of a province is the province's."""
    below_admin = await people.register()
    above, below = await person.create_org(region_code="320000"), await below_admin.create_org()
    key = await register_key(person)
    assert demanded(await person.get(f"/v1/orgs/{above['id']}/units"))
    await prove_key(person, key)
    invited = await person.post(f"/v1/orgs/{above['id']}/invitations", json={})
    applied = await below_admin.post(
        f"/v1/orgs/{below['id']}/applications", json={"invitation_token": invited.json()["token"]}
    )
    assert applied.status_code == 201, applied.text
    approved = await person.put(f"/v1/orgs/{above['id']}/applications/{applied.json()['id']}/approval")
    assert approved.status_code == 200
    assert (await person.get(f"/v1/orgs/{below['id']}")).status_code == 200
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    assert demanded(await elsewhere.get(f"/v1/orgs/{below['id']}"))
    assert (await below_admin.get(f"/v1/orgs/{below['id']}")).status_code == 200


async def test_a_proof_ends_after_a_working_day_and_with_its_session(
    people: People, person: Person, db: AsyncConnection
) -> None:
    org = await person.create_org(region_code="320000")
    await prove_key(person)
    members = f"/v1/orgs/{org['id']}/units"
    assert (await person.get(members)).status_code == 200
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    assert demanded(await elsewhere.get(members))
    await db.execute(
        text("UPDATE sessions SET key_checked_at = now() - CAST(:ago AS interval) WHERE user_id = :id"),
        {"ago": timedelta(hours=12), "id": person.user_id},
    )
    assert demanded(await person.get(members))
