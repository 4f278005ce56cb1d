"""The name of an uploaded file, however a client writes it."""

import pytest

from app.web.dispositions import Disposition, read_disposition
from tests.members.sheets import HEADER, xlsx
from tests.people import People, fresh_name, fresh_phone


@pytest.mark.parametrize(
    ("written", "file_name"),
    [
        (b'filename="a.xlsx"', "a.xlsx"),
        (b"filename=a.xlsx", "a.xlsx"),
        ('filename="名单.xlsx"'.encode(), "名单.xlsx"),
        ('filename="名单.xlsx"'.encode("gbk"), "名单.xlsx"),
        ('filename="誠"; x="y"'.encode("gbk"), "誠"),  # its second byte is a backslash
        (b"filename*=UTF-8''%E5%90%8D.xlsx", "名.xlsx"),
        (b"filename=x; filename*=utf-8'zh'%E5%90%8D.xlsx", "名.xlsx"),
        (b"filename*=GBK''%C3%FB.xlsx", "名.xlsx"),
        (b'filename="=?UTF-8?B?5ZCN5Y2VLnhsc3g=?="', "名单.xlsx"),
        (b'filename="=?gbk?B?w/u1pS54bHN4?="', "名单.xlsx"),
        (rb'filename="a\"b.csv"', 'a"b.csv'),
        (rb'filename="C:\d\a.csv"', r"C:\d\a.csv"),
        (b'FileName="a; name=b"', "a; name=b"),
        (b'filename="\xff\xff\x80"', None),
        (b'filename="=?gbk?Q?=ff=ff?="', None),
    ],
)
def test_file_name_is_read_in_every_form(written: bytes, file_name: str | None) -> None:
    assert read_disposition(b'form-data; name="file"; ' + written) == Disposition(b"file", True, file_name)
    assert read_disposition(b"form-data; " + written + b"; name=file") == Disposition(b"file", True, file_name)


def test_part_without_file_name_is_a_field_unless_it_is_the_file() -> None:
    assert read_disposition(b'form-data; name="mode"') == Disposition(b"mode", False, None)
    assert read_disposition(b'form-data; name="file"') == Disposition(b"file", True, None)
    assert read_disposition(b"") == Disposition(b"", False, None)


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
@pytest.mark.parametrize(
    "written", [b'filename="\xff\xff"', b"", b"filename*=UTF-8''%FF", b'filename="=?x-no-charset?B?AAAA?="']
)
async def test_upload_with_an_unreadable_file_name_is_accepted(people: People, kind: str, written: bytes) -> None:
    admin = await people.register()
    org = (await admin.create_org())["id"]
    row = (fresh_name(), fresh_phone(), "甲")
    content = xlsx([row]) if kind == "xlsx" else "\r\n".join(map(",".join, (HEADER, row))).encode()
    disposition = b'form-data; name="file"; ' + written
    body = b"--x\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n--x--\r\n"
    headers = admin.headers | {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await admin.api.post(f"/v1/orgs/{org}/imports", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["file_name"] == "…"
