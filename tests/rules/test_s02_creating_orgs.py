"""S2 Creating an org · 创建学习组织"""

from tests.acts import certify, get_body, get_refusal, invite, send_application
from tests.people import People, fresh_org_name
from tests.rules.world import World, create_pair


async def test_org_created_by_verified_party_member_has_its_name_and_region_and_that_member_as_main_admin(
    people: People,
) -> None:
    """A verified party member gives a name and a region (GB/T 2260 code) and becomes the main admin."""
    founder = await people.register()
    body = {"name": fresh_org_name(), "region_code": "320102"}
    org = get_body(await founder.post("/v1/orgs", json=body), 201)
    assert (org["name"], org["region"], org["main_admin_id"]) == (body["name"], "江苏省南京市玄武区", founder.user_id)


async def test_party_org_of_a_person_outside_the_party_is_refused(people: People) -> None:
    """Of others this is refused (403 `party-member-required`)."""
    person = await people.register(party=False)
    created = await person.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"})
    assert get_refusal(created) == (403, "party-member-required")


async def test_verified_person_outside_the_party_creates_an_org_outside_the_party(people: People) -> None:
    """For an org of people outside the party, any verified person may."""
    person = await people.register(party=False)
    org = await person.create_org(name=f"{fresh_org_name()[2:]}党外人士学习组织", kind="outside-party")
    assert org["main_admin_id"] == person.user_id


async def test_unknown_region_is_refused(world: World) -> None:
    """An unknown region is refused (422 `unknown-region`)."""
    created = await world.stranger.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "999999"})
    assert get_refusal(created) == (422, "unknown-region")


async def test_org_whose_name_exists_in_its_region_gets_advice(world: World, people: People) -> None:
    """An org of that name in that region is advice, which names the org to ask to join (E1)."""
    founder = await people.register()
    twin = await founder.create_org(name=world.org["name"], region_code=world.org["region_code"])
    assert [(advice["code"], advice["org_id"]) for advice in twin["advice"]] == [("name-exists", world.org["id"])]
    elsewhere = await founder.create_org(name=world.org["name"], region_code="110101")
    assert elsewhere["advice"] == []


async def test_name_of_a_sibling_is_refused_at_certification_and_renaming(people: People) -> None:
    """The same name twice under one superior is refused when it is certified or renamed (409 `sibling-name-taken`)."""
    superior_admin, superior, founder, org = await create_pair(people)
    twin, other = await founder.create_org(name=org["name"]), await founder.create_org()
    token = (await invite(superior_admin, superior))["token"]
    application = get_body(await send_application(founder, twin, token), 201)
    approved = await superior_admin.put(f"/v1/orgs/{superior['id']}/applications/{application['id']}/approval")
    assert get_refusal(approved) == (409, "sibling-name-taken")
    await certify(superior_admin, superior, founder, other)
    renamed = await founder.patch(f"/v1/orgs/{other['id']}", json={"name": org["name"]})
    assert get_refusal(renamed) == (409, "sibling-name-taken")
