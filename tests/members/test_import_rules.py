"""Rules of imports: the consent to removals, party flags, encryption and retention (S9, S17)."""

import os
import sys
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.members.imports.previews import needs_consent
from tests.members.sheets import Work, check, list_members, merge, open_xlsx, read, rows_of, xlsx
from tests.people import People, Person, fresh_name, fresh_phone
from tests.retention import clean_up


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


def test_removals_need_consent_above_fifty_people_or_a_fifth() -> None:
    for people in range(600):
        for leaving in range(min(people, 130) + 1):
            assert needs_consent(leaving, people, 0) == (leaving > 50 or leaving > Fraction(people, 5))


async def test_replacement_needs_consent_above_fifty_people_or_a_fifth(
    admin: Person, org_id: str, worker: Work
) -> None:
    people = [(fresh_name(), fresh_phone(), "甲") for _ in range(299)]  # 300 people with the admin
    await merge(admin, org_id, worker, xlsx(people), unknown_units="create")
    results = []
    for leaving in (50, 51):
        checked = await check(admin, org_id, worker, xlsx(people[leaving:]), mode="replace-all")
        results.append((checked["counts"]["left"], checked["people"], checked["leaving_needs_consent"]))
    assert results == [(50, 300, False), (51, 300, True)]
    left = await merge(admin, org_id, worker, xlsx(people[50:]), mode="replace-all")
    assert (left["counts"]["left"], left["people"]) == (50, 300)
    remaining = people[50:]
    await merge(admin, org_id, worker, xlsx(remaining[-99:]), mode="replace-all", leaving=150)
    results = []
    for leaving in (20, 21):  # of 100 people
        checked = await check(admin, org_id, worker, xlsx(remaining[-99 + leaving :]), mode="replace-all")
        results.append((checked["counts"]["left"], checked["people"], checked["leaving_needs_consent"]))
    assert results == [(20, 100, False), (21, 100, True)]


async def test_party_flags_follow_the_sheet_or_the_kind_of_the_org(admin: Person, worker: Work) -> None:
    body = {"kind": "outside-party", "name": f"测试区{fresh_phone()}街道党外人士学习组织"}
    outside = str((await admin.create_org(**body))["id"])
    silent, no, yes = [(fresh_name(), fresh_phone()) for _ in range(3)]
    header = ("姓名", "手机号码", "支部名称", "是否党员")
    sheet = xlsx([(*silent, "甲", ""), (*no, "甲", "否"), (*yes, "甲", "是")], header)
    await merge(admin, outside, worker, sheet, unknown_units="create")
    flags = {member["name"]: member["party"] for member in await list_members(admin, outside)}
    assert (flags[silent[0]], flags[no[0]], flags[yes[0]]) == (False, False, True)
    # An empty cell changes no flag. A different value is a change.
    again = await merge(
        admin, outside, worker, xlsx([(*silent, "甲", ""), (*no, "甲", "是"), (*yes, "甲", "")], header)
    )
    assert (again["counts"]["changed"], again["counts"]["unchanged"]) == (1, 2)
    checked = await check(admin, outside, worker, xlsx([(*no, "甲", "是"), (*no, "乙", "否")], header))
    codes = [[code["code"] for code in row["problems"]] for row in await rows_of(admin, outside, checked["id"])]
    assert codes == [["party-contradiction"], ["unit-unknown", "party-contradiction"]]


@pytest.fixture(scope="session")
def opened() -> list[str]:
    """Return a list that collects the files that this process opens for writing."""
    found: list[str] = []

    def log_opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            found.append(str(arguments[0]))

    sys.addaudithook(log_opened)
    return found


async def test_phones_of_an_import_are_not_stored_in_plain_text(
    admin: Person, org_id: str, worker: Work, engine: AsyncEngine, opened: list[str]
) -> None:
    good, bad = fresh_phone(), "0258" + fresh_phone()[:7]
    sheet = xlsx([(fresh_name(), good, "甲"), (fresh_name(), bad, "甲"), ("=HYPERLINK(1)", fresh_phone(), "甲")])
    done = await merge(admin, org_id, worker, sheet, unknown_units="create")
    assert (done["counts"]["added"], done["counts"]["refused"]) == (1, 2)
    opened.clear()
    failed = await admin.get(f"/v1/orgs/{org_id}/imports/{done['id']}/failed-rows.xlsx")
    assert opened == []  # the sheet with the phones is never written to a file
    cells = [cell for row in open_xlsx(failed.content).worksheets[0].iter_rows(min_row=2) for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert [cell.value for cell in cells if str(cell.value).startswith("=")] == ["=HYPERLINK(1)"]
    async with engine.connect() as db:
        stored = [
            str(row)
            for table in ("imports", "import_rows", "import_files", "audit_entries", "outgoing_events")
            for row in (await db.execute(text(f"SELECT * FROM {table} WHERE org_id = :org"), {"org": org_id})).all()
        ]
        for table in ("pgqueuer", "pgqueuer_log"):
            stored += [str(row) for row in (await db.execute(text(f"SELECT * FROM {table}"))).all()]
    assert len(stored) > 5
    for phone in (good, bad):
        assert not [row for row in stored if phone in row or phone.encode().hex() in row]


async def test_import_rows_are_deleted_after_thirty_days(
    admin: Person, org_id: str, worker: Work, engine: AsyncEngine
) -> None:
    sheet = xlsx([(fresh_name(), fresh_phone(), "甲"), (fresh_name(), "", "甲")])
    done = await merge(admin, org_id, worker, sheet, unknown_units="create")
    ready = await check(admin, org_id, worker, sheet)
    young = await check(admin, org_id, worker, sheet)

    async def age(days: int) -> None:
        async with engine.begin() as db:
            await db.execute(
                text("UPDATE imports SET created_at = now() - make_interval(days => :days) WHERE id = ANY(:ids)"),
                {"days": days, "ids": [done["id"], ready["id"]]},
            )
        await clean_up(engine)

    await age(29)
    assert len(await rows_of(admin, org_id, done["id"])) == len(await rows_of(admin, org_id, ready["id"])) == 2
    await age(31)
    for import_id, state in ((done["id"], "done"), (ready["id"], "canceled")):
        found = await read(admin, org_id, import_id)
        assert (found["state"], found["rows_total"]) == (state, 2)
        assert await rows_of(admin, org_id, import_id) == []
        failed = await admin.get(f"/v1/orgs/{org_id}/imports/{import_id}/failed-rows.xlsx")
        assert open_xlsx(failed.content).worksheets[0].max_row == 1
    assert len(await rows_of(admin, org_id, young["id"])) == 2
    path = f"/v1/orgs/{org_id}/imports/{ready['id']}/confirmation"
    assert (await admin.put(path, json={"preview": 1})).status_code == 409
