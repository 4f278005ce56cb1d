"""Rankings over HTTP: for the people of an org, by points, against a naive ranking."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.members.tables import Member
from app.points.days import today
from tests.people import People, Person
from tests.points.services import PointsService, event
from tests.reports.test_recount import report, send_events
from tests.reports.world import Range, Row, World, start_of_histories, write_world


async def ranked_world(people: People, service: PointsService, engine: AsyncEngine, seed: int) -> tuple[World, Person]:
    """One org of 25 people, 22 of them activated, with many ties; the caller is one of them."""
    chance = random.Random(seed)
    caller = await people.register()
    world = World(UUID(caller.user_id))
    org = uuid4()
    world.add_org(org)
    always = Range(start_of_histories(), None)
    units = [None, *(unit for unit, _ in world.units[org])]
    for index in range(25):
        user = UUID(caller.user_id) if index == 0 else uuid4()
        if index:
            world.users.append(user)
        places = [(unit, always) for unit in chance.sample(units, chance.choice([1, 1, 2]))]
        activations = [] if 0 < index < 4 else [(user, always)]
        world.rows.append(Row(org, uuid4(), chance.randbytes(16), places, activations))
        for _ in range(chance.choice([0, 1, 2])):
            world.events.append((user, today() - timedelta(days=chance.randrange(0, 12)), chance.choice([-2, 1, 2, 3])))
    await write_world(engine, world)
    await send_events(service, world)
    return world, caller


def naive_ranking(world: World, days: int | None, units: set[UUID] | None = None) -> list[tuple[int, str, int]]:
    """(rank, member, points) in order."""
    scores = []
    for row in world.rows:
        user = row.user(today())
        if user is not None and row.stands(today(), units):
            points = sum(
                points
                for who, day, points in world.events
                if who == user and (days is None or day > today() - timedelta(days=days))
            )
            scores.append((-points, row.id))
    scores.sort()
    return [(1 + sum(other < minus for other, _ in scores), str(member), -minus) for minus, member in scores]


async def pages(caller: Person, org: UUID, **params: Any) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        found = await report(caller, org, "rankings", limit=7, **params, **cursor)
        shown += found["ranking"]["items"]
        if found["ranking"]["next_cursor"] is None:
            return shown
        cursor = {"cursor": found["ranking"]["next_cursor"]}


@pytest.mark.parametrize("by", ["last-7-days", "total"])
@pytest.mark.parametrize("in_unit", [False, True])
async def test_the_ranking_equals_a_naive_one(
    people: People, service: PointsService, engine: AsyncEngine, by: str, in_unit: bool
) -> None:
    world, caller = await ranked_world(people, service, engine, seed=in_unit)
    org = world.orgs[0]
    upper, lower, _ = (unit for unit, _ in world.units[org])
    params = {"by": by} | ({"unit_id": str(upper)} if in_unit else {})
    expected = naive_ranking(world, 7 if by == "last-7-days" else None, {upper, lower} if in_unit else None)
    shown = await pages(caller, org, **params)
    assert [(row["rank"], row["member_id"], row["points"]) for row in shown] == expected
    found = await report(caller, org, "rankings", **params)
    assert found["people"] == len(expected)
    mine = [place for place, row in enumerate(shown) if row["me"]]
    if mine:
        place = mine[0]
        assert {name: found["me"][name] for name in shown[place]} == shown[place]
        assert found["me"]["around"] == shown[max(0, place - 5) : place + 6]
    else:
        assert found["me"] is None


async def test_only_the_people_of_the_org_see_its_ranking(people: People) -> None:
    owner, stranger = await people.register(), await people.register()
    org = (await owner.create_org())["id"]
    assert (await report(owner, UUID(org), "rankings"))["me"]["rank"] == 1
    assert (await stranger.get(f"/v1/orgs/{org}/rankings")).status_code == 404
    assert (await owner.get(f"/v1/orgs/{org}/rankings", params={"unit_id": str(uuid4())})).status_code == 404


async def test_who_left_is_not_ranked_and_points_go_along(
    people: People, service: PointsService, engine: AsyncEngine
) -> None:
    world, caller = await ranked_world(people, service, engine, seed=4)
    org = world.orgs[0]
    leaver = world.rows[10]
    user = leaver.user(today())
    await service.outcomes(event(str(user), points=1000))
    before = await report(caller, org, "rankings")
    assert before["ranking"]["items"][0]["points"] >= 999
    async with engine.begin() as db:
        gone = {"user_id": None, "removed_at": start_of_histories()}
        await db.execute(update(Member).where(Member.org_id == org, Member.id == leaver.id).values(gone))
    after = await report(caller, org, "rankings")
    assert after["people"] == before["people"] - 1
    assert str(leaver.id) not in [row["member_id"] for row in await pages(caller, org)]


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJhIiwgImIiXQ", "W251bGwsIG51bGxd"])
async def test_a_cursor_of_another_list_is_refused(people: People, cursor: str) -> None:
    owner = await people.register()
    org = (await owner.create_org())["id"]
    for name in ("rankings", "reports/subordinates", "reports/overview"):
        assert (await owner.get(f"/v1/orgs/{org}/{name}", params={"cursor": cursor})).status_code == 422
