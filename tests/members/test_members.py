"""Edits of the directory by hand: additions, edits, units, copies, disclosures (S8, S17, S18, S20)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import list_all
from tests.members.sheets import list_members
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> dict[str, Any]:
    return await admin.create_org()


async def add_person(admin: Person, org_id: str, **body: Any) -> dict[str, Any]:
    added = await admin.post(f"/v1/orgs/{org_id}/members", json={"name": fresh_name(), "phone": fresh_phone()} | body)
    assert added.status_code == 201, added.text
    member: dict[str, Any] = added.json()
    return member


async def create_unit(admin: Person, org_id: str, name: str, **body: Any) -> str:
    made = await admin.post(f"/v1/orgs/{org_id}/units", json={"name": name} | body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_added_person_is_listed_with_a_masked_phone(admin: Person, org: dict[str, Any]) -> None:
    phone = fresh_phone()
    branch = await create_unit(admin, org["id"], "第一支部")
    member = await add_person(admin, org["id"], name="解晓东", phone=f"+86 {phone}", unit_ids=[branch])
    assert member["phone"] == f"{phone[:3]}****{phone[7:]}"
    assert member["units"] == [{"id": branch, "name": "第一支部", "position": None}]
    assert (member["party"], member["at_org"], member["active"]) == (True, False, False)
    assert member["inactive_reason"] == "never-registered"
    read = await admin.get(f"/v1/orgs/{org['id']}/members/{member['id']}")
    assert read.json() == member
    assert phone not in read.text
    assert member in await list_members(admin, org["id"], q="晓东")


async def test_founding_admin_is_active_at_the_org_itself(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    (row,) = await list_members(admin, org["id"])
    assert (row["name"], row["at_org"], row["active"], row["verified"]) == (admin.name, True, True, True)


async def test_existing_phone_is_refused_with_its_member_and_the_copy_action(
    admin: Person, org: dict[str, Any]
) -> None:
    phone = fresh_phone()
    first = await create_unit(admin, org["id"], "甲支部")
    second = await create_unit(admin, org["id"], "乙支部")
    member = await add_person(admin, org["id"], phone=phone, unit_ids=[first])
    again = await admin.post(
        f"/v1/orgs/{org['id']}/members", json={"name": "另一人", "phone": phone, "unit_ids": [second]}
    )
    assert again.status_code == 409
    problem = again.json()
    assert problem["type"] == "/problems/phone-exists"
    assert problem["member"]["id"] == member["id"]
    copied = await admin.request(problem["copy"]["method"], problem["copy"]["href"], json={"unit_id": second})
    assert copied.status_code == 201
    assert [unit["id"] for unit in copied.json()["units"]] == sorted([first, second]) or len(
        copied.json()["units"]
    ) == 2
    # Copying again changes nothing.
    once_more = await admin.post(problem["copy"]["href"], json={"unit_id": second})
    assert once_more.json() == copied.json()


async def test_concurrent_additions_of_a_phone_create_one_row(
    admin: Person, org: dict[str, Any], db: AsyncConnection
) -> None:
    phone = fresh_phone()
    body = {"name": fresh_name(), "phone": phone}
    answers = await asyncio.gather(*(admin.post(f"/v1/orgs/{org['id']}/members", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert len(await list_members(admin, org["id"], q=body["name"])) == 1


async def test_person_outside_the_party_is_refused_by_a_party_org(
    admin: Person, org: dict[str, Any], people: People
) -> None:
    body = {"name": fresh_name(), "phone": fresh_phone(), "party": False}
    refused = await admin.post(f"/v1/orgs/{org['id']}/members", json=body)
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/party-members-only"
    assert refused.json()["org_kind"] == "outside-party"
    other = await people.register(party=False)
    outside = await other.create_org(name=f"测试市{body['phone']}党外人士学习组织", kind="outside-party")
    added = await other.post(f"/v1/orgs/{outside['id']}/members", json=body | {"party": None})
    assert added.status_code == 201
    assert added.json()["party"] is False


async def test_units_are_set_in_one_call_and_past_memberships_remain(
    admin: Person, org: dict[str, Any], db: AsyncConnection
) -> None:
    first, second, third = [await create_unit(admin, org["id"], f"位置{number}") for number in "一二三"]
    member = await add_person(admin, org["id"], unit_ids=[first, second])
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    moved = await admin.put(f"{path}/units", json={"unit_ids": [second, third]})
    assert {unit["id"] for unit in moved.json()["units"]} == {second, third}
    assert moved.json()["at_org"] is False
    nowhere = await admin.put(f"{path}/units", json={"unit_ids": []})
    assert (nowhere.json()["units"], nowhere.json()["at_org"]) == ([], True)
    unknown = await admin.put(f"{path}/units", json={"unit_ids": [org["id"]]})
    assert (unknown.status_code, unknown.json()["type"]) == (422, "/problems/unknown-unit")
    ended = await db.scalar(
        text("SELECT count(*) FROM unit_memberships WHERE member_id = :id AND until IS NOT NULL"), {"id": member["id"]}
    )
    assert ended == 3


async def test_admin_row_remains_at_the_org_itself(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    branch = await create_unit(admin, org["id"], "机关支部")
    (row,) = await list_members(admin, org["id"])
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    moved = await admin.put(f"{path}/units", json={"unit_ids": [branch]})
    assert (moved.json()["units"][0]["id"], moved.json()["at_org"]) == (branch, True)
    removed = await admin.delete(path)
    assert (removed.status_code, removed.json()["type"]) == (409, "/problems/member-is-admin")
    phone = await admin.patch(path, json={"phone": fresh_phone()})
    assert (phone.status_code, phone.json()["type"]) == (409, "/problems/member-is-admin")


async def test_edit_of_an_old_version_is_refused(admin: Person, org: dict[str, Any]) -> None:
    member = await add_person(admin, org["id"])
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    etag = (await admin.get(path)).headers["etag"]
    first = await admin.patch(path, json={"name": "甲改名"}, headers={"If-Match": etag})
    assert (first.status_code, first.json()["name"]) == (200, "甲改名")
    second = await admin.patch(path, json={"name": "乙改名"}, headers={"If-Match": etag})
    assert (second.status_code, second.json()["type"]) == (412, "/problems/edited-meanwhile")
    assert (await admin.patch(path, json={"name": "丙改名"})).json()["name"] == "丙改名"


async def test_phone_disclosure_is_audited(admin: Person, org: dict[str, Any]) -> None:
    phone = fresh_phone()
    member = await add_person(admin, org["id"], phone=phone)
    shown = await admin.post(f"/v1/orgs/{org['id']}/members/{member['id']}/phone-disclosures")
    assert (shown.status_code, shown.json()) == (200, {"phone": phone})
    assert shown.headers["cache-control"] == "no-store"
    audit = await admin.get(f"/v1/orgs/{org['id']}/audit", params={"limit": 200})
    entries = [entry for entry in audit.json()["items"] if entry["subject_id"] == member["id"]]
    assert {entry["action"] for entry in entries} == {"member.added", "member.phone_disclosed"}
    assert phone not in audit.text


async def test_removed_person_is_not_found_and_the_phone_is_free(admin: Person, org: dict[str, Any]) -> None:
    phone = fresh_phone()
    member = await add_person(admin, org["id"], phone=phone)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404
    again = await add_person(admin, org["id"], phone=phone)
    assert again["id"] != member["id"]


async def test_restored_person_returns_to_the_previous_units(
    admin: Person, org: dict[str, Any], people: People
) -> None:
    person = await people.register()
    first, second = await create_unit(admin, org["id"], "来处"), await create_unit(admin, org["id"], "旧处")
    member = await add_person(admin, org["id"], name=person.name, phone=person.phone, unit_ids=[second])
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    await admin.put(f"{path}/units", json={"unit_ids": [first]})
    before = (await admin.get(path)).json()
    assert (await admin.post(f"{path}/restorations")).status_code == 404
    await admin.delete(path)
    removed = (await admin.get(f"/v1/orgs/{org['id']}/members/removed", params={"limit": 200})).json()["items"]
    assert (member["id"], person.name) in {(item["id"], item["name"]) for item in removed}
    restored = await admin.post(f"{path}/restorations")
    assert restored.status_code == 201
    assert {**restored.json(), "version": before["version"]} == before
    assert restored.json()["active"] is True
    # While another row has the phone, the removed row cannot be restored.
    await admin.delete(path)
    await add_person(admin, org["id"], phone=person.phone)
    refused = await admin.post(f"{path}/restorations")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/phone-exists")


async def test_registration_activates_the_row_and_removal_keeps_the_account(
    admin: Person, org: dict[str, Any], people: People
) -> None:
    phone, name = fresh_phone(), fresh_name()
    member = await add_person(admin, org["id"], phone=phone, name=name)
    person = await people.register(phone=phone, name=name)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    active = (await admin.get(path)).json()
    assert (active["active"], active["verified"], active["inactive_reason"]) == (True, True, None)
    before = (await person.get("/v1/me")).json()
    assert (await admin.delete(path)).status_code == 204
    assert (await person.get("/v1/me")).json() == before
    # A new row with the phone is active at once.
    assert (await add_person(admin, org["id"], phone=phone, name=name))["active"] is True


async def test_recycled_number_is_not_linked(admin: Person, org: dict[str, Any], people: People) -> None:
    phone = fresh_phone()
    member = await add_person(admin, org["id"], phone=phone, name="前机主")
    await people.register(phone=phone, name="新机主")
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    found = (await admin.get(path)).json()
    assert (found["active"], found["inactive_reason"]) == (False, "name-mismatch")
    # The row becomes active with the name of the phone's new owner, and inactive with another name.
    assert (await admin.patch(path, json={"name": "新 机主"})).json()["active"] is True
    assert (await admin.patch(path, json={"name": "前机主"})).json()["active"] is False


async def test_directory_is_hidden_from_strangers(admin: Person, org: dict[str, Any], people: People) -> None:
    member = await add_person(admin, org["id"])
    stranger = await people.register()
    await stranger.create_org()
    for method, path in (
        ("GET", f"/v1/orgs/{org['id']}/members"),
        ("GET", f"/v1/orgs/{org['id']}/members/{member['id']}"),
        ("DELETE", f"/v1/orgs/{org['id']}/members/{member['id']}"),
        ("POST", f"/v1/orgs/{org['id']}/members/{member['id']}/phone-disclosures"),
        ("GET", f"/v1/orgs/{org['id']}/imports/template"),
    ):
        assert (await stranger.request(method, path)).status_code == 404


@pytest.mark.parametrize("query", ["晓", "晓明", "王晓明", "wangxiao", "wxm", "WXM"])
async def test_search_finds_by_characters_pinyin_and_initials(admin: Person, org: dict[str, Any], query: str) -> None:
    if not await list_members(admin, org["id"], q="王晓明"):
        await add_person(admin, org["id"], name="王晓明")
    found = await list_members(admin, org["id"], q=query)
    assert "王晓明" in {member["name"] for member in found}
    assert len(found) < len(await list_members(admin, org["id"]))


@pytest.mark.parametrize("query", ["阿卜杜", "买买提阿卜", "买买提•阿卜杜拉", "买买提.阿", "买 买 提·阿", "提阿"])
async def test_name_search_ignores_middle_dots_and_spaces(admin: Person, org: dict[str, Any], query: str) -> None:
    if not await list_members(admin, org["id"], q="阿卜杜拉"):
        added = await add_person(admin, org["id"], name="买买提•阿卜杜拉")
        assert added["name"] == "买买提·阿卜杜拉"
    assert [member["name"] for member in await list_members(admin, org["id"], q=query)] == ["买买提·阿卜杜拉"]


async def test_search_finds_by_every_reading_and_spelling_of_u_umlaut(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    wanted = {
        "王晟": ("wangsheng", "wangcheng", "wangche"),
        "薄一": ("bo", "bao", "boyi"),
        "都兰": ("du", "dou", "dulan"),
        "阚泽": ("kan", "kanze"),
        "贠琪": ("yun", "yunqi", "yuanqi"),
        "粘恒": ("nian", "nianheng", "zhan"),
        "牟其": ("mu", "mou", "muqi"),
        "单雄": ("shan", "shanxiong", "dan"),
        "解缙": ("xie", "xiejin"),
        "仇英": ("qiu", "chou"),
        "区大": ("ou", "qu"),
        "查良": ("zha", "cha"),
        "曾巩": ("zeng", "zenggong", "cenggong"),
        "尉迟恭": ("yuchi", "weichi"),
        "万俟卨": ("moqi",),
        "吕布": ("lv", "lvbu", "lyubu", "lubu", "lü", "lu", "lb"),
        "徐略": ("xulve", "xulyue", "xulue", "xvlve"),
    }
    for name in wanted:
        await add_person(admin, org["id"], name=name)
    missed = [
        (name, typed)
        for name, spellings in wanted.items()
        for typed in spellings
        if name not in {member["name"] for member in await list_members(admin, org["id"], q=typed)}
    ]
    assert missed == []
    found = [member["name"] for member in await list_members(admin, org["id"], q="wangcheng")]
    assert found == ["王晟"]


async def test_search_finds_by_the_last_four_digits(admin: Person, org: dict[str, Any]) -> None:
    phone = fresh_phone()
    member = await add_person(admin, org["id"], phone=phone)
    assert member in await list_members(admin, org["id"], q=phone[-4:])
    assert await list_members(admin, org["id"], q=phone) == []
    assert await list_members(admin, org["id"], q=phone[-3:]) == []


async def test_search_by_the_whole_phone_finds_one_person_and_is_audited(
    people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    admin, other = await people.register(), await people.register()
    org, elsewhere = await admin.create_org(), await other.create_org()
    phone = fresh_phone()
    member = await add_person(admin, org["id"], phone=phone)
    path = f"/v1/orgs/{org['id']}/members/phone-searches"
    capsys.readouterr()
    found = await admin.post(path, json={"phone": f"+86 {phone[:3]} {phone[3:7]} {phone[7:]}"})
    assert (found.status_code, found.headers["Cache-Control"]) == (200, "no-store")
    assert found.json() == {"items": [member]}
    assert phone not in found.text + capsys.readouterr().out
    missing = await other.post(f"/v1/orgs/{elsewhere['id']}/members/phone-searches", json={"phone": phone})
    assert missing.json() == {"items": []}
    assert (await other.post(path, json={"phone": phone})).status_code == 404
    for person, of_org, subject in ((admin, org, member["id"]), (other, elsewhere, None)):
        entries = (await person.get(f"/v1/orgs/{of_org['id']}/audit")).json()["items"]
        (entry,) = (entry for entry in entries if entry["action"] == "member.searched_by_phone")
        assert (entry["subject_id"], phone in str(entry)) == (subject, False)


async def test_filters_select_the_matching_people(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    top = await create_unit(admin, org["id"], "总支", kind="general-branch")
    child = await create_unit(admin, org["id"], "下属支部", parent_id=top)
    top_member = await add_person(admin, org["id"], unit_ids=[top])
    child_member = await add_person(admin, org["id"], unit_ids=[child])

    async def ids(**query: Any) -> set[str]:
        return {member["id"] for member in await list_members(admin, org["id"], **query)}

    both = {top_member["id"], child_member["id"]}
    assert await ids(unit_id=top) == {top_member["id"]}
    assert await ids(unit_id=top, units_below=True) == both
    # A member of several units is listed once and in order, even on small pages.
    everywhere = await add_person(admin, org["id"], unit_ids=[top, child])
    path = f"/v1/orgs/{org['id']}/members"
    paged = await list_all(admin, path, unit_id=top, units_below=True, limit=1)
    assert [member["id"] for member in paged] == [top_member["id"], child_member["id"], everywhere["id"]]
    assert await ids(unit_id=top, units_below=True, party=True) == both | {everywhere["id"]}
    await admin.delete(f"{path}/{everywhere['id']}")
    assert await ids(at_org=False) == both
    assert await ids(active=False) == both
    assert not await ids(active=True) & both
    assert len(await ids(active=True)) == 1
    assert len(await ids(verified=True)) == 1
    assert len(await ids(party=True)) == 3
    assert await ids(party=False) == set()


async def test_pages_are_stable_while_rows_are_added_and_removed(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    added = [await add_person(admin, org["id"]) for _ in range(6)]
    first = (await admin.get(f"/v1/orgs/{org['id']}/members", params={"limit": 4})).json()
    # Before the next page is requested, listed people are renamed and removed, and a person is added.
    await admin.patch(f"/v1/orgs/{org['id']}/members/{first['items'][2]['id']}", json={"name": "阿改名"})
    await admin.delete(f"/v1/orgs/{org['id']}/members/{first['items'][3]['id']}")
    late = await add_person(admin, org["id"])
    rest = (
        await admin.get(f"/v1/orgs/{org['id']}/members", params={"cursor": first["next_cursor"], "limit": 50})
    ).json()
    ids_of_pages = [item["id"] for item in first["items"] + rest["items"]]
    assert len(ids_of_pages) == len(set(ids_of_pages))
    assert {member["id"] for member in added} | {late["id"]} <= set(ids_of_pages)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "张三"},
        {"name": "", "phone": "13800138000"},
        {"name": "张" * 51, "phone": "13800138000"},
        {"name": "张\x00三", "phone": "13800138000"},
        {"name": "张\u202e三", "phone": "13800138000"},
        {"name": "=1+1", "phone": "13800138000"},
        {"name": "张三", "phone": "02584567890"},
        {"name": "张三", "phone": "1.38E+10"},
        {"name": "张三", "phone": 13800138000},
        {"name": "张三", "phone": "13800138000", "unit_ids": ["x"]},
        {"name": "张三", "phone": "13800138000", "role": "admin"},
    ],
)
async def test_invalid_body_is_refused_without_echo(admin: Person, org: dict[str, Any], body: dict[str, Any]) -> None:
    refused = await admin.post(f"/v1/orgs/{org['id']}/members", json=body)
    assert refused.status_code == 422
    assert "13800138000" not in refused.text
    assert "84567890" not in refused.text
