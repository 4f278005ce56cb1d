"""A member row without a phone counts as one person in all totals."""

from typing import Any

import pytest

from tests.acts import add_member, add_unit, certify, get_body
from tests.people import fresh_phone
from tests.reports.scene import Scene


@pytest.mark.usefixtures("no_suppression")
async def test_person_without_phone_counts_once_in_every_total(scene: Scene) -> None:
    superior, admin = await scene.people.register(), await scene.people.register()
    above, below = await superior.create_org(), await admin.create_org()
    await certify(superior, above, admin, below)
    without: dict[str, Any] = {"phone": None, "no_phone": True}
    unit, other_unit = await add_unit(admin, below, "甲支部"), await add_unit(admin, below, "乙支部")
    first = await add_member(admin, below, unit, other_unit, name="王桂英", **without)
    second = await add_member(admin, below, unit, name="王桂英", **without)

    async def count() -> tuple[int, int, int]:
        await scene.apply_and_build()
        found = get_body(await superior.get(f"/v1/orgs/{above['id']}/reports/overview"))
        own = get_body(await admin.get(f"/v1/orgs/{below['id']}/reports/overview"))
        return found["subtree"]["members"], found["subtree"]["activated"], own["org"]["members"]

    assert await count() == (4, 2, 3)
    phone = fresh_phone()
    await add_member(superior, above, phone=phone, name="王桂英")
    assert await count() == (5, 2, 3)
    # With the phone the row is the person of that phone, and without it again a person of its own.
    path = f"/v1/orgs/{below['id']}/members/{first['id']}"
    get_body(await admin.patch(path, json={"phone": phone}))
    assert await count() == (4, 2, 3)
    get_body(await admin.patch(path, json={"no_phone": True}))
    assert await count() == (5, 2, 3)
    get_body(await admin.delete(f"/v1/orgs/{below['id']}/members/{second['id']}"), 204)
    assert await count() == (4, 2, 2)
