"""Bulk import over HTTP with the real worker (S9)."""

import asyncio
import io
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.database.paging import encode_cursor
from app.members.imports.staging import outcomes
from app.worker import worker as working
from tests.auth.live_server import serve_app
from tests.members.sheets import Work, check, list_members, merge, open_xlsx, read, rows_of, upload, xlsx
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


def counts(**some: int) -> dict[str, int]:
    return dict.fromkeys(("added", "changed", "moved", "left", "unchanged", "undecided", "refused"), 0) | some


async def test_filled_template_is_previewed_and_imported(admin: Person, org_id: str, worker: Work) -> None:
    for body in ({"name": "机关总支", "kind": "general-branch"}, {"name": "独立支部"}):
        assert (await admin.post(f"/v1/orgs/{org_id}/units", json=body)).status_code == 201
    template = await admin.get(f"/v1/orgs/{org_id}/imports/template")
    assert template.status_code == 200
    book = open_xlsx(template.content)
    sheet = book["人员"]
    assert [cell.value for cell in sheet[1]] == ["姓名", "手机号码", "支部名称", "是否党员", "党员类型", "职务"]
    assert [cell.comment.text[:2] for cell in sheet[1]] == ["必填"] * 3 + ["选填"] * 3
    assert [cell.value for cell in sheet[2]] == ["示例：张三", "13800138000", "机关总支", "是", "正式党员", "支部书记"]
    assert book["填写说明"]["A1"].value == "填写说明"
    assert book["填写说明"].max_row > 5
    assert [cell.value for cell in book["支部"]["A"]] == ["机关总支", "独立支部"]
    assert book["支部"].sheet_state == "hidden"
    assert any("支部!$A$1:$A$2" in validation.formula1 for validation in sheet.data_validations.dataValidation)
    phone = fresh_phone()
    for column, value in enumerate(("王伟", phone, "独立支部", "是"), 1):
        sheet.cell(3, column, value)
    content = io.BytesIO()
    book.save(content)

    checked = await check(admin, org_id, worker, content.getvalue())
    assert (checked["state"], checked["rows_total"]) == ("ready", 1)  # the example row is ignored
    assert checked["counts"] == counts(added=1)
    assert len(await list_members(admin, org_id)) == 1  # a preview writes nothing
    confirmed = await admin.put(f"/v1/orgs/{org_id}/imports/{checked['id']}/confirmation", json={"preview": 1})
    assert (confirmed.status_code, confirmed.json()["state"]) == (202, "confirmed")
    await worker()
    done = await read(admin, org_id, checked["id"])
    assert (done["state"], done["counts"]) == ("done", counts(added=1))
    (member,) = await list_members(admin, org_id, q="王伟")
    assert (member["phone"], member["units"][0]["name"]) == (f"{phone[:3]}****{phone[7:]}", "独立支部")


async def test_unfilled_template_is_refused(admin: Person, org_id: str, worker: Work) -> None:
    template = await admin.get(f"/v1/orgs/{org_id}/imports/template")
    checked = await check(admin, org_id, worker, template.content)
    assert (checked["state"], checked["refusal"]["code"]) == ("refused", "no-rows")


async def test_repeated_import_changes_nothing(admin: Person, org_id: str, worker: Work) -> None:
    people_ = [(fresh_name(), fresh_phone(), f"第{number % 3}支部") for number in range(30)]
    people_.append((people_[0][0], people_[0][1], "另一支部"))
    sheet = xlsx(people_)
    first = await merge(admin, org_id, worker, sheet, unknown_units="create")
    assert (first["state"], first["counts"]) == ("done", counts(added=30))
    assert first["new_units"] == ["第0支部", "第1支部", "第2支部", "另一支部"]  # in the order of the sheet
    before = await list_members(admin, org_id)
    again = await merge(admin, org_id, worker, sheet, unknown_units="create")
    assert again["counts"] == counts(unchanged=30)
    assert await list_members(admin, org_id) == before


