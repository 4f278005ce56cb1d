"""Rankings from stored scores and from the sources, compared with a naive ranking."""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text, update

from app.core.calendar import today
from app.database.paging import Paging, encode_cursor
from app.reports.rankings import NEIGHBOURS, RankingFilter, get_ranking
from app.reports.rollup import score_steps
from app.reports.rollup.verify import find_differences
from app.reports.schemas import RankBy
from app.schema.members import Member, UnitMembership
from tests.acts import add_member, add_unit, get_body
from tests.people import People, Person
from tests.points.services import event
from tests.reports.scene import Scene
from tests.reports.test_recount import read_report, send_events
from tests.reports.world import MemberRow, Range, World, get_history_start, write_world


async def create_ranked_world(scene: Scene, seed: int, size: int = 25) -> tuple[World, Person]:
    """Return a world of one org with `size` people and many ties, and the caller, who is one of them.

    Three people are not activated.
    """
    chance = random.Random(seed)
    caller = await scene.people.register()
    world = World(UUID(caller.user_id))
    org = uuid4()
    world.add_org(org)
    always = Range(get_history_start(), None)
    units = [None, *(unit for unit, _ in world.units[org])]
    for index in range(size):
        user = UUID(caller.user_id) if index == 0 else uuid4()
        if index:
            world.users.append(user)
        unit_memberships = [(unit, always) for unit in chance.sample(units, chance.choice([1, 1, 2]))]
        activations = [] if 0 < index < 4 else [(user, always)]
        world.rows.append(MemberRow(org, uuid4(), chance.randbytes(16), unit_memberships, activations))
        for _ in range(chance.choice([0, 1, 2])):
            world.events.append((user, today() - timedelta(days=chance.randrange(0, 12)), chance.choice([-2, 1, 2, 3])))
    await write_world(scene.engine, world)
    await send_events(scene.service, world)
    await scene.apply_and_build()
    return world, caller


def rank_naively(world: World, days: int | None, units: set[UUID] | None = None) -> list[tuple[int, str, int]]:
    """Return the rank, member id and points of all ranked members in order, computed by loops over the world."""
    scores = []
    for row in world.rows:
        user = row.find_user(today())
        if row.is_member_on(today(), units):
            points = sum(
                points
                for who, day, points in world.events
                if who == user and (days is None or day > today() - timedelta(days=days))
            )
            scores.append((-points, row.id))
    scores.sort()
    return [(1 + sum(other < minus for other, _ in scores), str(member), -minus) for minus, member in scores]


async def read_all_pages(caller: Person, org: UUID, **params: Any) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        found = await read_report(caller, org, "rankings", limit=7, **params, **cursor)
        shown += found["ranking"]["items"]
        if found["ranking"]["next_cursor"] is None:
            return shown
        cursor = {"cursor": found["ranking"]["next_cursor"]}


@pytest.mark.parametrize("by", ["last-7-days", "total"])
@pytest.mark.parametrize("in_unit", [False, True])
async def test_ranking_equals_a_naive_ranking(scene: Scene, by: str, in_unit: bool) -> None:
    world, caller = await create_ranked_world(scene, seed=in_unit)
    org = world.orgs[0]
    upper, lower, _ = (unit for unit, _ in world.units[org])
    params = {"by": by} | ({"unit_id": str(upper)} if in_unit else {})
    expected = rank_naively(world, 7 if by == "last-7-days" else None, {upper, lower} if in_unit else None)
    shown = await read_all_pages(caller, org, **params)
    assert [(row["rank"], row["member_id"], row["points"]) for row in shown] == expected
    found = await read_report(caller, org, "rankings", **params)
    assert found["people"] == len(expected)
    mine = [place for place, row in enumerate(shown) if row["me"]]
    if mine:
        place = mine[0]
        assert {name: found["me"][name] for name in shown[place]} == shown[place]
        assert found["me"]["around"] == shown[max(0, place - 5) : place + 6]
    else:
        assert found["me"] is None


