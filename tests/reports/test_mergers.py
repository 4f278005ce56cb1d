"""Totals after a merger: past days do not change, and today's equal a recount (S20)."""

from tests.acts import Json, add_unit, get_body
from tests.points.services import event
from tests.reports.scene import Scene
from tests.reports.test_persons import Branches
from tests.reports.test_recount import read_report


async def test_merger_changes_the_totals_of_today_and_of_no_past_day(scene: Scene) -> None:
    orgs = await Branches(scene).create()
    single, both = await scene.people.register(), await scene.people.register()
    unit = await add_unit(orgs.admin, orgs.left, "第一支部")
    await orgs.add(orgs.left, single, unit_ids=[unit["id"]])
    for org in (orgs.left, orgs.right):
        await orgs.add(org, both)
    await scene.service.outcomes(event(single.user_id, points=3), event(both.user_id, points=2))
    assert await orgs.read(orgs.top) == (2, 2, 2, 5)
    assert await orgs.read(orgs.left) == (2, 2, 2, 5)
    past = await _read_trend(orgs, orgs.left)
    path = f"/v1/orgs/{orgs.left['id']}/mergers"
    merger = get_body(await orgs.admin.post(path, json={"org_id": orgs.right["id"]}), 201)
    body = {"preview": merger["preview"]["version"], "new_unit": {"name": "并入支部"}}
    path = f"/v1/orgs/{orgs.right['id']}/mergers/{merger['id']}/acceptance"
    get_body(await orgs.admin.put(path, json=body))
    assert await orgs.read(orgs.top) == (2, 2, 2, 5)
    assert await orgs.read(orgs.right) == (2, 2, 2, 5)
    found = (await read_report(orgs.admin, orgs.left["id"], "reports/overview", period="day"))["subtree"]
    assert (found["members"], found["points"]) == (0, 0)
    assert (await _read_trend(orgs, orgs.left))[:-1] == past[:-1]


async def _read_trend(orgs: Branches, org: Json) -> list[Json]:
    days: list[Json] = (await read_report(orgs.admin, org["id"], "reports/trend"))["days"]
    return days
