"""Hostile, broken and unusual files: each gets the expected result, has no partial effect and stops nothing (S9)."""

import asyncio
import io
import os
import socket
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.members.imports.errors import FileExhausting, SheetRefused
from app.members.imports.reader import PROGRAM, SheetReading
from tests.members.hostile import (
    AT_UPLOAD,
    BY_CHECK,
    BY_ROW,
    Case,
    csv_of,
    make_row,
    make_sheet,
    make_zip,
    ods,
    ods_row,
)
from tests.members.sheets import Work, list_members, read, rows_of, upload, xlsx
from tests.people import People, Person


def list_labels(cases: list[Case]) -> list[str]:
    return [case.label for case in cases]


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


@pytest.mark.parametrize("case", AT_UPLOAD, ids=list_labels(AT_UPLOAD))
async def test_unreadable_file_is_refused_at_upload(admin: Person, org_id: str, case: Case) -> None:
    refused = await upload(admin, org_id, case.make(), case.file_name)
    assert (refused.status_code, refused.json()["type"]) == (422, f"/problems/{case.expected}")
    assert refused.json()["detail"]


@pytest.mark.long
async def test_accepted_file_is_refused_by_the_check_or_read_by_row(admin: Person, worker: Work) -> None:
    """Each file is uploaded to an org of its own, and all are checked together.

    It is one test, so that the uploads happen only once in a parallel run.
    """
    cases = (*BY_CHECK, *BY_ROW)

    async def upload_case(case: Case) -> tuple[str, str]:
        org_id = str((await admin.create_org())["id"])
        answer = await upload(admin, org_id, case.make(), case.file_name, unknown_units="create")
        assert answer.status_code == 202, (case.label, answer.text)
        return org_id, answer.json()["id"]

    accepted = [await upload_case(case) for case in cases]
    await worker()
    uploads = dict(zip(list_labels(list(cases)), accepted, strict=True))
    found = {label: await read(admin, *upload) for label, upload in uploads.items()}
    rows = {label: await rows_of(admin, *upload) for label, upload in uploads.items()}

    assert {case.label: found[case.label]["state"] for case in BY_CHECK} == {case.label: "refused" for case in BY_CHECK}
    refusals = {case.label: found[case.label]["refusal"] for case in BY_CHECK}
    assert {label: refusal["code"] for label, refusal in refusals.items()} == {
        case.label: case.expected for case in BY_CHECK
    }
    assert all(refusal["title"] for refusal in refusals.values())
    for case in BY_CHECK:
        assert len(await list_members(admin, uploads[case.label][0])) == 1, case.label
        assert rows[case.label] == [], case.label

    assert {case.label: found[case.label]["state"] for case in BY_ROW} == {case.label: "ready" for case in BY_ROW}
    assert all(rows[case.label] for case in BY_ROW)
    assert {
        case.label: [row["problems"][0]["code"] if row["problems"] else "ok" for row in rows[case.label]]
        for case in BY_ROW
    } == {
        case.label: ["ok"] * len(rows[case.label]) if case.expected == "ok" else list(case.expected) for case in BY_ROW
    }
    # A hidden row has a warning.
    hidden = ("hidden row", "hidden row in ods", "row filtered away in ods", "hidden row in xls")
    for label, codes in (*((label, ["row-hidden"]) for label in hidden), ("xls", []), ("ods", [])):
        (row,) = rows[label]
        assert [warning["code"] for warning in row["warnings"]] == codes, label
    # Row numbers are the numbers of the sheet.
    for label, number in (("row 1048576", 1048576), ("title above the header", 4), ("plain", 2)):
        assert [row["row_no"] for row in rows[label]] == [number]


async def test_links_and_formulas_of_a_sheet_are_neither_fetched_nor_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        address = "http://{}:{}/".format(*listening.getsockname())
        link = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="http://x/externalLinkPath" Target="{address}" TargetMode="External"/>'
            "</Relationships>"
        ).encode()
        formula = f'<row r="3"><c r="A3" t="str"><f>WEBSERVICE("{address}")</f><v>李娜</v></c></row>'
        sheet = zipfile.ZipFile(io.BytesIO(make_sheet(make_row() + formula)))
        sheets = {
            "xlsx": make_zip(
                [
                    *((name, sheet.read(name)) for name in sheet.namelist()),
                    ("xl/worksheets/_rels/sheet1.xml.rels", link),
                    ("xl/externalLinks/_rels/externalLink1.xml.rels", link),
                ]
            ),
            "ods": ods(f"<table:table-source xlink:href='{address}' xmlns:xlink='x'/>" + ods_row()),
        }
        for kind, content in sheets.items():
            assert isinstance(await read_outcome(tmp_path, content, kind), int)
        with pytest.raises(TimeoutError):
            listening.accept()


