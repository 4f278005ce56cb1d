"""E4 People as they are · 人员的实际情况"""

import random

import pytest

from tests.acts import Json, add_member, get_body, get_refusal
from tests.people import People, fresh_phone
from tests.rules.world import World


async def test_phone_of_hong_kong_works_as_a_mainland_phone_does(world: World, people: People) -> None:
    """A phone of Hong Kong, Macao, Taiwan or abroad has the code of its country or region, and works as a mainland
    phone does.
    """
    phone = f"+852926{random.randrange(10**5):05d}"
    person = await people.register(phone=phone)
    member = await add_member(world.admin, world.org, name=person.name, phone=f"00852 {phone[4:]}")
    assert (member["active"], member["phone"]) == (True, f"+852****{phone[-4:]}")
    again = await world.admin.post(f"{world.path}/members", json={"name": "另一姓名", "phone": phone})
    assert get_refusal(again) == (409, "phone-exists")


async def test_person_without_a_mobile_phone_is_a_member_apart_from_namesakes(world: World) -> None:
    """A person without a mobile phone is added with the statement that there is none."""
    member = await add_member(world.admin, world.org, world.unit, phone=None, no_phone=True)
    assert (member["phone"], member["inactive_reason"]) == (None, "no-phone")
    namesake = await add_member(world.admin, world.org, world.unit, phone=None, no_phone=True)
    assert namesake["id"] != member["id"]
    given = get_body(await world.admin.patch(f"{world.path}/members/{member['id']}", json={"phone": fresh_phone()}))
    assert given["inactive_reason"] == "never-registered"


@pytest.mark.parametrize("phone", [{}, {"no_phone": False}, {"phone": "13800000018", "no_phone": True}])
async def test_addition_with_neither_phone_nor_no_phone_statement_or_with_both_is_refused(
    world: World, phone: Json
) -> None:
    """An addition with neither a phone nor this statement, or with both, is refused (422 `invalid`)."""
    added = await world.admin.post(f"{world.path}/members", json={"name": "王桂英"} | phone)
    assert get_refusal(added) == (422, "invalid")