async def test_unit_paths_are_created_and_found_by_path_or_by_unique_name(
    admin: Person, org_id: str, worker: Work
) -> None:
    a, b, c = [(fresh_name(), fresh_phone()) for _ in range(3)]
    created = await merge(
        admin,
        org_id,
        worker,
        xlsx([(*a, "南京公司党总支/一部支部"), (*b, "南京公司党总支／二部支部"), (*c, "北京公司党总支/一部支部")]),
        unknown_units="create",
    )
    assert created["counts"] == counts(added=3)
    units = (await admin.get(f"/v1/orgs/{org_id}/units")).json()["items"]
    assert [(unit["path"], unit["kind"]) for unit in units] == [  # in the order of the sheet
        ("南京公司党总支", "general-branch"),
        ("南京公司党总支/一部支部", "branch"),
        ("南京公司党总支/二部支部", "branch"),
        ("北京公司党总支", "general-branch"),
        ("北京公司党总支/一部支部", "branch"),
    ]
    short = await check(admin, org_id, worker, xlsx([(*b, "二部支部"), (*a, "一部支部"), (*c, "三部支部")]))
    rows = await rows_of(admin, org_id, short["id"])
    assert [row["outcome"] for row in rows] == ["unchanged", "refused", "refused"]
    assert [[code["code"] for code in row["problems"]] for row in rows] == [[], ["unit-ambiguous"], ["unit-unknown"]]


async def test_preview_names_every_new_unit_once(admin: Person, org_id: str, worker: Work) -> None:
    paths = ("机关党总支/第一支部(甲)", "机关 党总支/第一支部（甲）", "机关党总支/第二支部", "A区", "Ａ区/一组")
    sheet = xlsx([[f"张三{i}", f"1390000030{i}", path] for i, path in enumerate(paths)])
    done = await merge(admin, org_id, worker, sheet, unknown_units="create")
    assert done["new_units"] == ["机关党总支", "机关党总支/第一支部（甲）", "机关党总支/第二支部", "A区", "A区/一组"]
    units = (await admin.get(f"/v1/orgs/{org_id}/units")).json()["items"]
    assert sorted(unit["path"] for unit in units) == sorted(done["new_units"])
    assert (await check(admin, org_id, worker, sheet))["counts"] == counts(unchanged=5)


async def test_rows_are_added_changed_moved_or_unchanged(admin: Person, org_id: str, worker: Work) -> None:
    unchanged, renamed, moved, both = [(fresh_name(), fresh_phone()) for _ in range(4)]
    await merge(
        admin,
        org_id,
        worker,
        xlsx([(*unchanged, "甲"), (*renamed, "甲"), (*moved, "甲"), (*both, "甲"), (*both, "乙")]),
        unknown_units="create",
    )
    new = (fresh_name(), fresh_phone())
    sheet = xlsx([(*unchanged, "甲"), ("改名", renamed[1], "甲"), (*moved, "乙"), (*both, "乙"), (*new, "乙")])
    checked = await check(admin, org_id, worker, sheet)
    # A name is not changed without the admin's decision, and a person in two units stays in both.
    assert checked["counts"] == counts(added=1, undecided=1, moved=1, unchanged=2)
    rows = await rows_of(admin, org_id, checked["id"])
    assert [row["outcome"] for row in rows] == ["unchanged", "undecided", "moved", "unchanged", "added"]
    by_sheet = await check(admin, org_id, worker, sheet, units="replace")
    rows = await rows_of(admin, org_id, by_sheet["id"])
    assert [row["outcome"] for row in rows] == ["unchanged", "undecided", "moved", "moved", "added"]
    assert (await list_members(admin, org_id, q=renamed[0])) != []
    done = await merge(admin, org_id, worker, sheet, units="replace", decisions={"accepted_rows": [3]})
    assert done["counts"] == counts(added=1, changed=1, moved=2, unchanged=1)
    units_by_name = {
        member["name"]: [unit["name"] for unit in member["units"]] for member in await list_members(admin, org_id)
    }
    del units_by_name[admin.name]
    assert units_by_name == {unchanged[0]: ["甲"], "改名": ["甲"], moved[0]: ["乙"], both[0]: ["乙"], new[0]: ["乙"]}


async def test_admin_whom_a_sheet_puts_into_a_unit_remains_in_the_management_group(
    admin: Person, org_id: str, worker: Work
) -> None:
    sheet = xlsx([(admin.name, admin.phone, "机关支部")])
    done = await merge(admin, org_id, worker, sheet, unknown_units="create")
    assert done["counts"] == counts(moved=1)
    (row,) = await list_members(admin, org_id)
    assert (row["at_org"], [unit["name"] for unit in row["units"]]) == (True, ["机关支部"])


