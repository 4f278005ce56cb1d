"""S14 Several orgs, certifying oneself · 兼任与自我认证"""

from tests.acts import add_admin, certify, get_body, get_refusal, invite, send_application
from tests.people import People
from tests.rules.world import World, find_superior_id


async def test_admin_of_two_orgs_of_different_levels_gets_advice(world: World, people: People) -> None:
    """One person may be admin of several orgs; different levels give advice."""
    person = await people.register()
    assert (await person.create_org(region_code="320102"))["advice"] == []
    assert (await person.create_org(region_code="110101"))["advice"] == []
    accepted = await add_admin(world.superior_admin, world.superior, person)
    assert [advice["code"] for advice in accepted["advice"]] == ["levels-differ"]
    get_body(await world.superior_admin.delete(f"/v1/orgs/{world.superior['id']}/admins/{person.user_id}"), 204)


async def test_admin_certifies_one_own_org_under_another(people: People) -> None:
    """They may certify one of their orgs under another."""
    person = await people.register()
    superior, org = await person.create_org(), await person.create_org()
    await certify(person, superior, person, org)
    assert await find_superior_id(person, org) == superior["id"]


async def test_superior_of_a_lower_level_or_of_people_outside_the_party_gives_advice(people: People) -> None:
    """A superior of a lower level, or one of people outside the party above a party org, gives advice."""
    person = await people.register()
    county, city = await person.create_org(region_code="320102"), await person.create_org(region_code="320100")
    outside = await person.create_org(name=f"{city['name'][2:]}党外人士学习组织", kind="outside-party")
    for superior, org, codes in (
        (county, city, ["superior-lower"]),
        (outside, county, ["superior-outside-party"]),
        (city, county, []),
    ):
        token = (await invite(person, superior))["token"]
        applied = get_body(await send_application(person, org, token), 201)
        assert [advice["code"] for advice in applied["advice"]] == codes
        get_body(await person.delete(f"/v1/orgs/{org['id']}/applications/{applied['id']}"), 204)


async def test_edge_that_would_close_a_circle_is_refused(people: People) -> None:
    """An edge that would close a circle is refused (409 `would-close-circle`), also when two decisions race."""
    # Two crossing approvals race in tests/certification/test_certification.py. Here the second comes after the first.
    person = await people.register()
    left, right = await person.create_org(), await person.create_org()
    crossing = []
    for superior, org in ((left, right), (right, left)):
        token = (await invite(person, superior, max_uses=2))["token"]
        application = get_body(await send_application(person, org, token), 201)
        crossing.append(f"/v1/orgs/{superior['id']}/applications/{application['id']}/approval")
    get_body(await person.put(crossing[0]))
    assert get_refusal(await person.put(crossing[1])) == (409, "would-close-circle")
