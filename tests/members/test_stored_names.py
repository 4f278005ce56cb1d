"""The clean-up `stored-names`: names from before the stored form are found, imported and listed as new ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.members import retention
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.acts import Json, add_member, add_unit, certify, list_all
from tests.members.sheets import Work, check, list_members, xlsx
from tests.people import People, fresh_org_name, fresh_phone

CLEAN_UP = replace(next(job for job in CLEAN_UPS if job.name == "stored-names"), batch=3)
NIL = "00000000-0000-0000-0000-000000000000"
RESTART = text("INSERT INTO name_bookmarks SELECT name, :start, :nil FROM unnest(CAST(:tables AS text[])) AS name")
OLD_GRAMS = """
CREATE OR REPLACE FUNCTION name_grams(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS
'BEGIN RETURN string_to_array(lower(name), NULL); END'
"""


async def store_old_names(engine: AsyncEngine, table: str, names: Mapping[str, str], first_org: Json) -> None:
    """Write names, by the row's id, as the release before stored them. The clean-up begins again, with the rows of this
    org: the orgs of other tests are older.
    """
    async with engine.begin() as db:
        grams = await db.scalar(text("SELECT pg_get_functiondef('name_grams'::regproc)"))
        await db.execute(text(OLD_GRAMS))
        for of_id, name in names.items():
            statement = text(f"UPDATE {table} SET name = :name WHERE id = :id")
            await db.execute(statement, {"name": name, "id": UUID(of_id)})
        await db.exec_driver_sql(grams)
        await db.execute(text("DELETE FROM name_bookmarks"))
        start = UUID(int=UUID(first_org["id"]).int - 1)
        await db.execute(RESTART, {"start": start, "nil": NIL, "tables": ["members", "orgs", "units"]})


async def read_units(db: AsyncConnection, org_id: str) -> list[tuple[str, int]]:
    statement = text("SELECT name, name_number FROM units WHERE org_id = :id ORDER BY id")
    return [tuple(row) for row in await db.execute(statement, {"id": UUID(org_id)})]


async def test_old_names_of_people_are_found_and_imported_unchanged(
    people: People, worker: Work, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部（机关）")
    old = {"买买提·阿卜杜拉": "买买提•阿卜杜拉", "古丽·艾山": "古丽·艾山", "王伟": "王　伟", "李明": "李明"}
    phones = {name: fresh_phone() for name in old}
    added = {name: await add_member(admin, org, branch, name=name, phone=phones[name]) for name in old}
    paths = {name: f"/v1/orgs/{org['id']}/members/{row['id']}" for name, row in added.items()}
    tags = {name: (await admin.get(path)).headers["ETag"] for name, path in paths.items()}
    await store_old_names(engine, "members", {added[name]["id"]: old[name] for name in old}, org)
    await store_old_names(engine, "units", {branch["id"]: "第一党支部(机关)"}, org)

    async def find(typed: str) -> list[str]:
        return [found["name"] for found in await list_members(admin, org["id"], q=typed)]

    sheet = xlsx([(name, phones[name], "第一党支部（机关）") for name in old])
    assert await find("买买提阿卜杜拉") == await find("丽艾") == []
    assert (await check(admin, org["id"], worker, sheet))["counts"]["changed"] == 2

    log = Mock()
    monkeypatch.setattr(retention, "log", log)
    assert await run_clean_up(engine, CLEAN_UP) > CLEAN_UP.batch
    assert {"table": "units", "updated": 1, "skipped": 0} in [call.kwargs for call in log.info.call_args_list]
    assert not [call for call in log.info.call_args_list if "买买提" in str(call)]
    assert await find("买买提阿卜杜拉") == ["买买提·阿卜杜拉"]
    assert await find("丽艾") == ["古丽·艾山"]
    checked = await check(admin, org["id"], worker, sheet)
    assert (checked["counts"]["unchanged"], checked["counts"]["changed"]) == (4, 0)
    for name, path in paths.items():
        changed = await admin.get(path, headers={"If-None-Match": tags[name]})
        assert changed.status_code == (304 if old[name] == name else 200), name
    assert await run_clean_up(engine, CLEAN_UP) == 0  # finished: it reads nothing


async def test_sibling_with_a_number_keeps_its_old_name(
    people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    units: list[dict[str, Any]] = [await add_unit(admin, org, f"第{number}党支部（机关）") for number in "一二"]
    await store_old_names(engine, "units", {units[0]["id"]: "第一党支部(机关)"}, org)
    async with engine.begin() as writing:
        twin = text("UPDATE units SET name = '第一党支部【机关】', name_number = 1 WHERE id = :id")
        await writing.execute(twin, {"id": UUID(units[1]["id"])})
    await run_clean_up(engine, CLEAN_UP)
    assert await read_units(db, org["id"]) == [("第一党支部（机关）", 0), ("第一党支部【机关】", 1)]


async def test_old_name_of_an_org_changes_with_its_edge(people: People, engine: AsyncEngine) -> None:
    admin, other = await people.register(), await people.register()
    superior, name = await admin.create_org(), f"{fresh_org_name()}（机关）"
    org = await other.create_org(name=name)
    await certify(admin, superior, other, org)
    old = name.replace("（", " (").replace("）", ")")
    await store_old_names(engine, "orgs", {org["id"]: old}, superior)
    path = f"/v1/orgs/{superior['id']}/subordinates"
    assert [member["name"] for member in await list_all(admin, path)] == [old]
    await run_clean_up(engine, CLEAN_UP)
    assert [member["name"] for member in await list_all(admin, path)] == [name]
    async with engine.connect() as db:
        row = text("""
        SELECT o.sort_key = c.subordinate_sort_key AND o.sort_key <> '' AND o.name = c.subordinate_name
        FROM orgs AS o JOIN certifications AS c ON c.subordinate_id = o.id WHERE o.id = :id
        """)
        assert await db.scalar(row, {"id": UUID(org["id"])})
