"""A row's phone identifies the person in every org: the person is the user who has the phone or, if no user has it, the
phone itself. The link of a row to a user only decides activation and ranking."""

import random
from typing import Any
from uuid import UUID

from app.reports.rollup.verify import find_differences
from tests.acts import Json, add_member, certify, get_body
from tests.auth.test_accounts import close_account, request_phone_change
from tests.people import Person, fresh_phone
from tests.points.services import event
from tests.reports.scene import Scene
from tests.reports.test_overview import make_fixed_world
from tests.reports.test_recount import read_report
from tests.reports.world import write_world


class Branches:
    """A superior (`top`) with two subordinates (`left`, `right`). All three have the same main admin, who is in every
    directory."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    async def create(self) -> "Branches":
        self.admin = await self.scene.people.register()
        # The first test that stores days stores those since the first day with people.
        await write_world(self.scene.engine, make_fixed_world(UUID(self.admin.user_id), random.Random(1), [1], [None]))
        self.top, self.left, self.right = [await self.admin.create_org() for _ in range(3)]
        for subordinate in (self.left, self.right):
            await certify(self.admin, self.top, self.admin, subordinate)
        return self

    async def add(self, org: Json, person: Person, **body: Any) -> Json:
        return await add_member(self.admin, org, **{"name": person.name, "phone": person.phone} | body)

    async def unlink(self, org: Json, member: Json) -> None:
        get_body(await self.admin.delete(f"/v1/orgs/{org['id']}/members/{member['id']}/activation"), 204)

    async def read(self, org: Json, which: str = "subtree") -> tuple[int, int, int, int]:
        """Return the members, activated, active and points of the org or its subtree today. The admin, who has no
        points, is not counted."""
        await self.scene.apply_and_build()
        if self.scene.rollup is not None:
            assert [difference async for difference in find_differences(self.scene.rollup)] == []
        found = (await read_report(self.admin, org["id"], "reports/overview"))[which]
        return found["members"] - 1, found["activated"] - 1, found["active"], found["points"]


async def test_person_whose_link_was_undone_in_one_org_counts_once(scene: Scene) -> None:
    orgs = await Branches(scene).create()
    person = await scene.people.register()
    for org in (orgs.left, orgs.right):
        await orgs.add(org, person)
    await scene.service.outcomes(event(person.user_id, points=3))
    assert await orgs.read(orgs.top) == (1, 1, 1, 3)
    (row,) = [
        row
        for row in get_body(await orgs.admin.get(f"/v1/orgs/{orgs.right['id']}/members"))["items"]
        if row["name"] == person.name
    ]
    await orgs.unlink(orgs.right, row)
    assert await orgs.read(orgs.top) == (1, 1, 1, 3)
    assert await orgs.read(orgs.right) == (1, 0, 0, 0)
    assert await orgs.read(orgs.left) == (1, 1, 1, 3)


async def test_person_who_blocks_one_org_counts_once_and_is_activated_in_the_other(scene: Scene) -> None:
    orgs = await Branches(scene).create()
    person = await scene.people.register()
    for org in (orgs.left, orgs.right):
        await orgs.add(org, person)
    await scene.service.outcomes(event(person.user_id, points=3))
    assert (await person.put(f"/v1/me/blocked-orgs/{orgs.right['id']}")).status_code == 204
    assert await orgs.read(orgs.top) == (1, 1, 1, 3)
    assert await orgs.read(orgs.right) == (1, 0, 0, 0)
    assert await orgs.read(orgs.left) == (1, 1, 1, 3)


async def test_person_with_another_name_in_one_org_counts_once(scene: Scene) -> None:
    orgs = await Branches(scene).create()
    phone = fresh_phone()
    for org, name in ((orgs.left, "王小明"), (orgs.right, "王小朋")):
        await add_member(orgs.admin, org, name=name, phone=phone)
    assert await orgs.read(orgs.top) == (1, 0, 0, 0)
    person = await scene.people.register(phone=phone, name="王小明")
    await scene.service.outcomes(event(person.user_id, points=3))
    assert await orgs.read(orgs.top) == (1, 1, 1, 3)
    assert await orgs.read(orgs.right) == (1, 0, 0, 0)


async def test_row_without_link_belongs_to_the_user_who_has_its_phone(scene: Scene) -> None:
    """A row with another name is not linked to the user. It counts as the user as long as the user has the row's
    phone."""
    orgs = await Branches(scene).create()
    person = await scene.people.register()
    await orgs.add(orgs.left, person)
    row = await orgs.add(orgs.right, person, name="王小朋")
    assert await orgs.read(orgs.top) == (1, 1, 0, 0)
    path = f"/v1/orgs/{orgs.right['id']}/members/{row['id']}"
    get_body(await orgs.admin.patch(path, json={"phone": fresh_phone()}, headers={"If-Match": '"1"'}))
    assert await orgs.read(orgs.top) == (2, 1, 0, 0)
    get_body(await orgs.admin.patch(path, json={"phone": person.phone}, headers={"If-Match": '"2"'}))
    assert await orgs.read(orgs.top) == (1, 1, 0, 0)
    new = fresh_phone()
    get_body(await person.put("/v1/me/phone", json=await request_phone_change(person, new)), 204)
    # Now no user has the phone: both rows are this phone, and neither is linked.
    assert await orgs.read(orgs.top) == (1, 0, 0, 0)


async def test_rows_of_a_closed_account_count_as_one_person(scene: Scene) -> None:
    orgs = await Branches(scene).create()
    person = await scene.people.register()
    await orgs.add(orgs.left, person)
    await orgs.add(orgs.right, person, name="王小朋")
    assert await orgs.read(orgs.top) == (1, 1, 0, 0)
    await close_account(person)
    assert await orgs.read(orgs.top) == (1, 0, 0, 0)


async def test_person_with_two_rows_in_one_org_counts_once(scene: Scene) -> None:
    """One row has an old phone and is linked by consent to the account. Another row of the org has the present phone of
    the account."""
    orgs = await Branches(scene).create()
    person = await scene.people.register()
    old = await orgs.add(orgs.left, person, phone=fresh_phone())
    requested = get_body(await person.post("/v1/me/link-requests", json={"org_id": orgs.left["id"]}), 201)
    path = f"/v1/orgs/{orgs.left['id']}/link-requests/{requested['id']}/acceptance"
    get_body(await orgs.admin.put(path, json={"member_id": old["id"]}))
    await orgs.add(orgs.left, person, name="王小朋")
    await scene.service.outcomes(event(person.user_id, points=3))
    assert await orgs.read(orgs.left, "org") == (1, 1, 1, 3)
    assert await orgs.read(orgs.top) == (1, 1, 1, 3)
