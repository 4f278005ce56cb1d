"""Step-up at provincial level (S16): the calls that require a security key, and the end of a proof."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import certify, get_body, list_all
from tests.auth.authenticator import forget_key_proof, prove_key, register_key
from tests.people import People, Person


def is_step_up(answer: httpx.Response) -> bool:
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
async def test_admin_of_province_or_nation_needs_a_key(person: Person, region: str) -> None:
    org = await person.create_org(region_code=region)
    calls = (("GET", "/units"), ("GET", "/applications"), ("POST", "/invitations"))
    for method, path in calls:
        assert is_step_up(await person.request(method, f"/v1/orgs/{org['id']}{path}", json={})), path
    await prove_key(person)
    for method, path in calls:
        assert not is_step_up(await person.request(method, f"/v1/orgs/{org['id']}{path}", json={})), path


@pytest.mark.parametrize("region", ["320100", "320102"])
async def test_admin_below_province_needs_no_key(person: Person, region: str) -> None:
    org = await person.create_org(region_code=region)
    assert (await person.get(f"/v1/orgs/{org['id']}/units")).status_code == 200


async def test_permission_of_members_needs_no_key(person: Person) -> None:
    """The admin is also a member of the org, and reads the org as any member does."""
    org = await person.create_org(region_code="320000")
    assert (await person.get(f"/v1/orgs/{org['id']}")).status_code == 200


async def test_caller_without_a_role_gets_404_and_no_challenge(people: People, person: Person) -> None:
    org = await person.create_org(region_code="320000")
    other = await people.register()
    assert (await other.get(f"/v1/orgs/{org['id']}/units")).status_code == 404


async def test_province_admin_needs_a_key_for_a_subordinate_org(people: People, person: Person) -> None:
    """An admin of a province sees a county through the role in the province, which requires a key."""
    subordinate_admin = await people.register()
    superior, subordinate = await person.create_org(region_code="320000"), await subordinate_admin.create_org()
    key = await register_key(person)
    assert is_step_up(await person.get(f"/v1/orgs/{superior['id']}/units"))
    await prove_key(person, key)
    invited = await person.post(f"/v1/orgs/{superior['id']}/invitations", json={})
    applied = await subordinate_admin.post(
        f"/v1/orgs/{subordinate['id']}/applications", json={"invitation_token": invited.json()["token"]}
    )
    assert applied.status_code == 201, applied.text
    approved = await person.put(f"/v1/orgs/{superior['id']}/applications/{applied.json()['id']}/approval")
    assert approved.status_code == 200
    assert (await person.get(f"/v1/orgs/{subordinate['id']}")).status_code == 200
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    assert is_step_up(await elsewhere.get(f"/v1/orgs/{subordinate['id']}"))
    assert (await subordinate_admin.get(f"/v1/orgs/{subordinate['id']}")).status_code == 200


async def test_key_proof_expires_after_twelve_hours_and_is_valid_in_one_session(
    people: People, person: Person, db: AsyncConnection
) -> None:
    org = await person.create_org(region_code="320000")
    await prove_key(person)
    members = f"/v1/orgs/{org['id']}/units"
    assert (await person.get(members)).status_code == 200
    elsewhere = await people.register(phone=person.phone, verified=False, party=False)
    assert is_step_up(await elsewhere.get(members))
    await db.execute(
        text("UPDATE sessions SET key_checked_at = now() - CAST(:ago AS interval) WHERE user_id = :id"),
        {"ago": timedelta(hours=12), "id": person.user_id},
    )
    assert is_step_up(await person.get(members))


async def test_org_search_shows_nothing_below_a_province_until_a_key_is_proved(
    people: People, person: Person, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = await people.register()
    province, city = await person.create_org(region_code="320000"), await clerk.create_org(region_code="320100")
    key = await prove_key(person)
    await certify(person, province, clerk, city)
    own = await person.create_org(region_code="320102")

    async def find() -> set[str]:
        return {org["id"] for org in await list_all(person, "/v1/orgs")}

    for collected in (50_000, 0):  # both ways of searching
        monkeypatch.setattr("app.orgs.queries.MAX_COLLECTED_ORGS", collected)
        await prove_key(person, key)
        assert await find() == {province["id"], city["id"], own["id"]}
        await forget_key_proof(db, person)
        assert await find() == {province["id"], own["id"]}


async def test_message_to_a_province_names_no_subordinate(people: People, person: Person) -> None:
    clerk = await people.register()
    province, city = await person.create_org(region_code="320000"), await clerk.create_org(region_code="320100")
    await prove_key(person)
    await certify(person, province, clerk, city)
    get_body(await clerk.put(f"/v1/orgs/{city['id']}/closure"))
    newest = get_body(await person.get("/v1/messages"))["items"][0]
    assert (newest["kind"], newest["org_id"], newest["org_name"]) == ("subordinate-closed", None, None)
    assert city["name"] not in newest["text"]
