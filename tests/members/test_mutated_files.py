"""Valid files with random edits: each is read or refused with a declared code, and the service continues (S9).

A run has the same few hundred files every time. XUEZU_PROOF=1 adds some thousands.
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
from tests.members.mutants import Mutant, make_mutants, parse_all
from tests.members.sheets import HEADER, Work, check, read, upload, xlsx
from tests.people import People, fresh_name, fresh_phone

PROOF = bool(os.environ.get("XUEZU_PROOF"))
READ, UPLOADED = (6000, 300) if PROOF else (300, 8)


def make_seeds() -> list[Mutant]:
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


def list_accepted(files: list[Mutant]) -> list[Mutant]:
    """Return the files that the upload accepts. The upload refuses the others with a declared code."""
    passed = []
    for kind, content in files:
        try:
            assert inspect_upload(f"a.{kind}", io.BytesIO(content)) == kind
        except SheetRefused:
            continue
        passed.append(Mutant(kind, content))
    return passed


def test_files_before_mutation_are_valid() -> None:
    answers = [reading.answer or {} for reading in parse_all(make_seeds())]
    assert [answer.get("done") for answer in answers] == [True] * len(make_seeds())


@pytest.mark.parametrize("part", range(10 if PROOF else 1))
def test_mutated_files_are_read_or_refused(settings: Settings, part: int) -> None:
    files = list_accepted(list(make_mutants(make_seeds(), READ // (10 if PROOF else 1), part)))
    assert len(files) > READ // 40
    codes, cipher = set(), Cipher(settings)
    for reading in parse_all(files):
        if reading.answer is None:
            assert reading.ended != 0  # a limit or a crash ended the process; the parent refuses the sheet
            codes.add("died")
        else:
            code = reading.answer.get("refused", "done")
            assert code == "done" or code in SHEET_REFUSALS
            codes.add(code)
        rows = [SheetRow(*row) for row in reading.rows]
        staged = stage_rows(BlindIndexer(cipher), uuid4(), True, rows, [uuid4() for _ in rows])
        assert all((row.name and row.phone_index and row.unit_path) or row.problems for row in staged)
    assert {"done", "file-damaged", "header-missing"} <= codes


async def test_mutated_files_are_read_or_refused_over_http(people: People, worker: Work) -> None:
    admin = await people.register()
    imports = {}
    for kind, content in make_mutants(make_seeds(), UPLOADED, 77):
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
