"""The order of the list of people: as added, by name, or in a unit's own order; pages of thousands (S7)."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import Json, add_member, add_unit, get_body, get_refusal, list_all
from tests.people import People, Person

COUNT = 2000

# The names of the people repeat, so that only the id tells some of them apart.
_ADD_PEOPLE = text("""
WITH added AS (
    INSERT INTO members (org_id, name, pinyin, initials, party)
    SELECT :org_id, n.name, n.pinyin, n.initials, TRUE
    FROM generate_series(1, :count) AS number
    CROSS JOIN LATERAL (VALUES ('赵', 'zhao', 'z'), ('陈', 'chen', 'c'), ('阿依古丽', 'ayiguli', 'ayg'),
        ('欧阳', 'ouyang', 'oy')) AS n (name, pinyin, initials)
    WHERE number % 4 = CASE n.initials WHEN 'z' THEN 0 WHEN 'c' THEN 1 WHEN 'ayg' THEN 2 ELSE 3 END
    RETURNING org_id, id
)
INSERT INTO unit_memberships (org_id, member_id, unit_id, position)
SELECT org_id, id, :unit_id, CASE WHEN row_number() OVER (ORDER BY id DESC) <= 3
    THEN row_number() OVER (ORDER BY id DESC) END
FROM added
""")


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register(name="王伟")


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


@pytest.fixture(scope="module")
async def unit(admin: Person, org: Json, engine: AsyncEngine) -> Json:
    """A unit of COUNT people, of whom the last three have the first places."""
    unit = await add_unit(admin, org, "大支部")
    async with engine.begin() as db:
        values = {"org_id": UUID(org["id"]), "unit_id": UUID(unit["id"]), "count": COUNT}
        await db.execute(_ADD_PEOPLE, values)
    return unit


async def test_list_by_name_is_in_the_order_of_pinyin_over_all_pages(admin: Person, org: Json, unit: Json) -> None:
    path = f"/v1/orgs/{org['id']}/members"
    rows = await list_all(admin, path, order="name", limit=200)
    assert len({row["id"] for row in rows}) == len(rows) == COUNT + 1
    spelled = {"阿依古丽": "ayiguli", "陈": "chen", "欧阳": "ouyang", "王伟": "wangwei", "赵": "zhao"}
    keys = [(spelled[row["name"]], row["id"]) for row in rows]
    assert keys == sorted(keys)


async def test_list_of_a_unit_by_position_has_those_with_a_place_first(admin: Person, org: Json, unit: Json) -> None:
    part = await add_unit(admin, org, "第一党小组", unit, kind="party-group")
    secretary = await add_member(admin, org, part, name="安全")
    get_body(
        await admin.put(
            f"/v1/orgs/{org['id']}/members/{secretary['id']}/units/{part['id']}/position", json={"position": 1}
        )
    )
    path = f"/v1/orgs/{org['id']}/members"
    wanted = {"order": "position", "unit_id": unit["id"], "units_below": True}
    rows = await list_all(admin, path, limit=200, **wanted)
    assert len({row["id"] for row in rows}) == len(rows) == COUNT + 1
    places = [next((found["position"] for found in row["units"] if found["id"] == unit["id"]), None) for row in rows]
    assert places == [1, 2, 3] + [None] * (COUNT - 2)
    assert rows[3]["name"] == "安全", "a place in a unit below does not count in the unit above"
    assert [row["name"] for row in rows[3:]] == sorted(
        (row["name"] for row in rows[3:]), key=["安全", "阿依古丽", "陈", "欧阳", "赵"].index
    )
    below = await list_all(admin, path, order="position", unit_id=part["id"])
    assert [row["id"] for row in below] == [secretary["id"]]


@pytest.mark.parametrize("order", ["added", "name"])
async def test_every_order_has_the_filtered_people(admin: Person, org: Json, unit: Json, order: str) -> None:
    path = f"/v1/orgs/{org['id']}/members"
    for wanted in (
        {"q": "欧阳"},
        {"q": "zh"},
        {"active": True},
        {"verified": True},
        {"at_org": True},
        {"party": False},
    ):
        rows = await list_all(admin, path, limit=200, order=order, **wanted)
        plain = await list_all(admin, path, limit=200, **wanted)
        assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in plain)


async def test_position_without_a_unit_and_a_cursor_of_another_order_are_refused(
    admin: Person, org: Json, unit: Json
) -> None:
    path = f"/v1/orgs/{org['id']}/members"
    refused = await admin.get(path, params={"order": "position"})
    assert get_refusal(refused) == (422, "invalid")
    assert refused.json()["errors"][0]["pointer"] == "query/order"
    page = get_body(await admin.get(path, params={"order": "name", "limit": 1}))
    for other in ({}, {"order": "added"}, {"order": "position", "unit_id": unit["id"]}):
        wrong = await admin.get(path, params=other | {"cursor": page["next_cursor"]})
        assert wrong.json()["errors"][0]["pointer"] == "query/cursor"
