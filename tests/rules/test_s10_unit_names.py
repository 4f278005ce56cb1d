"""S10 Unit names · 支部名称"""

from tests.acts import add_unit, get_body, get_refusal
from tests.rules.world import World


async def test_short_name_is_a_units_and_not_an_orgs(world: World) -> None:
    """Units may have short names; orgs may not (S3)."""
    await add_unit(world.admin, world.org, "一支部")
    checked = get_body(await world.stranger.post("/v1/name-checks", json={"name": "一支部", "region_code": "320102"}))
    assert [advice["code"] for advice in checked["advice"]] == ["name-short"]


async def test_two_units_of_one_name_under_one_parent_are_refused(world: World) -> None:
    """Two units of one name under one parent are refused (409 `unit-name-taken`)."""
    general = await add_unit(world.admin, world.org, "重名总支", kind="general-branch")
    await add_unit(world.admin, world.org, "一支部", general)
    again = {"name": "一支部", "parent_id": general["id"]}
    assert get_refusal(await world.admin.post(f"{world.path}/units", json=again)) == (409, "unit-name-taken")
    other = await add_unit(world.admin, world.org, "另一总支", kind="general-branch")
    await add_unit(world.admin, world.org, "一支部", other)
