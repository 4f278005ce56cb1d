"""The dialog for a sheet of people who are to go to another org."""

import re
from uuid import uuid4

from tests.acts import add_member
from tests.console.conftest import ORIGIN
from tests.console.desk import HOSTILE, OpenDesk, normalize_text
from tests.people import People, fresh_phone


async def test_people_of_a_sheet_are_shown_before_the_request(people: People, open_desk: OpenDesk) -> None:
    admin, chief = await people.register(), await people.register()
    org, other = await admin.create_org(), await chief.create_org()
    phones = [fresh_phone() for _ in range(3)]
    rows = [
        await add_member(admin, org, name=name, phone=phone)
        for name, phone in zip((f"解{HOSTILE}", "欧阳明"), phones[:2], strict=True)
    ]
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/group-transfers"
    assert f'hx-get="{at}/sheets"' in await desk.page(f"/console/orgs/{org['id']}/person-transfers")
    assert 'name="file"' in await desk.part(f"{at}/sheets")
    typed = [("姓名", "手机"), (rows[0]["name"], phones[0]), ("另一人", phones[1]), (f"陌生{HOSTILE}", phones[2])]
    sheet = "\n".join(map(",".join, typed)).encode()

    async def send(content: bytes, name: str = "people.csv") -> tuple[int, str]:
        sent = await desk.visitor.post(
            f"{at}/sheets", files={"file": (name, content)}, headers=ORIGIN | {"HX-Request": "true"}
        )
        assert "<script>alert" not in sent.text
        return sent.status_code, normalize_text(sent.text)

    status, shown = await send(sheet)
    assert status == 200
    for expected in ("表格中的 1 人在通讯录中", rows[0]["name"], "2 行没有对应的人", "另一人"):
        assert expected in shown
    for expected in ("通讯录中此手机号码的姓名不同", "通讯录中没有此手机号码", f'hx-post="{at}/new"'):
        assert expected in shown
    assert re.findall(r'name="member_id" value="([^"]+)"', shown) == [rows[0]["id"]]
    status, shown = await send("姓名,手机\n另一人,13800138001".encode())
    assert (status, "表格中的 0 人在通讯录中" in shown, 'name="file"' in shown) == (200, True, True)
    status, shown = await send("姓名,支部\n另一人,甲支部".encode())
    assert (status, "不能确定姓名和手机号码在哪一列" in shown) == (422, True)
    status, shown = await send(b"%PDF-1.7", "people.xlsx")
    assert (status, "文件内容与扩展名不符" in shown) == (422, True)

    where = {"org_name": other["name"], "region_code": "320102"}
    many = [rows[0]["id"], *(str(uuid4()) for _ in range(999))]
    assert "将 1,000 人转到其他组织" in await desk.next(f"{at}/new", member_id=many)
    assert "将申请把 1 人转到" in await desk.next(f"{at}/previews", member_id=many, **where)
    assert "已提出" in await desk.send(at, member_id=rows[0]["id"], **where)