@pytest.mark.parametrize("stepped", [False, True])
async def test_every_rank_and_page_equals_a_naive_ranking(
    stored_scene: Scene, rollup: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, stepped: bool
) -> None:
    """The test reads the ranking as each member, also as members with equal points, and pages that begin at any row."""
    world, _ = await create_ranked_world(stored_scene, 10, size=30)
    if stepped:
        # A large group has score steps after the first build of the day. Later events must update them.
        await rollup.execute("DELETE FROM score_steps")
        monkeypatch.setattr(score_steps, "LARGE_GROUP", 1)
        await score_steps.build_score_steps(rollup, today())
        chance = random.Random(1)
        late = [(chance.choice(world.users), today() - timedelta(days=back), 70) for back in (0, 1, 3, 6, 7, 20)]
        world.events, earlier = late, world.events
        await send_events(stored_scene.service, world)
        world.events = earlier + late
        await stored_scene.apply_and_build()
        assert [found async for found in find_differences(rollup)] == []
    org = world.orgs[0]
    upper, lower, _ = (unit for unit, _ in world.units[org])
    async with stored_scene.engine.connect() as db:
        for by, days in ((RankBy.LAST_7_DAYS, 7), (RankBy.TOTAL, None)):
            for unit, units in ((None, None), (upper, {upper, lower})):
                expected = rank_naively(world, days, units)
                for row in world.rows:
                    user = row.find_user(today())
                    start = random.Random(row.id.bytes).randrange(len(expected))
                    after = None if start == 0 else (expected[start - 1][2], UUID(expected[start - 1][1]))
                    found = await get_ranking(db, RankingFilter(org, by, unit), user or uuid4(), Paging(9, after))
                    seen = [(shown.rank, str(shown.member_id), shown.points) for shown in found.page]
                    assert seen == expected[start : start + 10]
                    place = next((at for at, (_, member, _) in enumerate(expected) if member == str(row.id)), None)
                    around = [(shown.rank, str(shown.member_id), shown.points) for shown in found.neighbours]
                    if user is None or place is None:
                        assert around == []
                    else:
                        assert around == expected[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
                        assert [str(shown.member_id) for shown in found.neighbours if shown.me] == [str(row.id)]


async def test_stored_ranking_states_its_instant(stored_scene: Scene, rollup: asyncpg.Connection) -> None:
    world, caller = await create_ranked_world(stored_scene, seed=3)
    org = world.orgs[0]
    before = await read_report(caller, org, "rankings")
    assert await stored_scene.service.outcomes(event(caller.user_id, points=500)) == ["counted"]
    waiting = await read_report(caller, org, "rankings")
    assert waiting["me"] == before["me"]
    assert datetime.fromisoformat(waiting["as_of"]) <= datetime.fromisoformat(
        (await read_report(caller, org, "rankings"))["as_of"]
    )
    await stored_scene.apply_and_build()
    after = await read_report(caller, org, "rankings")
    assert after["me"]["points"] == before["me"]["points"] + 500
    assert after["me"]["rank"] == 1
    assert after["as_of"] > waiting["as_of"]
    await rollup.execute("UPDATE org_scores SET last_7 = last_7 + 7 WHERE org_id = $1", org)
    assert (await read_report(caller, org, "rankings"))["me"]["points"] == after["me"]["points"] + 7, (
        "the score is read, not counted"
    )


async def test_ranking_is_visible_to_people_of_the_org_only(scene: Scene) -> None:
    owner, stranger = await scene.people.register(), await scene.people.register()
    org = (await owner.create_org())["id"]
    await scene.apply_and_build()
    found = await read_report(owner, UUID(org), "rankings")
    assert (found["me"]["rank"], found["people"]) == (1, 1)
    assert (await stranger.get(f"/v1/orgs/{org}/rankings")).status_code == 404
    assert (await owner.get(f"/v1/orgs/{org}/rankings", params={"unit_id": str(uuid4())})).status_code == 404


async def test_removed_member_is_not_ranked(scene: Scene) -> None:
    world, caller = await create_ranked_world(scene, seed=4)
    org = world.orgs[0]
    leaver = world.rows[10]
    user = leaver.find_user(today())
    await scene.service.outcomes(event(str(user), points=1000))
    await scene.apply_and_build()
    before = await read_report(caller, org, "rankings")
    assert before["ranking"]["items"][0]["points"] >= 999
    async with scene.engine.begin() as db:
        gone = {"user_id": None, "removed_at": get_history_start()}
        of_leaver = {"org_id": org, "member_id": leaver.id}
        await db.execute(update(Member).where(Member.org_id == org, Member.id == leaver.id).values(gone))
        await db.execute(update(UnitMembership).filter_by(**of_leaver).values(until=text("now()")))
    await scene.apply_and_build()
    after = await read_report(caller, org, "rankings")
    assert after["people"] == before["people"] - 1
    assert str(leaver.id) not in [row["member_id"] for row in await read_all_pages(caller, org)]


async def test_ranking_of_org_without_activated_members_gives_all_the_same_rank(
    stored_scene: Scene, rollup: asyncpg.Connection
) -> None:
    world, caller = await create_ranked_world(stored_scene, seed=6, size=2)
    await rollup.execute("UPDATE activations SET until = now() WHERE org_id = $1", world.orgs[0])
    await stored_scene.apply_and_build()
    found = await read_report(caller, world.orgs[0], "rankings")
    assert (found["people"], found["me"]) == (2, None)
    assert [(row["rank"], row["points"]) for row in found["ranking"]["items"]] == [(1, 0), (1, 0)]


@pytest.mark.parametrize("in_unit", [False, True])
async def test_person_of_two_rows_is_ranked_once(scene: Scene, in_unit: bool) -> None:
    """One row has an old phone and is linked by consent. Another row has the present phone and is not linked."""
    caller, user, org, always = await scene.people.register(), uuid4(), uuid4(), Range(get_history_start(), None)
    world = World(UUID(caller.user_id), users=[user])
    world.add_org(org)
    unit = world.units[org][0][0]
    phones = [uuid4().bytes for _ in range(3)]
    world.phones.append((user, phones[1], always))
    linked, again, other = (MemberRow(org, uuid4(), phone, [(unit, always)], []) for phone in phones)
    linked.activations.append((user, always))
    own = MemberRow(org, uuid4(), uuid4().bytes, [(None, always)], [(UUID(caller.user_id), always)])
    world.rows += [linked, again, other, own]
    await write_world(scene.engine, world)
    await scene.apply_and_build()
    found = await read_report(caller, org, "rankings", **({"unit_id": str(unit)} if in_unit else {}))
    expected = [linked, other] + ([] if in_unit else [own])
    assert {row["member_id"] for row in found["ranking"]["items"]} == {str(row.id) for row in expected}
    assert found["people"] == len(expected)


# These cursors have the right form but impossible values.
HUGE_NUMBER = encode_cursor((10**30, UUID(int=1)))
WORDS = encode_cursor(("points+", False, "many", UUID(int=1)))
NUMBER = encode_cursor(("name+", False, 1.5, UUID(int=1)))


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJhIiwgImIiXQ", "W251bGwsIG51bGxd", HUGE_NUMBER, WORDS, NUMBER])
async def test_cursor_of_another_list_is_refused(people: People, cursor: str) -> None:
    owner = await people.register()
    org = (await owner.create_org())["id"]
    for name in ("rankings", "reports/subordinates", "reports/overview"):
        params = {"cursor": cursor} | ({"sort": "points"} if name != "rankings" and cursor == WORDS else {})
        assert (await owner.get(f"/v1/orgs/{org}/{name}", params=params)).status_code == 422


async def test_people_with_the_same_name_are_shown_with_their_units(scene: Scene) -> None:
    admin, first, second, third, elsewhere = [await scene.people.register() for _ in range(5)]
    org, other_org = await admin.create_org(), await elsewhere.create_org()
    north, south = await add_unit(admin, org, "城北支部"), await add_unit(admin, org, "城南支部")
    # One namesake has not registered and has no points.
    await add_member(admin, org, south, name=first.name)
    await add_member(admin, org, north, south, name=first.name, phone=first.phone)
    await add_member(admin, org, name=second.name, phone=second.phone)
    await add_member(admin, org, name=second.name)
    await add_member(admin, org, north, name=third.name, phone=third.phone)
    # A person of another org, and one who was removed, are no namesakes.
    await add_member(elsewhere, other_org, name=third.name)
    removed = await add_member(admin, org, name=third.name)
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{removed['id']}"), 204)
    await scene.apply_and_build()
    found = await read_report(third, UUID(org["id"]), "rankings", by="total")
    units = {row["name"]: row["units"] for row in found["ranking"]["items"]}
    assert units[first.name] == ["城北支部", "城南支部"]
    assert units[second.name] == []
    assert (units[third.name], found["me"]["units"], found["me"]["around"][0]["units"]) == (
        None,
        None,
        units[found["me"]["around"][0]["name"]],
    )
