"""Undoing an import within a day (S9)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_all
from tests.members.sheets import Work, list_members, merge, read, xlsx
from tests.people import People, Person, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


HEADER = ("姓名", "手机号码", "支部名称", "职务")


async def describe(admin: Person, org: Json) -> dict[str, Any]:
    return {
        row["id"]: (row["name"], row["phone"], row["post"], row["active"], row["at_org"], row["units"])
        for row in await list_members(admin, org["id"])
    }


async def test_import_is_undone_as_a_whole(admin: Person, org: Json, worker: Work, people: People) -> None:
    first, second = await add_unit(admin, org, "甲"), await add_unit(admin, org, "乙")
    phones = {name: fresh_phone() for name in ("改名", "调动", "换号", "移出")}
    user = await people.register()
    for name, phone in phones.items():
        await add_member(
            admin, org, first, second, name=name, phone=phone, **({"post": "书记"} if name == "改名" else {})
        )
    active = await add_member(admin, org, first, name=user.name, phone=user.phone)
    at = f"/v1/orgs/{org['id']}"
    get_body(await admin.put(f"{at}/members/{active['id']}/units/{first['id']}/position", json={"position": 1}))
    before = await describe(admin, org)
    sheet = xlsx(
        [
            ("新名", phones["改名"], "丙", "委员"),
            ("调动", phones["调动"], "丙", ""),
            ("换号", fresh_phone(), "甲", ""),
            ("新人", fresh_phone(), "丙/丁", ""),
        ],
        HEADER,
    )
    done = await merge(
        admin,
        org["id"],
        worker,
        sheet,
        mode="replace-all",
        units="replace",
        unknown_units="create",
        leaving=2,
        decisions={"accepted_rows": [2, 4]},
    )
    assert {name: count for name, count in done["counts"].items() if count} == {
        "added": 1,
        "changed": 2,
        "moved": 1,
        "left": 2,
    }
    assert done["reversible_until"] is not None
    path = f"{at}/imports/{done['id']}/reversal"
    assert get_body(await admin.get(path)) == {"people": 6, "blocked": 0}
    assert get_body(await admin.put(path, json={})) == {"people": 6, "blocked": 0}
    await worker()
    after = await describe(admin, org)
    assert after == before
    assert {unit["path"] for unit in get_body(await admin.get(f"{at}/units"))["items"]} == {"甲", "乙"}
    found = await read(admin, org["id"], done["id"])
    assert (found["reversed_at"] is None, found["reversed_by"], found["reversible_until"]) == (False, admin.name, None)
    for answer in (await admin.put(path, json={}), await admin.get(path), await admin.get(f"{path}/blocked-people")):
        assert get_refusal(answer) == (409, "import-not-reversible")
    entries = await list_all(admin, f"{at}/audit")
    undone = [one for one in entries if (one["after"] or {}).get("import_id") == done["id"]]
    assert sorted(one["action"] for one in undone[:6]) == sorted(
        ["member.edited"] * 2 + ["member.moved", "member.removed"] + ["member.restored"] * 2
    )


async def test_people_edited_since_stay_as_they_are(admin: Person, org: Json, worker: Work, people: People) -> None:
    unit = await add_unit(admin, org, "甲")
    await add_unit(admin, org, "乙")
    phones = {name: fresh_phone() for name in ("改过", "没改", "又来", "换号")}
    for name, phone in phones.items():
        await add_member(admin, org, unit, name=name, phone=phone)
    new_admin = await people.register()
    rows = [
        ("改过", phones["改过"], "乙"),
        ("没改", phones["没改"], "乙"),
        (new_admin.name, new_admin.phone, "乙"),
        ("换号", fresh_phone(), "甲"),
    ]
    accepted = {"accepted_rows": [5]}
    done = await merge(admin, org["id"], worker, xlsx(rows), mode="replace-all", leaving=1, decisions=accepted)
    members = {row["name"]: row for row in await list_members(admin, org["id"])}
    at = f"/v1/orgs/{org['id']}"
    get_body(await admin.patch(f"{at}/members/{members['改过']['id']}", json={"post": "书记"}))
    await add_member(admin, org, unit, name="又来", phone=phones["又来"])
    await add_member(admin, org, unit, name="新来", phone=phones["换号"])
    await add_admin(admin, org, new_admin)
    path = f"{at}/imports/{done['id']}/reversal"
    assert get_body(await admin.get(path)) == {"people": 1, "blocked": 4}
    blocked = get_body(await admin.get(f"{path}/blocked-people"))["items"]
    assert {one["name"]: one["reason"] for one in blocked} == {
        "改过": "edited-since",
        "又来": "phone-taken",
        "换号": "phone-taken",
        new_admin.name: "is-admin",
    }
    refused = await admin.put(path, json={})
    assert (get_refusal(refused), refused.json()["blocked"]) == ((409, "import-edited-since"), 4)
    assert get_body(await admin.put(path, json={"partial": True})) == {"people": 1, "blocked": 4}
    units = {row["name"]: [one["name"] for one in row["units"]] for row in await list_members(admin, org["id"])}
    assert (units["改过"], units["没改"], units[new_admin.name]) == (["乙"], ["甲"], ["乙"])


async def test_import_of_more_than_a_day_ago_is_not_undone(
    admin: Person, org: Json, worker: Work, engine: AsyncEngine
) -> None:
    done = await merge(admin, org["id"], worker, xlsx([("王伟", fresh_phone(), "甲")]), unknown_units="create")
    async with engine.begin() as db:
        await db.execute(
            text("UPDATE imports SET finished_at = now() - interval '25 hours' WHERE id = :id"), {"id": done["id"]}
        )
    path = f"/v1/orgs/{org['id']}/imports/{done['id']}/reversal"
    assert get_refusal(await admin.put(path, json={})) == (409, "import-not-reversible")
    assert get_refusal(await admin.get(path)) == (409, "import-not-reversible")


async def test_undoing_waits_for_an_edit_and_does_not_overwrite_it(
    admin: Person, org: Json, worker: Work, engine: AsyncEngine
) -> None:
    phone = fresh_phone()
    done = await merge(admin, org["id"], worker, xlsx([("王伟", phone, "甲")]), unknown_units="create")
    (member,) = await list_members(admin, org["id"], q="王伟")
    path = f"/v1/orgs/{org['id']}/imports/{done['id']}/reversal"
    async with engine.connect() as db:
        async with db.begin():
            edit = "UPDATE members SET name = '王维', version = version + 1 WHERE id = :id"
            await db.execute(text(edit), {"id": member["id"]})
            undoing = asyncio.create_task(admin.put(path, json={}))
            await asyncio.wait({undoing}, timeout=0.2)
            assert not undoing.done()
        assert get_refusal(await undoing) == (409, "import-edited-since")
    assert [row["name"] for row in await list_members(admin, org["id"], q="王维")] == ["王维"]


async def test_people_of_a_reversal_have_statistics_before_they_are_joined(
    admin: Person, org: Json, worker: Work
) -> None:
    done = await merge(admin, org["id"], worker, xlsx([("王伟", fresh_phone(), "甲")]), unknown_units="create")
    sent: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", record)
    try:
        get_body(await admin.put(f"/v1/orgs/{org['id']}/imports/{done['id']}/reversal", json={}))
    finally:
        event.remove(Engine, "before_cursor_execute", record)
    of_people = [statement for statement in sent if " undone" in statement]
    assert of_people[0].startswith("CREATE TEMPORARY TABLE undone")
    assert of_people[1].startswith("ANALYZE undone")
