"""Reports over HTTP: permissions, suppression, and the order of subordinates."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.schema.admins import OrgAdmin
from tests.people import People, Person
from tests.points.services import PointsService
from tests.reports.test_recount import read_report, send_events
from tests.reports.world import MemberRow, Range, World, get_history_start, make_world, write_world

pytestmark = pytest.mark.usefixtures("no_stored_days")

THRESHOLD = 3


async def create_admin(people: People, engine: AsyncEngine, org: UUID) -> Person:
    person = await people.register()
    async with engine.begin() as db:
        await db.execute(insert(OrgAdmin).values(org_id=org, user_id=UUID(person.user_id)))
    return person


def make_fixed_world(viewer: UUID, chance: random.Random, heads: list[int], parents: list[int | None]) -> World:
    """Return a world without changes in the past: org number i is certified under org number `parents[i]` and has
    `heads[i]` people, all of whom are activated."""
    world = World(viewer)
    always = Range(get_history_start(), None)
    for index, (count, parent) in enumerate(zip(heads, parents, strict=True)):
        org = uuid4()
        world.add_org(org)
        if parent is not None:
            world.edges.append((world.orgs[parent], org, always))
        for _ in range(count):
            user = uuid4()
            world.users.append(user)
            world.rows.append(MemberRow(org, uuid4(), chance.randbytes(16), [(None, always)], [(user, always)]))
            world.events.append((user, today(), chance.randrange(1, 50)))
        assert index + 1 == len(world.orgs)
    return world


async def test_reports_are_visible_to_admins_of_superiors_only(
    people: People, service: PointsService, engine: AsyncEngine
) -> None:
    owner = await people.register()
    world = make_fixed_world(UUID(owner.user_id), random.Random(1), [4, 5, 6], [None, 0, 1])
    await write_world(engine, world)
    await send_events(service, world)
    top, middle, low = world.orgs
    superior, subordinate = await create_admin(people, engine, top), await create_admin(people, engine, low)
    for org in world.orgs:
        seen = await read_report(superior, org, "reports/overview")
        assert seen["subtree"] == world.count(world.get_subtree(org, today()), today(), 7)
        await read_report(superior, org, "reports/trend")
        await read_report(superior, org, "reports/subordinates")
    assert (await superior.get(f"/v1/orgs/{top}/reports/units")).status_code == 200
    assert (await superior.get(f"/v1/orgs/{middle}/reports/units")).status_code == 404
    assert (await superior.get(f"/v1/orgs/{low}/rankings")).status_code == 404
    stranger = await people.register()
    for name in ("reports/overview", "reports/subordinates", "reports/units", "reports/trend", "rankings"):
        for viewer, org in ((subordinate, middle), (stranger, low), (stranger, uuid4())):
            assert (await viewer.get(f"/v1/orgs/{org}/{name}")).status_code == 404, name
        assert (await people.api.get(f"/v1/orgs/{low}/{name}")).status_code == 401


@pytest.mark.usefixtures("no_suppression")
@pytest.mark.parametrize(
    "sort", ["name", "members", "activated", "active", "points", "points-per-head", "participation"]
)
async def test_pages_of_subordinates_are_sorted(
    people: People, service: PointsService, engine: AsyncEngine, sort: str
) -> None:
    chance = random.Random(sort)
    owner = await people.register()
    world = make_fixed_world(
        UUID(owner.user_id), chance, [1, *(chance.choice([0, 1, 2, 3]) for _ in range(9))], [None, *[0] * 9]
    )
    world.events = [event for event in world.events if chance.random() < 0.7]
    await write_world(engine, world)
    await send_events(service, world)
    for order in ("asc", "desc"):
        shown: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page: dict[str, Any] = {"sort": sort, "order": order, "limit": 4} | ({"cursor": cursor} if cursor else {})
            found = await read_report(owner, world.orgs[0], "reports/subordinates", **page)
            shown += found["subordinates"]["items"]
            cursor = found["subordinates"]["next_cursor"]
            if cursor is None:
                break
            other = {"sort": "members" if sort == "name" else "name", "cursor": cursor}
            refused = await owner.get(f"/v1/orgs/{world.orgs[0]}/reports/subordinates", params=other)
            assert refused.status_code == 422
        assert {UUID(row["id"]) for row in shown} == set(world.orgs[1:])
        keys = [row["name"] if sort == "name" else row["figures"][sort.replace("-", "_")] or 0 for row in shown]
        assert keys == sorted(keys, reverse=order == "desc")


@pytest.mark.parametrize(
    ("heads", "withheld"),
    [
        ([9, 5, 4], set()),
        ([9, 5, 2], {1, 2}),  # the org of two people and the next smallest org, which hides it
        ([9, 5, 7, 1, 1], {1, 3, 4}),  # two orgs with two people together: the next smallest org too
        ([9, 5, 7, 2, 1], {3, 4}),
        ([9, 5, 7, 0, 4], set()),  # an org without people needs no suppression
        ([2, 5, 7], {0, 1}),  # the org's own people are a part like any other
        ([2, 1, 7], {0, 1}),
    ],
)
async def test_totals_of_few_people_are_suppressed_for_superiors(
    people: People, service: PointsService, engine: AsyncEngine, heads: list[int], withheld: set[int]
) -> None:
    """`heads[0]` is the number of the org's own people; the other numbers are those of its subordinates."""
    owner = await people.register()
    chance = random.Random(5)
    world = make_fixed_world(UUID(owner.user_id), chance, [9, *heads], [None, 0, *[1] * (len(heads) - 1)])
    await write_world(engine, world)
    await send_events(service, world)
    superior_admin = await create_admin(people, engine, world.orgs[0])
    seen = await read_report(superior_admin, world.orgs[1], "reports/overview")
    assert seen["withheld_below"] == THRESHOLD
    assert not seen["subtree"]["withheld"]
    figures_by_org = {UUID(row["id"]): row["figures"] for row in seen["subordinates"]["items"]} | {
        world.orgs[1]: seen["org"]
    }
    assert {index for index, org in enumerate(world.orgs[1:]) if figures_by_org[org]["withheld"]} == withheld
    for org, figures in figures_by_org.items():
        if figures["withheld"]:
            assert {value for name, value in figures.items() if name != "withheld"} == {None}
        else:
            assert figures == world.count({org}, today(), 7)
    for index, org in enumerate(world.orgs[2:], start=1):
        own_report = await read_report(superior_admin, org, "reports/overview")
        assert own_report["subtree"]["withheld"] == (index in withheld), "the subordinate's own report shows no more"
        trend = await read_report(superior_admin, org, "reports/trend", days=2)
        assert trend["days"][-1]["subtree"]["withheld"] == (index in withheld)


