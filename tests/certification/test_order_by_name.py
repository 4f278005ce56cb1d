"""Lists of orgs by name go by pinyin, and numerals by number."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.orgs.retention import CLEAN_UPS
from app.worker.retention import run_clean_up
from tests.acts import certify, get_body, send_change_request
from tests.people import People, Person, fresh_org_name

ENDS = ("重庆支部", "第一支部", "第二支部", "第十支部", "第十一支部", "甘泉支部", "解放路支部")


async def list_names(admin: Person, path: str, **params: Any) -> list[str]:
    """Return the names of all pages of two rows."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        found = get_body(await admin.get(path, params={"limit": 2} | params | cursor))
        rows = found.get("subordinates", found)
        names += [row["name"] for row in rows["items"]]
        if rows["next_cursor"] is None:
            return names
        cursor = {"cursor": rows["next_cursor"]}


@pytest.mark.usefixtures("no_stored_days")
async def test_orgs_are_listed_by_pinyin_and_number(people: People, engine: AsyncEngine) -> None:
    admin = await people.register()
    superior = await admin.create_org()
    stem = fresh_org_name()
    ordered = [f"{stem}{end}" for end in ENDS]
    orgs = {name: await admin.create_org(name=name) for name in sorted(ordered)}
    for org in orgs.values():
        await certify(admin, superior, admin, org)
    subordinates = f"/v1/orgs/{superior['id']}/subordinates"
    overview = f"/v1/orgs/{superior['id']}/reports/overview"
    assert await list_names(admin, subordinates) == ordered
    assert await list_names(admin, overview) == ordered
    assert await list_names(admin, "/v1/orgs", q=stem) == ordered

    # A new name has its new place.
    first = orgs[ordered[0]]
    renamed = f"{stem}第三支部"
    change = get_body(await send_change_request(admin, first, kind="rename", name=renamed), 201)
    get_body(await admin.put(f"/v1/orgs/{superior['id']}/change-requests/{change['id']}/approval"))
    ordered = [*ordered[1:3], renamed, *ordered[3:]]
    assert await list_names(admin, subordinates) == ordered

    # Orgs from before the column come first until the clean-up has written their keys.
    async with engine.begin() as db:
        await db.execute(text("UPDATE orgs SET sort_key = '' WHERE starts_with(name, :stem)"), {"stem": stem})
    clean_up = next(job for job in CLEAN_UPS if job.name == "sort-keys")
    assert await run_clean_up(engine, clean_up) >= len(ordered)
    assert await list_names(admin, subordinates) == ordered
    assert await list_names(admin, "/v1/orgs", q=stem) == ordered
