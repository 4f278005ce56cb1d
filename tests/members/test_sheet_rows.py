"""The rows under the header: merged and repeated cells, error values, dates and torn quotation marks."""

import datetime
import io
import itertools
import zipfile

import pytest

from app.members.imports.parser.refusals import Refused
from tests.members.hostile import make_row, make_sheet, make_zip, part, text_cell
from tests.members.hostile import xls as make_xls
from tests.members.workbooks import HEAD, A, B, C, Result, by_openpyxl, by_xlsxwriter, csv, ods, refusal

D = ("赵敏", "13900000004", "二支部")


def test_cells_merged_downwards_are_filled() -> None:
    rows = [HEAD, A, (*B[:2], ""), C, (*D[:2], "")]
    merged = ["C2:C3", "C4:C5"]
    for kind, content in (
        ("xlsx", by_openpyxl({"a": rows}, merge=merged)),
        ("xlsx", by_xlsxwriter({"a": rows}, merge=merged)),
        ("ods", ods({"a": rows}, merge={(1, 2): 2, (3, 2): 2})),
    ):
        assert Result(kind, content).people == [A, B, C, D], kind
    below = [(), (), HEAD, A, B, ("王芳", C[1], ""), (*D[:2], "")]
    read = Result("xlsx", by_openpyxl({"a": below}, merge=["C5:C6"]))
    assert (read.numbers, read.people[2:]) == ([4, 5, 6, 7], [("王芳", C[1], "一支部"), (*D[:2], "")])


def test_person_whose_cells_are_merged_over_several_units_is_in_all_of_them() -> None:
    rows = [HEAD, A, ("", "", "二支部"), C]
    read = Result("xlsx", by_openpyxl({"a": rows}, merge=["A2:A3", "B2:B3"]))
    assert read.people == [A, (*A[:2], "二支部"), C]


@pytest.mark.parametrize(
    "ditto",
    [
        *("同上", "同 上", "（同上）", "(同上)", "同上。", "同上支部", "同上一行", "同前", "同"),
        *("仝", "々", "↑", "ditto"),
        *("〃", "-〃-", "〞", "〟", "″", "“", "”", "“”", '"', '""', "＂", "''", "´´", "′′", "、、"),
    ],
)
def test_ditto_mark_is_the_row_above(ditto: str) -> None:
    rows = [HEAD, A, (*B[:2], ditto), ("王芳", C[1], ditto), ("", "", "二支部")]
    assert Result("xlsx", by_openpyxl({"a": rows})).people[:3] == [A, B, ("王芳", C[1], "一支部")]
    assert Result("xlsx", by_openpyxl({"a": [HEAD, (*A[:2], ditto)]})).people == [(*A[:2], "")]  # nothing is above


def test_name_of_a_unit_is_no_ditto_mark() -> None:
    people = [A, (*B[:2], "同心支部"), (*C[:2], "(一)支部"), (*D[:2], "“红旗”支部")]
    assert Result("csv", csv([HEAD, *people])).people == people


def test_empty_unit_is_filled_only_by_choice() -> None:
    content = by_openpyxl({"a": [HEAD, A, (*B[:2], ""), C, (*D[:2], "")]})
    assert [unit for _, _, unit in Result("xlsx", content).people] == ["一支部", "", "二支部", ""]
    filled = Result("xlsx", content, fill_units=True)
    assert filled.people == [A, B, C, D]
    assert [row[-1] for row in filled.rows] == [[], ["unit-filled-down"], [], ["unit-filled-down"]]


def test_hidden_row_below_blank_rows_is_that_of_the_sheet() -> None:
    rows = [("", "", ""), HEAD, A, ("", "", ""), B, C]
    old = make_xls(rows, hide=4)
    row = "<table:table-row{}>{}</table:table-row>"
    cells = [f"<table:table-cell office:value-type='string'><text:p>{text}</text:p></table:table-cell>" for text in B]
    new = zipfile.ZipFile(io.BytesIO(ods({"a": rows})))
    plain, hidden = row.format("", "".join(cells)), row.format(' table:visibility="collapse"', "".join(cells))
    content = new.read("content.xml").decode().replace("'string'", '"string"')
    plain, hidden = (text.replace("'string'", '"string"') for text in (plain, hidden))
    assert plain in content
    parts = [(name, new.read(name)) for name in ("mimetype", "META-INF/manifest.xml")]
    document = make_zip([*parts, ("content.xml", content.replace(plain, hidden).encode())])
    for kind, file in (("xls", old), ("ods", document), ("xlsx", by_openpyxl({"a": rows}, hidden=[5]))):
        assert [row[0] for row in Result(kind, file).rows if row[1]] == [5], kind


def test_error_values_are_read_as_what_they_are() -> None:
    cells = f'<c r="A2" t="e"><f>NA()</f><v>#N/A</v></c>{text_cell("B2", A[1])}<c r="C2" t="e"><v>#REF!</v></c>'
    read = Result("xlsx", make_sheet(f'<row r="2">{cells}</row>{make_row(number=3)}'))
    assert read.people[0] == ("#N/A", A[1], "#REF!")
    assert Result("ods", ods({"a": [HEAD, ("#N/A", *A[1:])]})).people == [("#N/A", *A[1:])]
    beside = [(), ("", "", *HEAD), ("", "", "#N/A", *A[1:])]
    assert Result("xlsx", by_openpyxl({"a": beside})).people == [("#N/A", *A[1:])]


