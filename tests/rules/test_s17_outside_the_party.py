"""S17 People outside the party · 党外人士"""

import pytest

from tests.acts import Json, add_admin, add_member, get_body, get_refusal, send_change_request
from tests.people import People, Person, fresh_name, fresh_org_name, fresh_phone
from tests.rules.world import World


@pytest.fixture(scope="module")
async def outsider(people: People) -> Person:
    return await people.register(party=False)


@pytest.fixture(scope="module")
async def org(outsider: Person) -> Json:
    return await outsider.create_org(name=f"{fresh_org_name()[2:]}党外人士学习组织", kind="outside-party")


async def test_person_outside_the_party_is_a_member_of_an_org_outside_the_party(outsider: Person, org: Json) -> None:
    """They belong to an org of that kind."""
    member = await add_member(outsider, org, party=False)
    assert member["party"] is False


async def test_party_flag_of_a_row_is_that_of_the_orgs_kind(world: World, outsider: Person, org: Json) -> None:
    """A row's party flag defaults to the org's kind."""
    assert (await add_member(outsider, org))["party"] is False
    assert (await add_member(world.admin, world.org))["party"] is True


async def test_probationary_member_is_in_the_party(world: World) -> None:
    """A probationary member is in the party."""
    assert (await add_member(world.admin, world.org, probationary=True))["party"] is True
    body = {"name": fresh_name(), "phone": fresh_phone(), "probationary": True, "party": False}
    assert get_refusal(await world.admin.post(f"{world.path}/members", json=body))[0] in {409, 422}


async def test_person_outside_the_party_is_refused_by_a_party_org(world: World) -> None:
    """Adding one to a party org is refused (409 `party-members-only`), and the answer names the right kind of org."""
    body = {"name": fresh_name(), "phone": fresh_phone(), "party": False}
    refused = await world.admin.post(f"{world.path}/members", json=body)
    assert get_refusal(refused) == (409, "party-members-only")
    assert refused.json()["org_kind"] == "outside-party"


async def test_party_member_can_be_an_admin_of_an_org_outside_the_party(
    outsider: Person, org: Json, people: People
) -> None:
    """Party members may administer such an org."""
    party_member = await people.register()
    await add_admin(outsider, org, party_member)
    assert len(get_body(await party_member.get(f"/v1/orgs/{org['id']}/admins"))["items"]) == 2


async def test_person_who_leaves_the_party_hands_over_the_party_orgs_first(people: People) -> None:
    """A person who leaves the party first hands over the party orgs that they administer (409
    `party-orgs-administered`).
    """
    person, successor = await people.register(), await people.register()
    org = await person.create_org()
    left = await person.patch("/v1/me", json={"party_member": False})
    assert get_refusal(left) == (409, "party-orgs-administered")
    assert [named["id"] for named in left.json()["orgs"]] == [org["id"]]
    await add_admin(person, org, successor)
    get_body(await send_change_request(person, org, kind="hand-over", main_admin_id=successor.user_id), 201)
    get_body(await person.delete(f"/v1/orgs/{org['id']}/admins/me"), 204)
    assert get_body(await person.patch("/v1/me", json={"party_member": False}))["party_member"] is False