async def test_refused_rows_have_reasons_and_can_be_corrected(admin: Person, org_id: str, worker: Work) -> None:
    phones = [fresh_phone() for _ in range(6)]
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in phones[0])
    sheet = xlsx(
        [
            ("解晓东", wide, "甲"),
            ("欧阳 娜娜", f"0086 {phones[1]} ", "甲"),
            ("𠮷田㐂🙂", float(phones[2]), "甲"),
            ("王伟", phones[3], "甲"),
            ("王　伟", phones[3], "乙"),
            ("李娜", phones[4], "甲"),
            ("李雷", phones[4], "甲"),
            ("", phones[5], "甲"),
            ("赵敏", "", "甲"),
            ("钱进", fresh_phone(), ""),
            ("周杰", "02584567890", "甲"),
            ("吴越", "1.38E+10", "甲"),
            ("郑和", "+852 2123 4567", "甲"),
            ("=1+1", fresh_phone(), "甲"),
            ("名" * 500, fresh_phone(), "甲"),
            ("王伟", phones[3], "甲"),
        ]
    )
    checked = await check(admin, org_id, worker, sheet, unknown_units="create")
    assert checked["counts"] == counts(added=4, refused=10)
    rows = {row["row_no"]: row for row in await rows_of(admin, org_id, checked["id"])}
    codes = {number: [code["code"] for code in row["problems"]] for number, row in rows.items() if row["problems"]}
    assert codes == {
        7: ["phone-has-two-names"],
        8: ["phone-has-two-names"],
        9: ["name-missing"],
        10: ["phone-missing"],
        11: ["unit-missing"],
        12: ["phone-landline"],
        13: ["phone-scientific"],
        14: ["phone-landline"],
        15: ["name-formula"],
        16: ["name-too-long"],
    }
    assert [rows[number]["related_rows"] for number in (7, 8)] == [[{"sheet": None, "row_no": n}] for n in (8, 7)]
    assert [warning["code"] for warning in rows[17]["warnings"]] == ["row-repeated"]
    assert rows[3]["name"] == "欧阳娜娜"
    refused = await rows_of(admin, org_id, checked["id"], outcome="refused")
    assert [row["row_no"] for row in refused] == list(codes)

    failed = await admin.get(f"/v1/orgs/{org_id}/imports/{checked['id']}/failed-rows.xlsx")
    sheet_again = open_xlsx(failed.content).worksheets[0]
    lines = list(sheet_again.iter_rows(min_row=2, values_only=True))
    assert [line[6] for line in lines] == list(codes)
    assert lines[5][:3] == ("周杰", "02584567890", "甲")
    assert lines[8][0] == "=1+1"
    assert "8" in lines[0][7]

    await admin.put(f"/v1/orgs/{org_id}/imports/{checked['id']}/confirmation", json={"preview": 1})
    await worker()
    assert (await read(admin, org_id, checked["id"]))["counts"] == checked["counts"]
    # The sheet of refused rows can be uploaded again. Here both rows with two names are corrected.
    for number, name in ((2, "李娜"), (3, "李娜")):
        sheet_again.cell(number, 1, name)
    content = io.BytesIO()
    sheet_again.parent.save(content)
    corrected = await merge(admin, org_id, worker, content.getvalue(), unknown_units="create")
    assert corrected["counts"] == counts(added=1, refused=8)


async def test_person_with_one_refused_row_is_refused(admin: Person, org_id: str, worker: Work) -> None:
    person = (fresh_name(), fresh_phone())
    await merge(admin, org_id, worker, xlsx([(*person, "甲"), (*person, "乙")]), unknown_units="create")
    checked = await check(admin, org_id, worker, xlsx([(*person, "甲"), (*person, "没有的支部")]))
    rows = await rows_of(admin, org_id, checked["id"])
    assert [[code["code"] for code in row["problems"]] for row in rows] == [["other-row-refused"], ["unit-unknown"]]
    assert rows[0]["related_rows"] == [{"sheet": None, "row_no": 3}]
    done = await merge(admin, org_id, worker, xlsx([(*person, "甲"), (*person, "没有的支部")]))
    assert done["counts"] == counts(refused=2)
    (member,) = await list_members(admin, org_id, q=person[0])
    assert {unit["name"] for unit in member["units"]} == {"甲", "乙"}