async def test_subtree_of_suppressed_org_is_suppressed(people: People, engine: AsyncEngine) -> None:
    owner = await people.register()
    world = make_fixed_world(UUID(owner.user_id), random.Random(6), [9, 2, 0, 3, 4, 9], [None, 0, 0, 2, 2, 0])
    await write_world(engine, world)
    superior_admin = await create_admin(people, engine, world.orgs[0])
    # Org 1 has two people; org 2 hides it. The parts of org 2 (seven people) would add up to its total.
    seen = await read_report(superior_admin, world.orgs[0], "reports/overview")
    hidden = {UUID(row["id"]) for row in seen["subordinates"]["items"] if row["figures"]["withheld"]}
    assert hidden == {world.orgs[1], world.orgs[2]}
    inner = await read_report(superior_admin, world.orgs[2], "reports/overview")
    assert inner["subtree"]["withheld"]
    assert inner["org"]["withheld"]
    assert inner["previous"]["subtree"]["withheld"]
    assert all(row["figures"]["withheld"] for row in inner["subordinates"]["items"])
    assert (await read_report(superior_admin, world.orgs[3], "reports/overview"))["subtree"]["withheld"]
    assert not (await read_report(superior_admin, world.orgs[5], "reports/overview"))["subtree"]["withheld"]
    # Its own admin knows its people and sees the figures of its subtree.
    own = await create_admin(people, engine, world.orgs[2])
    assert not (await read_report(own, world.orgs[2], "reports/overview"))["subtree"]["withheld"]
    assert not (await read_report(own, world.orgs[3], "reports/overview"))["subtree"]["withheld"]


