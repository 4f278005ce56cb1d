"""Party groups, and temporary branches with a last day (S7)."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.orgs.retention import CLEAN_UPS
from app.worker.retention import run_clean_up
from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_all
from tests.people import People, Person
from tests.promotions.test_promotions import acceptance_path, offer_promotion

REPORT = next(job for job in CLEAN_UPS if job.name == "ended-temporary-branches")
YESTERDAY, TODAY = str(today() - timedelta(days=1)), str(today())


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def test_party_group_and_temporary_branch_are_units(admin: Person, org: Json) -> None:
    branch = await add_unit(admin, org, "甲支部")
    group = await add_unit(admin, org, "第一党小组", branch, kind="party-group")
    assert (group["kind"], group["last_day"], group["ended"]) == ("party-group", None, False)
    running = await add_unit(admin, org, "工地临时党支部", kind="temporary-branch", last_day=TODAY)
    assert (running["last_day"], running["ended"]) == (TODAY, False)
    over = await add_unit(admin, org, "展会临时党支部", kind="temporary-branch", last_day=YESTERDAY)
    assert over["ended"]
    listed = {unit["name"]: unit["ended"] for unit in await list_all(admin, f"/v1/orgs/{org['id']}/units")}
    assert [name for name, ended in listed.items() if ended] == ["展会临时党支部"]


async def test_last_day_of_a_unit_other_than_a_temporary_branch_is_refused(admin: Person, org: Json) -> None:
    path = f"/v1/orgs/{org['id']}/units"
    mismatch = (422, "last-day-mismatch")
    assert get_refusal(await admin.post(path, json={"name": "甲", "kind": "temporary-branch"})) == mismatch
    assert get_refusal(await admin.post(path, json={"name": "甲", "last_day": TODAY})) == mismatch
    unit = await add_unit(admin, org, "甲支部")
    path = f"{path}/{unit['id']}"
    assert get_refusal(await admin.patch(path, json={"last_day": TODAY})) == mismatch
    assert get_refusal(await admin.patch(path, json={"kind": "temporary-branch"})) == mismatch
    temporary = get_body(await admin.patch(path, json={"kind": "temporary-branch", "last_day": TODAY}))
    assert get_body(await admin.patch(path, json={"name": "乙支部"}))["last_day"] == temporary["last_day"] == TODAY
    assert get_body(await admin.patch(path, json={"kind": "branch"}))["last_day"] is None


async def test_admins_get_one_message_when_a_temporary_branch_ends_and_its_people_remain(
    admin: Person, org: Json, people: People, engine: AsyncEngine
) -> None:
    other = await people.register()
    await add_admin(admin, org, other)
    unit = await add_unit(admin, org, "展会临时党支部", kind="temporary-branch", last_day=YESTERDAY)
    await add_unit(admin, org, "工地临时党支部", kind="temporary-branch", last_day=TODAY)
    member = await add_member(admin, org, unit)

    async def count_messages(person: Person) -> int:
        found = await list_all(person, "/v1/messages")
        return sum(message["kind"] == "unit-ended" for message in found)

    for _ in range(2):
        await run_clean_up(engine, REPORT)
        assert [await count_messages(person) for person in (admin, other)] == [1, 1]
    entry = (await list_all(admin, f"/v1/orgs/{org['id']}/audit"))[0]
    assert (entry["action"], entry["after"]) == ("unit.ended", {"last_day": YESTERDAY})
    row = get_body(await admin.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
    assert [place["id"] for place in row["units"]] == [unit["id"]]
    # A prolonged branch is current again, and its new end is reported again.
    path = f"/v1/orgs/{org['id']}/units/{unit['id']}"
    prolonged = get_body(await admin.patch(path, json={"last_day": TODAY}))
    assert not prolonged["ended"]
    async with engine.begin() as db:
        await db.execute(text("UPDATE units SET last_day = last_day - 2 WHERE id = :id"), {"id": unit["id"]})
    await run_clean_up(engine, REPORT)
    assert await count_messages(admin) == 2


async def test_temporary_branch_under_a_promoted_unit_keeps_its_last_day(
    admin: Person, org: Json, people: People
) -> None:
    leader = await people.register()
    unit = await add_unit(admin, org, "总支", kind="general-branch")
    await add_unit(admin, org, "工地临时党支部", unit, kind="temporary-branch", last_day=TODAY)
    promotion = await offer_promotion(admin, org, unit, leader)
    new = get_body(await leader.put(acceptance_path(promotion)))
    (moved,) = await list_all(leader, f"/v1/orgs/{new['id']}/units")
    assert (moved["kind"], moved["last_day"]) == ("temporary-branch", TODAY)
