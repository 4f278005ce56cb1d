"""S13 A learner's ranking · 组内排名"""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acts import add_member, add_unit, get_body, get_refusal
from tests.people import People
from tests.points.services import PointsService, event
from tests.rules.world import World


@pytest.mark.usefixtures("no_stored_days")
async def test_learner_sees_the_ranking_of_the_own_org_and_the_own_place_with_neighbours(
    people: People, service: PointsService
) -> None:
    """Everybody sees the ranking of all people of their own org by the points of the last seven days and by total
    points, and their own place with its neighbours.
    """
    founder, learner = await people.register(), await people.register()
    org = await founder.create_org()
    await add_member(founder, org, name=learner.name, phone=learner.phone)
    long_ago = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    await service.outcomes(
        event(founder.user_id, points=5),
        event(learner.user_id, points=1),
        event(learner.user_id, points=9, occurred_at=long_ago),
    )
    path = f"/v1/orgs/{org['id']}/rankings"
    for by, names, points in (
        ("last-7-days", [founder.name, learner.name], [5, 1]),
        ("total", [learner.name, founder.name], [10, 5]),
    ):
        shown = get_body(await learner.get(path, params={"by": by}))
        assert [(row["name"], row["points"]) for row in shown["ranking"]["items"]][:2] == list(
            zip(names, points, strict=True)
        )
        assert shown["me"]["rank"] == names.index(learner.name) + 1
        assert [row["name"] for row in shown["me"]["around"]][:2] == names


@pytest.mark.usefixtures("no_stored_days")
async def test_units_are_shown_where_two_people_have_one_name(people: People) -> None:
    """Where two people have one name, their units are shown."""
    founder, learner, other = await people.register(), await people.register(name="王小明"), await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    await add_member(founder, org, unit, name="王小明", phone=learner.phone)
    await add_member(founder, org, name="王小明")
    await add_member(founder, org, unit, name=other.name, phone=other.phone)
    shown = get_body(await learner.get(f"/v1/orgs/{org['id']}/rankings"))["ranking"]["items"]
    units = [(row["name"], row["units"]) for row in shown]
    assert ("王小明", ["第一支部"]) in units
    assert (other.name, None) in units


@pytest.mark.usefixtures("no_stored_days")
async def test_people_who_are_not_activated_are_ranked_with_nothing(people: People) -> None:
    """People who are not activated have 0 points."""
    founder = await people.register()
    org = await founder.create_org()
    unregistered = await add_member(founder, org, name="未注册")
    shown = get_body(await founder.get(f"/v1/orgs/{org['id']}/rankings"))
    ranks = {row["member_id"]: (row["rank"], row["points"]) for row in shown["ranking"]["items"]}
    assert (shown["people"], ranks[unregistered["id"]]) == (2, (1, 0))


async def test_ranking_of_another_org_is_not_found(world: World) -> None:
    """Another org's ranking does not exist for them (404)."""
    for person, org in ((world.learner, world.superior), (world.main_admin, world.subordinate)):
        assert get_refusal(await person.get(f"/v1/orgs/{org['id']}/rankings")) == (404, "not-found")
