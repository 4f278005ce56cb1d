"""S19 No creating for others · 不代建"""

import pytest

from tests.acts import add_unit, get_body, get_refusal
from tests.people import People, fresh_org_name
from tests.rules.world import World


@pytest.mark.parametrize("field", ["main_admin_id", "owner", "superior_id"])
async def test_org_for_another_person_is_refused(world: World, field: str) -> None:
    """No call creates an org for another person (422 `invalid`), except that the platform operator loads the orgs of an
    old system (E3).
    """
    body = {"name": fresh_org_name(), "region_code": "320102", field: world.stranger.user_id}
    assert get_refusal(await world.superior_admin.post("/v1/orgs", json=body)) == (422, "invalid")


async def test_promotion_creates_nothing_before_the_named_person_accepts(world: World, people: People) -> None:
    """A promotion (S7) needs the acceptance of the person who becomes the main admin."""
    leader = await people.register()
    unit = await add_unit(world.admin, world.org, "拟改设的支部")
    offer = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    promotion = get_body(await world.admin.post(f"{world.path}/promotions", json=offer), 201)
    assert get_body(await leader.get("/v1/me/orgs"))["items"] == []
    acceptance = f"/v1/me/promotions/{promotion['id']}/acceptance"
    for person in (world.admin, world.main_admin):
        assert get_refusal(await person.put(acceptance)) == (404, "not-found")
    assert get_body(await leader.put(acceptance))["main_admin_id"] == leader.user_id