async def test_too_large_upload_is_refused(admin: Person, org_id: str) -> None:
    refused = await upload(admin, org_id, bytes(22 << 20))
    problem = refused.json()
    assert (refused.status_code, problem["type"], problem["limit"]) == (413, "/problems/file-too-large", 20)
    # An upload without a declared length is read only up to the limit.
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        while True:
            read += 1
            yield bytes(1 << 20)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    refused = await admin.post(f"/v1/orgs/{org_id}/imports", content=endless(), headers=kind)
    assert (refused.status_code, refused.json()["type"], read) == (413, "/problems/file-too-large", 21)


@pytest.mark.parametrize("keyed", [False, True])
async def test_upload_writes_no_temporary_file(
    admin: Person, org_id: str, keyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    headers = {"Idempotency-Key": str(uuid4())} if keyed else {}
    sheet = csv_of() + b"\r\n" * (1 << 20)
    path = f"/v1/orgs/{org_id}/imports"
    accepted = await admin.post(path, files={"file": ("a.csv", sheet)}, headers=headers)
    assert accepted.status_code == 202
    assert (await admin.delete(f"{path}/{accepted.json()['id']}")).status_code == 204
    assert count_open_uploads() == 0


def count_open_uploads() -> int:
    """Return the number of uploaded files that this process has open."""
    count = 0
    for file in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            count += "memfd:upload" in os.readlink(f"/proc/self/fd/{file}")
    return count


async def test_upload_by_stranger_is_refused(admin: Person, org_id: str, people: People) -> None:
    stranger = await people.register()
    assert (await upload(stranger, org_id, xlsx([]))).status_code == 404


async def read_outcome(tmp_path: Path, content: bytes, kind: str, **limits: Any) -> type[SheetRefused] | int:
    path = tmp_path / "sheet"
    path.write_bytes(content)
    rows = 0
    with path.open("rb") as file:
        try:
            async for batch in SheetReading(kind, file.fileno()).read_rows(**limits):
                rows += len(batch)
        except SheetRefused as refused:
            return type(refused)
    return rows


async def test_parser_process_ends_at_its_time_limit(tmp_path: Path) -> None:
    large = csv_of([("王伟", "13812345678", "甲")] * 190_000)
    assert await read_outcome(tmp_path, large, "csv") == 190_000
    assert await read_outcome(tmp_path, large, "csv", cpu_seconds=0) is FileExhausting


async def test_parser_process_ends_at_its_memory_limit(tmp_path: Path) -> None:
    content = make_sheet("".join(make_row("名" * 900, number=number) for number in range(2, 6000)))
    assert await read_outcome(tmp_path, content, "xlsx") == 5998
    assert await read_outcome(tmp_path, xlsx([("王伟", "13812345678", "甲")]), "xlsx", memory_mb=32) == 1
    assert await read_outcome(tmp_path, content, "xlsx", memory_mb=32) is FileExhausting


async def test_parser_process_has_no_environment_and_no_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has only the sheet and its pipe open, and it has ended when the reader stops."""
    program = tmp_path / "look.py"
    program.write_text(
        "import json, os, sys\n"
        f"sys.path.append({str(PROGRAM.parent)!r})\n"
        "from sheet_parser import apply_limits\n"
        "apply_limits(1 << 30, 20)\n"
        "files = sorted(int(name) for name in os.listdir('/proc/self/fd'))\n"
        "texts = [json.dumps(dict(os.environ)), json.dumps(files), str(os.getpid()), *[''] * 4]\n"
        "print(json.dumps([[1, False, *texts, []]]))\n"
        "sys.stdout.flush()\n"
        "sys.stdin.read(); import time; time.sleep(60)\n"
    )
    monkeypatch.setattr("app.members.imports.reader.PROGRAM", program)
    monkeypatch.setenv("XUEZU_INDEX_KEY", "a secret")
    sheet = tmp_path / "sheet"
    sheet.write_bytes(b"")
    with sheet.open("rb") as file, sheet.open("rb") as other:
        os.set_inheritable(other.fileno(), True)
        reading = SheetReading("csv", file.fileno()).read_rows()
        ((row,),) = [await anext(reading)]
        await reading.aclose()  # type: ignore[attr-defined]  # an async generator
    assert "XUEZU" not in row.name
    assert "a secret" not in row.name
    assert row.phone in {"[0, 1, 2]", "[0, 1, 2, 3]"}  # the fourth descriptor is that of listdir
    assert not await asyncio.to_thread(Path(f"/proc/{row.unit}").exists)
