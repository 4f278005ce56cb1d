"""Good files with random edits: each is read or refused by a code that is declared, and the service goes on (S9).

The same few hundred every time; under XUEZU_PROOF=1 some thousands more.
"""

import io
import os
from uuid import uuid4

import pytest

from app.blind_index.keys import BlindIndexer
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.members.imports.errors import SHEET_REFUSALS, SheetRefused
from app.members.imports.reader import SheetRow
from app.members.imports.rows import stage_rows
from app.members.imports.uploads import inspect_upload
from tests.members.hostile import csv_of, ods, ods_row, workbook, xls
from tests.members.mutants import Mutant, mutants, read_all
from tests.members.sheets import HEADER, Work, check, read, upload, xlsx
from tests.people import People, fresh_name, fresh_phone

PROOF = bool(os.environ.get("XUEZU_PROOF"))
READ, UPLOADED = (6000, 300) if PROOF else (300, 8)


def seeds() -> list[Mutant]:
    rows = [(fresh_name(), fresh_phone(), f"甲总支/第{number}支部", "是") for number in range(12)]
    header = (*HEADER, "是否党员")
    return [
        Mutant("xlsx", xlsx(rows, header)),
        Mutant("xlsx", workbook([("说明", [("读我",)]), ("人员", [("花名册",), header, *rows])], merge="A1:C1")),
        Mutant("xls", xls([header, *rows])),
        Mutant("ods", ods(ods_row() * 5 + ods_row('table:visibility="collapse"'))),
        Mutant("csv", csv_of(rows)),
        Mutant("csv", csv_of(rows, encoding="gb18030", delimiter="\t")),
    ]


def taken(files: list[Mutant]) -> list[Mutant]:
    """Those whose outside passes; the others are refused by a code of the upload's."""
    passed = []
    for kind, content in files:
        try:
            assert inspect_upload(f"a.{kind}", io.BytesIO(content)) == kind
        except SheetRefused:
            continue
        passed.append(Mutant(kind, content))
    return passed


def test_the_files_that_are_edited_are_good_ones() -> None:
    assert [reading.answer for reading in read_all(seeds())] == [{"done": True}] * len(seeds())


@pytest.mark.parametrize("part", range(10 if PROOF else 1))
def test_edited_files_are_read_or_refused(settings: Settings, part: int) -> None:
    files = taken(list(mutants(seeds(), READ // (10 if PROOF else 1), part)))
    assert len(files) > READ // 40
    seen, cipher = set(), Cipher(settings)
    for reading in read_all(files):
        if reading.answer is None:
            assert reading.ended != 0  # a limit, or a parser that took the child with it: refused by the parent
            seen.add("died")
        else:
            code = reading.answer.get("refused", "done")
            assert code == "done" or code in SHEET_REFUSALS
            seen.add(code)
        rows = [SheetRow(*row) for row in reading.rows]
        staged = stage_rows(BlindIndexer(cipher), uuid4(), True, rows, [uuid4() for _ in rows])
        assert all((row.name and row.phone_index and row.unit_path) or row.problems for row in staged)
    assert {"done", "file-damaged", "header-missing"} <= seen


async def test_edited_files_over_http(people: People, worker: Work) -> None:
    admin = await people.register()
    imports = {}
    for kind, content in mutants(seeds(), UPLOADED, 77):
        org_id = (await admin.create_org())["id"]
        answer = await upload(admin, org_id, content, f"a.{kind}", unknown_units="create")
        if answer.status_code == 202:
            imports[org_id] = answer.json()["id"]
        else:
            assert answer.json()["type"].removeprefix("/problems/") in SHEET_REFUSALS
    await worker()
    assert imports
    for org_id, import_id in imports.items():
        assert (await read(admin, org_id, import_id))["state"] in {"ready", "refused"}
    plain = xlsx([(fresh_name(), fresh_phone(), "甲")])
    assert (await check(admin, org_id, worker, plain, unknown_units="create"))["counts"]["added"] == 1