def test_unit_that_became_a_date_is_marked() -> None:
    read = Result("xlsx", by_openpyxl({"a": [HEAD, (*A[:2], datetime.date(2026, 3, 1)), B]}))
    assert (read.people[0][2], read.rows[0][-1], read.rows[1][-1]) == ("3月1日", ["cell-date:unit"], [])
    for text in ("3月1日", "2026-03-01", "2026/3/1", "1-Mar"):
        assert Result("csv", csv([HEAD, (*A[:2], text)])).rows[0][-1] == ["cell-date:unit"]
    assert Result("csv", csv([HEAD, (*A[:2], "1-1支部")])).rows[0][-1] == []


def test_texts_that_systems_protect_are_read() -> None:
    protected = ('张伟,="13900000001",="一支部"', '李娜,"=""13900000002""",一支部', "王芳,13900000003\t,'+二支部")
    content = "\r\n".join([",".join(HEAD), *protected])
    assert Result("csv", content.encode()).people == [A, B, (*C[:2], "+二支部")]


def test_invisible_characters_at_the_ends_are_no_part_of_a_text() -> None:
    read = Result("csv", csv([HEAD, ("张伟\u200b", f"\ufeff{A[1]}\u202c", "\u3000一支部\u00ad")]))
    assert read.people == [A]


TORN = [
    ('张伟,13900000001,一支部,"在职\r\n李娜,13900000002,一支部,\r\n王芳,13900000003,二支部,\r\n', 2),
    ('张伟,13900000001,一支部,\r\n李娜,13900000002,一支部,"在职\r\n王芳,13900000003,二支部,"离职\r\n', 3),
    ('张伟,13900000001,一支部,"在职\r\n李娜,13900000002,一支部,离职"\r\n', 2),
    ('"张伟,13900000001,一支部,\r\n', 2),
]


def test_no_row_vanishes_wherever_two_quotation_marks_are() -> None:
    plain = "姓名,备注,手机号码,支部名称\n张伟,在职,13900000001,一支部\n李娜,,13900000002,二支部"
    for first, second in itertools.combinations(range(plain.index("张"), len(plain) + 1), 2):
        text = f'{plain[:first]}"{plain[first:second]}"{plain[second:]}'
        answer = {}
        try:
            read = Result("csv", text.encode()).rows
        except Refused as refused:
            answer = refused.answer
        if answer:
            assert answer["cause"] == "quote-open", text
            assert '"' in text.split("\n")[answer["row"] - 1], text
        else:
            assert len(read) == 2, text


@pytest.mark.parametrize(("rows", "row_no"), TORN)
def test_quotation_mark_without_partner_is_refused_with_its_row(rows: str, row_no: int) -> None:
    answer = refusal("csv", f"姓名,手机号码,支部名称,备注\r\n{rows}".encode())
    assert answer == {"refused": "file-damaged", "row": row_no, "cause": "quote-open"}


def test_quotation_marks_that_belong_to_a_cell_are_read() -> None:
    rows = (
        '张伟,13900000001,一支部,"第一行\r\n第二行，13900000009"\r\n'
        '李娜,13900000002,一支部,"a"b\r\n王芳,13900000003,二支部,5"\r\n'
    )
    read = Result("csv", f"姓名,手机号码,支部名称,备注\r\n{rows}".encode())
    assert (read.people, read.numbers) == ([A, B, C], [2, 3, 4])  # numbers as in a spreadsheet program


def test_error_values_of_an_old_workbook_are_read() -> None:
    content = make_xls([HEAD, ("#N/A", *A[1:]), ("#REF!", *B[1:]), A], errors={"#N/A": 0x2A, "#REF!": 0x17})
    assert [name for name, _, _ in Result("xls", content).people] == ["#N/A", "#REF!", "张伟"]


def test_details_of_a_short_old_workbook_are_read() -> None:
    """LibreOffice stores a short stream in the mini stream of the compound file."""
    content = make_xls([HEAD, ("#N/A", *A[1:]), B], hide=2, errors={"#N/A": 0x2A}, size=0)
    read = Result("xls", content)
    assert ([row[2] for row in read.rows], [row[1] for row in read.rows]) == (["#N/A", "李娜"], [False, True])


def test_error_values_of_libreoffice_are_read() -> None:
    plain = ods({"a": [HEAD, ("ERROR", *A[1:]), B]})
    cell = '<table:table-cell office:value-type="string"><text:p>ERROR</text:p></table:table-cell>'
    error = (
        '<table:table-cell office:value-type="string" office:string-value="" calcext:value-type="error"'
        ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
        "<text:p>#N/A</text:p></table:table-cell>"
    )
    packed = zipfile.ZipFile(io.BytesIO(plain))
    assert cell.encode() in packed.read("content.xml")
    parts = [(name, packed.read(name).replace(cell.encode(), error.encode())) for name in packed.namelist()]
    assert Result("ods", make_zip(parts)).people == [("#N/A", *A[1:]), B]


def test_csv_in_utf_16_is_read_without_a_byte_order_mark() -> None:
    for encoding in ("utf-16-le", "utf-16-be", "utf-16"):
        assert Result("csv", csv([HEAD, A, B], encoding=encoding)).people == [A, B], encoding
    assert Result("csv", csv([HEAD, ("张\0伟", *A[1:]), B], encoding="utf-8")).people[1] == B


def test_pictures_of_a_workbook_are_not_unpacked() -> None:
    svg = b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC 'x' 'y'><svg/>"
    assert Result("xlsx", part("xl/media/image1.svg")(lambda _: svg)).people
    assert refusal("xlsx", part("xl/comments1.xml")(lambda _: svg))["refused"] == "file-has-dtd"
