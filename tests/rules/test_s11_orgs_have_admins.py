"""S11 Who can have admins · 谁可以有学习管理员"""

from tests.acts import get_refusal
from tests.rules.world import World


async def test_admin_of_a_unit_is_refused_with_what_to_do_instead(world: World) -> None:
    """Only orgs have admins (409 `unit-has-no-admins`, which says what to do instead)."""
    path = f"{world.path}/units/{world.unit['id']}/admins"
    refused = await world.main_admin.post(path, json={"phone": world.stranger.phone})
    assert get_refusal(refused) == (409, "unit-has-no-admins")
    assert "turn the unit into one of its own" in refused.json()["detail"]