async def test_rows_of_people_outside_the_party_are_refused(admin: Person, org_id: str, worker: Work) -> None:
    header = ("姓名*", "手机号码(必填)", "支部名称", "是否党员")
    sheet = xlsx(
        [(fresh_name(), fresh_phone(), "甲", answer) for answer in ("是", "", "否", "也许")],
        header=header,
    )
    checked = await check(admin, org_id, worker, sheet, unknown_units="create")
    rows = await rows_of(admin, org_id, checked["id"])
    assert [[code["code"] for code in row["problems"]] for row in rows] == [
        [],
        [],
        ["party-members-only"],
        ["party-unreadable"],
    ]


async def test_imported_registered_people_are_active_if_the_names_agree(
    admin: Person, org_id: str, worker: Work, people: People
) -> None:
    registered = await people.register()
    unverified = await people.register(verified=False)
    recycled = await people.register()
    sheet = xlsx(
        [(registered.name, registered.phone, "甲"), ("随便", unverified.phone, "甲"), ("前机主", recycled.phone, "甲")]
    )
    await merge(admin, org_id, worker, sheet, unknown_units="create")
    found = {member["name"]: member for member in await list_members(admin, org_id)}
    assert (found[registered.name]["active"], found["随便"]["active"], found["前机主"]["active"]) == (True, True, False)
    assert found["前机主"]["inactive_reason"] == "name-mismatch"
    # A row becomes active when it gets the verified name of the user with the phone. A sheet can do that too, with the
    # admin's decision. It cannot change the name of a verified person.
    sheet = xlsx([(recycled.name, recycled.phone, "甲"), ("他人", registered.phone, "甲")])
    done = await merge(admin, org_id, worker, sheet, decisions={"accepted_rows": [2]})
    assert done["counts"] == counts(changed=1, refused=1)
    found = {member["name"]: member for member in await list_members(admin, org_id)}
    assert (found[recycled.name]["active"], found[registered.name]["active"]) == (True, True)
    (refused,) = await rows_of(admin, org_id, done["id"], outcome="refused")
    assert [code["code"] for code in refused["problems"]] == ["name-verified"]


async def test_replacement_removes_people_outside_the_file_after_consent(
    admin: Person, org_id: str, worker: Work
) -> None:
    people_ = [(fresh_name(), fresh_phone(), "甲") for _ in range(10)]
    await merge(admin, org_id, worker, xlsx(people_), unknown_units="create")
    one_less = await merge(admin, org_id, worker, xlsx(people_[1:]), mode="replace-all")
    assert one_less["counts"] == counts(left=1, unchanged=9)

    checked = await check(admin, org_id, worker, xlsx(people_[5:]), mode="replace-all")
    assert (checked["counts"]["left"], checked["people"], checked["leaving_needs_consent"]) == (4, 10, True)
    path = f"/v1/orgs/{org_id}/imports/{checked['id']}/confirmation"
    for leaving in (None, 3, 5, 10_000_000):
        stopped = await admin.put(path, json={"preview": 1, "leaving": leaving})
        assert (stopped.status_code, stopped.json()["type"]) == (409, "/problems/removals-need-consent")
        assert (stopped.json()["leaving"], stopped.json()["people"]) == (4, 10)
    listed = await admin.get(stopped.json()["list_href"])
    assert {change["name"] for change in listed.json()["items"]} == {name for name, _, _ in people_[1:5]}
    # A person is added meanwhile. The preview does not show that they would leave, so there is a new one.
    branch = (await admin.get(f"/v1/orgs/{org_id}/units")).json()["items"][0]["id"]

    async def add(name: str) -> None:
        body = {"name": name, "phone": fresh_phone(), "unit_ids": [branch]}
        assert (await admin.post(f"/v1/orgs/{org_id}/members", json=body)).status_code == 201

    await add("迟来")
    stale = await admin.put(path, json={"preview": 1, "leaving": 4})
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/import-preview-stale")
    assert (stale.json()["preview"], stale.json()["leaving"], stale.json()["people"]) == (2, 5, 11)
    again = await admin.put(path, json={"preview": 1, "leaving": 5})
    assert (again.status_code, again.json()["preview"]) == (409, 2)
    assert "迟来" in {change["name"] for change in (await admin.get(stale.json()["list_href"])).json()["items"]}
    assert (await admin.put(path, json={"preview": 2, "leaving": 5})).status_code == 202
    await add("更迟")  # after the confirmation: the merge finds it
    await worker()
    returned = await read(admin, org_id, checked["id"])
    assert (returned["state"], returned["preview"], returned["counts"]["left"]) == ("ready", 3, 6)
    assert len(await list_members(admin, org_id)) == 12
    assert (await admin.put(path, json={"preview": 3, "leaving": 6})).status_code == 202
    await worker()
    assert (await read(admin, org_id, checked["id"]))["counts"] == counts(left=6, unchanged=5)
    assert {member["name"] for member in await list_members(admin, org_id)} == {
        admin.name,
        *(p[0] for p in people_[5:]),
    }