async def test_subtree_with_one_small_subordinate_is_suppressed_for_own_admin(
    people: People, engine: AsyncEngine
) -> None:
    owner = await people.register()
    world = make_fixed_world(UUID(owner.user_id), random.Random(7), [2, 2], [None, 0])
    await write_world(engine, world)
    seen = await read_report(owner, world.orgs[0], "reports/overview")
    assert not seen["org"]["withheld"]
    assert seen["subordinates"]["items"][0]["figures"]["withheld"]
    assert seen["subtree"]["withheld"]


@pytest.mark.parametrize("seed", range(2))
async def test_suppressed_parts_cannot_be_found_by_subtraction(people: People, engine: AsyncEngine, seed: int) -> None:
    """In every tree, the suppressed parts of an org are at least two and have enough people together."""
    chance = random.Random(seed)
    owner = await people.register()
    size = 14
    heads = [3, *(chance.choice([0, 1, 2, 2, 3, 6]) for _ in range(size - 1))]
    parents = [None, *(chance.randrange(0, index) for index in range(1, size))]
    world = make_fixed_world(UUID(owner.user_id), chance, heads, parents)
    await write_world(engine, world)
    superior_admin = await create_admin(people, engine, world.orgs[0])
    now = today()
    for org in world.orgs[1:]:
        seen = await read_report(superior_admin, org, "reports/overview")
        parts = {UUID(row["id"]): row["figures"]["withheld"] for row in seen["subordinates"]["items"]}
        sizes = {part: world.count(world.get_subtree(part, now), now, 1)["members"] for part in parts}
        parts[org], sizes[org] = seen["org"]["withheld"], world.count({org}, now, 1)["members"]
        assert all(withheld for part, withheld in parts.items() if 0 < sizes[part] < THRESHOLD)
        hidden = [sizes[part] for part, withheld in parts.items() if withheld]
        assert seen["subtree"]["withheld"] or not hidden or (len(hidden) > 1 and sum(hidden) >= THRESHOLD)


async def test_suppressed_subordinates_come_last_in_every_order(
    people: People, service: PointsService, engine: AsyncEngine
) -> None:
    owner = await people.register()
    world = make_fixed_world(UUID(owner.user_id), random.Random(8), [9, 1, 2, 1, 4, 5, 6], [None, *[0] * 6])
    await write_world(engine, world)
    await send_events(service, world)
    small = sorted(world.orgs[1:4])
    for sort in ("members", "points", "points-per-head"):
        for order in ("asc", "desc"):
            seen = await read_report(owner, world.orgs[0], "reports/subordinates", sort=sort, order=order)
            rows = seen["subordinates"]["items"]
            assert [row["figures"]["withheld"] for row in rows] == [False] * 3 + [True] * 3
            assert [UUID(row["id"]) for row in rows[3:]] == small


async def test_days_past_retention_and_future_days_are_refused(people: People, engine: AsyncEngine) -> None:
    owner = await people.register()
    org = (await owner.create_org())["id"]
    for day in (today() + timedelta(days=1), today() - timedelta(days=400), "0001-01-01"):
        for name in ("overview", "trend", "subordinates", "units"):
            refused = await owner.get(f"/v1/orgs/{org}/reports/{name}", params={"day": str(day)})
            assert refused.status_code == 422
    oldest = today() - timedelta(days=399)
    assert (await read_report(owner, UUID(org), "reports/overview", day=str(oldest), period="30d"))["org"][
        "members"
    ] == 0


async def test_random_world_is_readable_by_admins_of_superiors(people: People, engine: AsyncEngine) -> None:
    """In a world in which orgs moved and people left, each report of each org on each day is answered."""
    chance = random.Random(11)
    owner = await people.register()
    world = make_world(chance, UUID(owner.user_id), orgs=10, people=20)
    await write_world(engine, world)
    superior_admin = await create_admin(people, engine, world.orgs[0])
    for org in world.get_subtree(world.orgs[0], today()):
        for _ in range(2):
            day = today() - timedelta(days=chance.randrange(0, 45))
            await read_report(
                superior_admin, org, "reports/overview", day=str(day), period="30d", sort="points", order="desc"
            )
