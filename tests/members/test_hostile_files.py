"""Every hostile, broken or odd file gets its answer, has no partial effect, and the service goes on answering (S9)."""

import asyncio
import io
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.members.imports.errors import FileExhausting, SheetRefused
from app.members.imports.reader import read_sheet
from tests.members.hostile import AT_UPLOAD, BY_CHECK, BY_ROW, Case, csv_of, ods, ods_row, one_row, sheet_of, zipped
from tests.members.sheets import Work, members_of, read, rows_of, upload, xlsx
from tests.people import People, Person


def labels(cases: list[Case]) -> list[str]:
    return [case.label for case in cases]


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


@pytest.fixture(scope="module")
async def checked(admin: Person, worker: Work) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every file that is taken at all, uploaded to an org of its own and checked, several at a time."""
    uploads: dict[str, tuple[str, str]] = {}
    for case in (*BY_CHECK, *BY_ROW):
        org_id = str((await admin.create_org())["id"])
        answer = await upload(admin, org_id, case.make(), case.file_name, unknown_units="create")
        assert answer.status_code == 202, (case.label, answer.text)
        uploads[case.label] = org_id, answer.json()["id"]
    await worker()
    return {label: (org_id, await read(admin, org_id, import_id)) for label, (org_id, import_id) in uploads.items()}


@pytest.mark.parametrize("case", AT_UPLOAD, ids=labels(AT_UPLOAD))
async def test_refused_at_the_upload(admin: Person, org_id: str, case: Case) -> None:
    refused = await upload(admin, org_id, case.make(), case.file_name)
    assert (refused.status_code, refused.json()["type"]) == (422, f"/problems/{case.expected}")
    assert refused.json()["detail"]


@pytest.mark.parametrize("case", BY_CHECK, ids=labels(BY_CHECK))
async def test_refused_by_the_check(admin: Person, checked: dict[str, tuple[str, dict[str, Any]]], case: Case) -> None:
    org_id, found = checked[case.label]
    assert (found["state"], found["refusal"]["code"]) == ("refused", case.expected)
    assert found["refusal"]["title"]
    assert len(await members_of(admin, org_id)) == 1
    assert await rows_of(admin, org_id, found["id"]) == []


@pytest.mark.parametrize("case", BY_ROW, ids=labels(BY_ROW))
async def test_taken_or_refused_by_row(
    admin: Person, checked: dict[str, tuple[str, dict[str, Any]]], case: Case
) -> None:
    org_id, found = checked[case.label]
    assert found["state"] == "ready", found
    rows = await rows_of(admin, org_id, found["id"])
    problems = [row["problems"][0]["code"] if row["problems"] else "ok" for row in rows]
    assert problems == (["ok"] * len(rows) if case.expected == "ok" else list(case.expected))
    assert rows


async def test_a_hidden_row_is_imported_with_a_warning(
    admin: Person, checked: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    hidden = ("hidden row", "hidden row in ods", "row filtered away in ods", "hidden row in xls")
    for label, codes in (*((label, ["row-hidden"]) for label in hidden), ("xls", []), ("ods", [])):
        org_id, found = checked[label]
        (row,) = await rows_of(admin, org_id, found["id"])
        assert [warning["code"] for warning in row["warnings"]] == codes, label


async def test_the_numbers_of_rows_are_those_of_the_sheet(
    admin: Person, checked: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    for label, number in (("row 1048576", 1048576), ("title above the header", 4), ("plain", 2)):
        org_id, found = checked[label]
        assert [row["row_no"] for row in await rows_of(admin, org_id, found["id"])] == [number]


async def test_what_a_sheet_refers_to_is_neither_fetched_nor_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        address = "http://{}:{}/".format(*listening.getsockname())
        link = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="http://x/externalLinkPath" Target="{address}" TargetMode="External"/>'
            "</Relationships>"
        ).encode()
        formula = f'<row r="3"><c r="A3" t="str"><f>WEBSERVICE("{address}")</f><v>李娜</v></c></row>'
        sheet = zipfile.ZipFile(io.BytesIO(sheet_of(one_row() + formula)))
        sheets = {
            "xlsx": zipped(
                [
                    *((name, sheet.read(name)) for name in sheet.namelist()),
                    ("xl/worksheets/_rels/sheet1.xml.rels", link),
                    ("xl/externalLinks/_rels/externalLink1.xml.rels", link),
                ]
            ),
            "ods": ods(f"<table:table-source xlink:href='{address}' xmlns:xlink='x'/>" + ods_row()),
        }
        for kind, content in sheets.items():
            assert isinstance(await outcome(tmp_path, content, kind), int)
        with pytest.raises(TimeoutError):
            listening.accept()


async def test_too_large(admin: Person, org_id: str) -> None:
    refused = await upload(admin, org_id, bytes(22 << 20))
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")


async def test_a_stranger_uploads_nothing(admin: Person, org_id: str, people: People) -> None:
    stranger = await people.register()
    assert (await upload(stranger, org_id, xlsx([]))).status_code == 404


async def outcome(tmp_path: Path, content: bytes, kind: str, **limits: Any) -> type[SheetRefused] | int:
    path = tmp_path / "sheet"
    path.write_bytes(content)
    rows = 0
    with path.open("rb") as file:
        try:
            async for batch in read_sheet(kind, file.fileno(), **limits):
                rows += len(batch)
        except SheetRefused as refused:
            return type(refused)
    return rows


async def test_the_reading_process_ends_at_its_limit_of_time(tmp_path: Path) -> None:
    large = csv_of([("王伟", "13812345678", "甲")] * 190_000)
    assert await outcome(tmp_path, large, "csv") == 190_000
    assert await outcome(tmp_path, large, "csv", cpu_seconds=0) is FileExhausting


async def test_the_reading_process_ends_at_its_limit_of_memory(tmp_path: Path) -> None:
    content = sheet_of("".join(one_row("名" * 900, number=number) for number in range(2, 6000)))
    assert await outcome(tmp_path, content, "xlsx") == 5998
    assert await outcome(tmp_path, xlsx([("王伟", "13812345678", "甲")]), "xlsx", memory_mb=32) == 1
    assert await outcome(tmp_path, content, "xlsx", memory_mb=32) is FileExhausting


async def test_the_reading_process_knows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no environment, no file but the sheet and its pipe, and is gone when the reading is given up."""
    program = tmp_path / "look.py"
    program.write_text(
        "import json, os, sys\n"
        "files = sorted(int(name) for name in os.listdir('/proc/self/fd'))\n"
        "print(json.dumps([[1, False, json.dumps(dict(os.environ)), json.dumps(files), str(os.getpid()), '']]))\n"
        "sys.stdout.flush()\n"
        "sys.stdin.read(); import time; time.sleep(60)\n"
    )
    monkeypatch.setattr("app.members.imports.reader.PROGRAM", program)
    monkeypatch.setenv("XUEZU_INDEX_KEY", "a secret")
    sheet = tmp_path / "sheet"
    sheet.write_bytes(b"")
    with sheet.open("rb") as file:
        reading = read_sheet("csv", file.fileno())
        ((row,),) = [await anext(reading)]
        await reading.aclose()  # type: ignore[attr-defined]
    assert "XUEZU" not in row.name
    assert "a secret" not in row.name
    assert row.phone in {"[0, 1, 2]", "[0, 1, 2, 3]"}  # the third is the look itself
    assert not await asyncio.to_thread(Path(f"/proc/{row.unit}").exists)