async def test_canceled_import_has_no_effect(admin: Person, org_id: str, worker: Work) -> None:
    sheet = xlsx([(fresh_name(), fresh_phone(), "甲")])
    checked = await check(admin, org_id, worker, sheet, unknown_units="create")
    path = f"/v1/orgs/{org_id}/imports/{checked['id']}"
    assert (await admin.put(f"{path}/confirmation", json={"preview": 1})).status_code == 202
    assert (await admin.delete(path)).status_code == 204
    await worker()
    assert (await read(admin, org_id, checked["id"]))["state"] == "canceled"
    assert len(await list_members(admin, org_id)) == 1
    assert (await admin.delete(path)).status_code == 204
    late = await admin.put(f"{path}/confirmation", json={"preview": 1})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/import-not-ready")
    done = await merge(admin, org_id, worker, sheet, unknown_units="create")
    over = await admin.delete(f"/v1/orgs/{org_id}/imports/{done['id']}")
    assert (over.status_code, over.json()["type"]) == (409, "/problems/import-settled")


async def test_import_is_visible_only_to_admins_of_its_org(
    admin: Person, org_id: str, worker: Work, people: People
) -> None:
    checked = await check(admin, org_id, worker, xlsx([(fresh_name(), fresh_phone(), "甲")]))
    stranger = await people.register()
    own = (await stranger.create_org())["id"]
    for path in ("", "/rows", "/failed-rows.xlsx", "/progress"):
        for org in (org_id, own):
            assert (await stranger.get(f"/v1/orgs/{org}/imports/{checked['id']}{path}")).status_code == 404
    beyond = {"cursor": encode_cursor((2**40,))}
    rows = await admin.get(f"/v1/orgs/{org_id}/imports/{checked['id']}/rows", params=beyond)
    assert (rows.status_code, rows.json()["items"]) == (200, [])
    assert (await stranger.delete(f"/v1/orgs/{own}/imports/{checked['id']}")).status_code == 404
    assert (
        await stranger.put(f"/v1/orgs/{own}/imports/{checked['id']}/confirmation", json={"preview": 1})
    ).status_code == 404
    assert [item["id"] for item in (await admin.get(f"/v1/orgs/{org_id}/imports")).json()["items"]] == [checked["id"]]


