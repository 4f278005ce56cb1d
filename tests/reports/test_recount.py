"""Recounted reports over HTTP equal a naive count: all figures of all reports, for random histories, also on past
days."""

import random
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from tests.people import People, Person
from tests.points.services import PointsService, event
from tests.reports.world import World, make_world, write_world

pytestmark = pytest.mark.usefixtures("no_stored_days")

DAYS = {"day": 1, "7d": 7, "30d": 30}


async def send_events(service: PointsService, world: World) -> None:
    sent = [event(str(user), points=points, occurred_at=f"{day}T00:00:01+08:00") for user, day, points in world.events]
    for start in range(0, len(sent), 1000):
        assert set(await service.outcomes(*sent[start : start + 1000])) == {"counted"}


async def read_report(viewer: Person, org: UUID, name: str, **params: Any) -> dict[str, Any]:
    answer = await viewer.get(f"/v1/orgs/{org}/{name}", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def check_overview(
    viewer: Person, world: World, org: UUID, day: date, period: str, stored_since: date = date.min
) -> None:
    found = await read_report(viewer, org, "reports/overview", period=period, day=str(day), limit=200)
    days = DAYS[period]
    subtree = world.get_subtree(org, day)
    assert found["org"] == world.count({org}, day, days)
    assert found["subtree"] == world.count(subtree, day, days)
    then = day - timedelta(days=days)
    if found["previous"] is None:
        assert then < stored_since, (
            "the comparison is missing only if the previous span ends before the first stored day"
        )
    else:
        assert found["previous"]["org"] == world.count({org}, then, days)
        assert found["previous"]["subtree"] == world.count(world.get_subtree(org, then), then, days)
    assert {UUID(row["id"]): row["figures"] for row in found["subordinates"]["items"]} == {
        subordinate: world.count(world.get_subtree(subordinate, day), day, days)
        for subordinate in world.get_subordinates(org, day)
    }


@pytest.mark.usefixtures("no_suppression")
@pytest.mark.parametrize("seed", range(3))
async def test_every_report_equals_a_naive_count(
    people: People, service: PointsService, engine: AsyncEngine, seed: int
) -> None:
    chance = random.Random(seed)
    viewer = await people.register()
    world = make_world(chance, UUID(viewer.user_id), orgs=12, people=40)
    await write_world(engine, world)
    await send_events(service, world)
    now = today()
    for org in world.orgs:
        for day in {now, now - timedelta(days=chance.randrange(1, 40)), now - timedelta(days=60)}:
            await check_overview(viewer, world, org, day, chance.choice(list(DAYS)))
    for org in world.orgs[:3]:
        day = now - timedelta(days=chance.randrange(0, 20))
        trend = await read_report(viewer, org, "reports/trend", day=str(day), days=9)
        assert [point["day"] for point in trend["days"]] == [str(day - timedelta(days=ago)) for ago in range(8, -1, -1)]
        for point in trend["days"]:
            on = date.fromisoformat(point["day"])
            assert point["org"] == world.count({org}, on, 1)
            assert point["subtree"] == world.count(world.get_subtree(org, on), on, 1)
        units = await read_report(viewer, org, "reports/units", period="7d", day=str(day))
        top, inner, other = (unit for unit, _ in world.units[org])
        assert {UUID(row["id"]): row["figures"] for row in units["units"]} == {
            top: world.count({org}, day, 7, {top, inner}),
            inner: world.count({org}, day, 7, {inner}),
            other: world.count({org}, day, 7, {other}),
        }
