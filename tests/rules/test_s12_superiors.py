"""S12 What a superior sees · 上级看到什么"""

import httpx
import pytest

from tests.acts import add_member, get_body, get_refusal, list_all
from tests.auth.consoles import sign_in_console
from tests.people import People
from tests.points.services import PointsService, event
from tests.rules.world import World, create_pair


async def test_approved_scan_of_the_consoles_code_signs_the_admin_in(world: World, api: httpx.AsyncClient) -> None:
    """An admin signs in to the console by scanning its code with the app."""
    tokens = await sign_in_console(world.admin)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert get_body(await api.get("/v1/me", headers=headers))["id"] == world.admin.user_id
    assert (await api.get(f"{world.path}/members", headers=headers)).status_code == 200


async def test_admin_sees_the_own_units_and_members_in_full(world: World) -> None:
    """They see the org's own units and members in full."""
    assert world.unit["id"] in {unit["id"] for unit in await list_all(world.admin, f"{world.path}/units")}
    assert world.member["id"] in {row["id"] for row in await list_all(world.admin, f"{world.path}/members")}
    path = f"{world.path}/members/{world.member['id']}/phone-disclosures"
    assert get_body(await world.admin.post(path)) == {"phone": world.learner.phone}


@pytest.mark.usefixtures("no_stored_days")
async def test_superior_sees_the_totals_and_the_trend_of_each_subordinate_and_of_the_subtree(
    people: People, service: PointsService
) -> None:
    """Of each certified subordinate, and of the whole subtree, they see totals: members, activated, active in the
    period, points per head, and the trend.
    """
    superior_admin, superior, founder, org = await create_pair(people)
    for _ in range(3):
        await add_member(founder, org)
        await add_member(superior_admin, superior)
    await service.outcomes(event(founder.user_id, points=10))
    path = f"/v1/orgs/{superior['id']}/reports"
    shown = get_body(await superior_admin.get(f"{path}/overview"))
    (row,) = shown["subordinates"]["items"]
    for figures, members, activated in ((row["figures"], 4, 1), (shown["subtree"], 8, 2)):
        expected = {"members": members, "activated": activated, "active": 1, "points_per_head": 10 / members}
        assert {name: figures[name] for name in expected} == expected
    days = get_body(await superior_admin.get(f"{path}/trend", params={"days": 2}))["days"]
    assert [day["subtree"]["active"] for day in days][-1] == 1


@pytest.mark.usefixtures("no_stored_days")
async def test_total_of_one_person_is_withheld_from_the_superior(people: People) -> None:
    """A total of fewer than three people is withheld from a superior."""
    superior_admin, superior, _, org = await create_pair(people)
    for path in (f"/v1/orgs/{superior['id']}", f"/v1/orgs/{org['id']}"):
        shown = get_body(await superior_admin.get(f"{path}/reports/overview"))
        rows = [row["figures"] for row in shown["subordinates"]["items"]] or [shown["subtree"]]
        assert [(row["withheld"], row["members"], row["points"]) for row in rows] == [(True, None, None)]


async def test_member_rows_of_a_subordinate_are_not_found(world: World) -> None:
    """A subordinate's member rows do not exist for them (404)."""
    path = f"/v1/orgs/{world.subordinate['id']}/members"
    for admin in (world.main_admin, world.superior_admin):
        for read in (path, f"{path}/{world.subordinate_member['id']}"):
            assert get_refusal(await admin.get(read)) == (404, "not-found")