@pytest.mark.parametrize(
    ("form", "pointer"),
    [({"mode": "erase"}, "/mode"), ({"unknown_units": "x"}, "/unknown_units"), ({"dry_run": "1"}, "/dry_run")],
)
async def test_form_with_undeclared_values_is_refused(
    admin: Person, org_id: str, form: dict[str, str], pointer: str
) -> None:
    refused = await upload(admin, org_id, xlsx([]), **form)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_import_upload_that_is_no_form_with_a_file_is_refused(admin: Person, org_id: str) -> None:
    path = f"/v1/orgs/{org_id}/imports"
    assert (await admin.post(path, json={})).status_code == 415
    assert (await admin.post(path, files={"other": b"x"})).status_code == 422
    broken = await admin.post(path, content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert broken.status_code == 400


async def test_progress_stream_ends_when_the_import_is_ready(admin: Person, org_id: str, worker: Work) -> None:
    checked = await check(admin, org_id, worker, xlsx([(fresh_name(), fresh_phone(), "甲")]))
    stream = await admin.get(f"/v1/orgs/{org_id}/imports/{checked['id']}/progress")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert '"state":"ready"' in stream.text


async def test_progress_stream_ends_with_the_session(app: FastAPI, people: People) -> None:
    admin = await people.register()
    org_id = (await admin.create_org())["id"]
    uploaded = await upload(admin, org_id, xlsx([(fresh_name(), fresh_phone(), "甲")]))
    path = f"/v1/orgs/{org_id}/imports/{uploaded.json()['id']}/progress"
    async with serve_app(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        headers = {"Authorization": f"Bearer {admin.token}"}
        async with client.stream("GET", path, headers=headers) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: progress"
            assert '"state":"uploaded"' in await anext(lines)
            assert (await admin.delete("/v1/me/sessions")).status_code == 204
            async with asyncio.timeout(5):
                assert [line async for line in lines if line] == []


async def test_repeated_upload_with_the_same_key_is_one_import(admin: Person, org_id: str) -> None:
    sheet = xlsx([(fresh_name(), fresh_phone(), "甲")])
    answers: list[Any] = [
        await admin.post(
            f"/v1/orgs/{org_id}/imports", files={"file": ("a.xlsx", sheet)}, headers={"Idempotency-Key": "k-1"}
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_concurrent_imports_of_an_org_add_each_person_once(admin: Person, org_id: str, worker: Work) -> None:
    people_ = [(fresh_name(), fresh_phone(), f"第{number % 5}支部") for number in range(40)]
    ids = []
    for sheet in (xlsx(people_), xlsx(people_[::-1]), xlsx(people_[:20])):
        uploaded = await upload(admin, org_id, sheet, unknown_units="create")
        ids.append(uploaded.json()["id"])
    await worker()
    for import_id in ids:
        confirmed = await admin.put(f"/v1/orgs/{org_id}/imports/{import_id}/confirmation", json={"preview": 1})
        assert confirmed.status_code == 202
    await worker()
    outcomes = [(await read(admin, org_id, import_id))["counts"] for import_id in ids]
    # The first import adds all people, or the short one adds its part. Each person is added once.
    assert sum(outcome["added"] for outcome in outcomes) == 40
    assert all(outcome["changed"] == outcome["moved"] == outcome["refused"] == 0 for outcome in outcomes)
    assert len(await list_members(admin, org_id)) == 41


async def test_failed_merge_is_repeated_completely(
    admin: Person, org_id: str, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = await check(admin, org_id, worker, xlsx([(fresh_name(), fresh_phone(), "甲")]), unknown_units="create")
    await admin.put(f"/v1/orgs/{org_id}/imports/{checked['id']}/confirmation", json={"preview": 1})
    failures = iter([True, False])
    store_row_outcomes = outcomes.store_row_outcomes

    async def fail_once(*arguments: Any, **options: Any) -> None:
        await store_row_outcomes(*arguments, **options)
        if next(failures):
            raise RuntimeError("a failure with everything written and nothing committed")

    monkeypatch.setattr(outcomes, "store_row_outcomes", fail_once)
    monkeypatch.setattr(working, "POLL_INTERVAL", timedelta(milliseconds=200))
    await worker()
    assert next(failures, None) is None
    done = await read(admin, org_id, checked["id"])
    assert (done["state"], done["counts"]) == ("done", counts(added=1))
    assert len(await list_members(admin, org_id)) == 2


async def test_import_canceled_during_the_merge_is_rolled_back(
    admin: Person, org_id: str, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = await check(admin, org_id, worker, xlsx([(fresh_name(), fresh_phone(), "甲")]), unknown_units="create")
    path = f"/v1/orgs/{org_id}/imports/{checked['id']}"
    await admin.put(f"{path}/confirmation", json={"preview": 1})
    store_row_outcomes = outcomes.store_row_outcomes

    async def cancel_during_merge(*arguments: Any, **options: Any) -> None:
        await store_row_outcomes(*arguments, **options)
        assert (await admin.get(path)).json()["state"] == "merging"
        assert (await admin.delete(path)).status_code == 204

    monkeypatch.setattr(outcomes, "store_row_outcomes", cancel_during_merge)
    await worker()
    assert (await read(admin, org_id, checked["id"]))["state"] == "canceled"
    assert len(await list_members(admin, org_id)) == 1
    assert (await admin.get(f"/v1/orgs/{org_id}/units")).json()["items"] == []
