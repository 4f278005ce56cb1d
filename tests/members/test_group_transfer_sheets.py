"""People of a transfer who are named by a sheet of names and phones (S20)."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from app.members.group_transfers import sheets
from tests.acts import Json, add_member, get_body, get_refusal, list_actions
from tests.members import hostile
from tests.members.sheets import xlsx
from tests.members.workbooks import by_openpyxl, csv, in_all_formats
from tests.people import People, Person, fresh_name, fresh_phone

Directory = tuple[Person, Json, list[Json], list[str]]


@pytest.fixture
async def directory(people: People) -> Directory:
    """Return the admin of an org, the org, three of its people, and their phones."""
    admin = await people.register()
    org = await admin.create_org()
    phones = [fresh_phone() for _ in range(3)]
    return admin, org, [await add_member(admin, org, name=fresh_name(), phone=phone) for phone in phones], phones


async def send(admin: Person, org: Json, content: bytes, name: str = "people.xlsx", **form: str) -> httpx.Response:
    path = f"/v1/orgs/{org['id']}/group-transfers/sheets"
    return await admin.post(path, files={"file": (name, content)}, data=form)


async def match(admin: Person, org: Json, content: bytes, name: str = "people.xlsx") -> Json:
    found: Json = get_body(await send(admin, org, content, name))
    return found


def list_codes(found: Json) -> list[tuple[int, list[str]]]:
    """Return the number of each row that names no person, with the codes of the reasons."""
    return [(each["row"]["row_no"], [reason["code"] for reason in each["reasons"]]) for each in found["unmatched"]]


def list_ids(found: Json) -> list[str]:
    return [each["member_id"] for each in found["people"]]


async def test_names_and_phones_of_each_format_find_the_people_for_a_request(
    directory: Directory, people: People
) -> None:
    admin, org, members, phones = directory
    other = await (await people.register()).create_org()
    rows = [["转出名单"], ["序号", "名字", "手机"]]
    rows += [[str(place), member["name"], phones[place]] for place, member in enumerate(members)]
    for writer, (kind, content) in in_all_formats(rows).items():
        found = await match(admin, org, content, f"a.{kind}")
        assert list_ids(found) == [member["id"] for member in members], writer
        assert [each["row"]["row_no"] for each in found["people"]] == [3, 4, 5]
        assert found["unmatched"] == []
    body = {"org_id": other["id"], "member_ids": list_ids(found)}
    path = f"/v1/orgs/{org['id']}/group-transfers"
    assert get_body(await admin.post(f"{path}/previews", json=body))["people"] == 3
    assert get_body(await admin.post(path, json=body), 201)["people"] == 3


async def test_rows_that_name_nobody_have_their_place_and_all_reasons(directory: Directory, people: People) -> None:
    admin, org, members, phones = directory
    stranger = await people.register()
    elsewhere, of_other, removed = await stranger.create_org(), fresh_phone(), fresh_phone()
    await add_member(stranger, elsewhere, name="欧阳明", phone=of_other)
    gone = await add_member(admin, org, name="司马亮", phone=removed)
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{gone['id']}"), 204)
    spaced = f"{members[0]['name'][0]} {members[0]['name'][1:]}"
    first = [
        ("姓名", "手机号码"),
        (spaced, f"{phones[0][:3]} {phones[0][3:7]} {phones[0][7:]}"),
        ("另一人", phones[1]),
        ("", ""),
        ("欧阳明", of_other),
        ("司马亮", removed),
        ("王小明", "1380013"),
        ("", phones[2]),
        ("", ""),
        (members[0]["name"], phones[0]),
        ("王小明", ""),
        ("合计", "9"),
    ]
    second = [("姓名", "联系电话"), (), (members[2]["name"], phones[2])]
    content = by_openpyxl({"第一批": first, "第二批": second, "说明": [("请勿外传",)]}, hidden=[2])
    found = await match(admin, org, content)
    assert list_ids(found) == [members[0]["id"], members[2]["id"]]
    assert [(each["row"], each["hidden"]) for each in found["people"]] == [
        ({"sheet": "第一批", "row_no": 2}, True),
        ({"sheet": "第二批", "row_no": 3}, False),
    ]
    assert list_codes(found) == [
        (3, ["name-is-other"]),
        (5, ["phone-not-in-directory"]),
        (6, ["phone-not-in-directory"]),
        (7, ["phone-too-short"]),
        (8, ["name-missing"]),
        (10, ["row-repeated"]),
        (11, ["phone-missing"]),
    ]
    assert {each["row"]["sheet"] for each in found["unmatched"]} == {"第一批"}
    assert found["unmatched"][0]["name"] == "另一人"
    assert (
        found["unmatched"][0]["reasons"][0]["title"] == "The person with this phone in the directory has another name"
    )
    assert found["unmatched"][3]["reasons"][0]["title"] == "Digits missing in the phone number: 4"
    assert [(each["cause"], each["count"]) for each in found["skipped"]] == [("blank", 3), ("total", 1)]
    assert [(each["name"], each["reason"]) for each in found["sheets_not_read"]] == [("说明", "no-header")]
    for phone in (*phones, of_other, removed):
        assert phone not in str(found)


async def test_exported_row_names_a_person_by_its_number(directory: Directory) -> None:
    admin, org, members, phones = directory
    fields = {"name": fresh_name(), "no_phone": True}
    without = get_body(await admin.post(f"/v1/orgs/{org['id']}/members", json=fields), 201)
    masked = [f"{phone[:3]}****{phone[-4:]}" for phone in phones]
    other = f"138****{(int(phones[1][-4:]) + 1) % 10000:04}"
    rows = [
        (members[0]["name"], masked[0], members[0]["id"]),
        (members[1]["name"], other, members[1]["id"]),
        ("另一人", masked[1], members[1]["id"]),
        (members[1]["name"], masked[1], str(uuid4())),
        (members[1]["name"], masked[1], ""),
        (without["name"], "无手机", without["id"]),
        (members[2]["name"], "无手机", members[2]["id"]),
        # A whole phone decides, whatever the number is.
        (members[2]["name"], phones[2], members[1]["id"]),
    ]
    found = await match(admin, org, xlsx(rows, ("姓名", "手机号码", "编号")))
    assert list_ids(found) == [members[0]["id"], without["id"], members[2]["id"]]
    nobody = ["person-not-in-directory"]
    assert list_codes(found) == [(3, nobody), (4, nobody), (5, nobody), (6, ["phone-masked"]), (8, nobody)]


@pytest.mark.parametrize(
    ("content", "name", "refusal"),
    [
        (csv([("姓名", "支部"), ("王伟", "甲支部")]), "a.csv", "name-or-phone-unclear"),
        (csv([("姓名", "手机号码", "手机号码"), ("王伟", "13800138000", "1")]), "a.csv", "name-or-phone-unclear"),
        (csv([("姓名", "手机号码")]), "a.csv", "no-rows"),
        (
            csv([("姓名", "手机号码")] + [("王伟", f"1380013{n:04}") for n in range(1001)]),
            "a.csv",
            "too-many-people-in-sheet",
        ),
        (b"", "a.csv", "file-empty"),
        (b"%PDF-1.7", "a.xlsx", "file-renamed"),
        (xlsx([])[:300], "a.xlsx", "file-damaged"),
        (hostile.make_encrypted_flag(), "a.xlsx", "file-encrypted"),
        (hostile.make_false_size(1 << 30), "a.xlsx", "file-bomb"),
        (b"x", "a.exe", "file-type-unknown"),
    ],
)
async def test_sheet_that_cannot_be_read_is_refused(
    directory: Directory, content: bytes, name: str, refusal: str
) -> None:
    admin, org, *_ = directory
    answer = await send(admin, org, content, name)
    assert get_refusal(answer) == (422, refusal)
    assert not {"columns", "headings", "limit"} & set(answer.json())


async def test_sheet_of_a_thousand_people_is_read_and_one_of_many_bytes_is_not(directory: Directory) -> None:
    admin, org, members, phones = directory
    rows = [("姓名", "手机号码"), *((fresh_name(), fresh_phone()) for _ in range(999)), (members[0]["name"], phones[0])]
    found = await match(admin, org, csv(rows), "a.csv")
    assert (list_ids(found), len(found["unmatched"])) == ([members[0]["id"]], 999)
    large = await send(admin, org, bytes(sheets.MAX_SHEET_BYTES + 1), "a.csv")
    assert large.status_code == 413
    path = f"/v1/orgs/{org['id']}/group-transfers/sheets"
    assert get_refusal(await admin.post(path, json={"file": "a"})) == (415, "unsupported-media-type")
    assert get_refusal(await send(admin, org, csv(rows), "a.csv", mode="x")) == (422, "invalid")
    assert get_refusal(await admin.post(path, files={"other": b"x"})) == (422, "invalid")


async def test_sheet_of_another_org_or_without_the_role_is_not_found(directory: Directory, people: People) -> None:
    admin, org, members, phones = directory
    stranger, learner = await people.register(), await people.register()
    await stranger.create_org()
    content = csv([("姓名", "手机号码"), (members[0]["name"], phones[0])])
    for person in (stranger, learner):
        assert (await send(person, org, content, "a.csv")).status_code == 404
    elsewhere = await admin.create_org()
    assert list_codes(await match(admin, elsewhere, content, "a.csv")) == [(2, ["phone-not-in-directory"])]


async def test_concurrent_sheets_are_read_side_by_side_and_a_third_is_refused(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, org, members, phones = directory
    content = csv([("姓名", "手机号码"), (members[0]["name"], phones[0])])
    both = await asyncio.gather(*(match(admin, org, content, "a.csv") for _ in range(2)))
    assert both[0] == both[1]
    monkeypatch.setattr(sheets, "_READERS", asyncio.Semaphore(0))
    refused = await send(admin, org, content, "a.csv")
    assert get_refusal(refused) == (503, "unavailable")
    assert refused.headers["Retry-After"]


async def test_sheet_changes_nothing_and_leaves_no_entry(directory: Directory) -> None:
    admin, org, members, phones = directory
    before = await list_actions(admin, org)
    await match(admin, org, csv([("姓名", "手机号码"), (members[0]["name"], phones[0])]), "a.csv")
    assert await list_actions(admin, org) == before
    assert get_body(await admin.get(f"/v1/orgs/{org['id']}/group-transfers"))["items"] == []
