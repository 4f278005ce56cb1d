"""Files of rows, read by independent libraries (openpyxl, calamine): the type of each cell and the sheet's settings."""

import csv
import io
import sys
import tracemalloc
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from app.sheets.layout import MAX_CHART_ROWS, ByteBuffer, Cell, Choices, Column, Layout, Page
from app.sheets.writer import open_writer
from tests.members.sheets import open_xlsx

COLUMNS = (Column("name"), Column("figure", 9))
PLAIN = Layout("Sheet:1", COLUMNS)
HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", "＝1+1", 'a"b,c\nd', "<&>", "𠮷", "  x ")


def write_file(file_format: str, layout: Layout, *rows: Sequence[Cell]) -> bytes:
    buffer = ByteBuffer()
    writer = open_writer(file_format, layout, buffer)
    writer.write_rows(rows)
    writer.finish()
    return buffer.take()


def read_values(sheet: Any) -> list[list[Cell]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_typed_text_never_becomes_a_formula() -> None:
    rows = [(typed, -5) for typed in HOSTILE]
    text = write_file("csv", PLAIN, *rows).decode("utf-8-sig")
    read = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [row[1] for row in read] == ["-5"] * len(rows)
    for typed, (cell, _) in zip(HOSTILE, read, strict=True):
        dangerous = typed[0] in "=+-@\t\r＝"
        assert cell == ("'" + typed if dangerous else typed)
    book = open_xlsx(write_file("xlsx", PLAIN, *rows))
    assert book.active.title == "Sheet 1"
    for typed, (cell, figure) in zip(HOSTILE, list(book.active.iter_rows())[1:], strict=True):
        assert (cell.value.replace("\r", "\n"), cell.data_type) == (typed.replace("\r", "\n"), "s")
        assert cell.number_format == "@"
        assert (figure.value, figure.data_type) == (-5, "n")


def test_cells_read_by_another_program_are_the_same() -> None:
    rows = [("13800138000", 0), ("0258", 1.5), ("_x0041_", None), ("a\x07b", 2)]
    layout = Layout("表", (*COLUMNS, Column("day")))
    content = write_file("xlsx", layout, *[(*row, date(2026, 1, 31)) for row in rows])
    read = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    assert read[0] == ["name", "figure", "day"]
    day = date(2026, 1, 31)
    assert read[1:] == [
        ["13800138000", 0.0, day],
        ["0258", 1.5, day],
        ["_x0041_", "", day],
        ["a\x07b", 2.0, day],
    ]
    assert open_xlsx(content).active["C2"].number_format == "yyyy-mm-dd"


def test_headings_are_frozen_and_columns_have_their_widths() -> None:
    sheet = open_xlsx(write_file("xlsx", PLAIN, ("a", 1))).active
    assert sheet.freeze_panes == "A2"
    assert [int(sheet.column_dimensions[letter].width) for letter in "AB"] == [16, 9]
    assert sheet["A1"].font.bold
    assert sheet["A1"].fill.fgColor.rgb == "FFC00000"


def test_form_keeps_leading_zeros_and_offers_choices() -> None:
    columns = (
        Column("phone", 10, comment="required"),
        Column("unit", 11, choices=Choices(["甲", "=乙"], strict=False, sheet="units")),
        Column("party", 12, choices=Choices(["yes", "no"])),
        Column("nothing to choose", 13, choices=Choices([], sheet="none")),
    )
    layout = Layout("people", columns, is_form=True, pages=[Page("guide", ["=one", "two"])])
    book = open_xlsx(write_file("xlsx", layout, ("013800138000",)))
    sheet = book["people"]
    assert {sheet.column_dimensions[letter].number_format for letter in "ABCD"} == {"@"}
    assert sheet["A1"].comment.text == "required"
    rules = {str(rule.sqref): rule for rule in sheet.data_validations.dataValidation}
    assert (rules["B2:B100001"].formula1, rules["B2:B100001"].errorStyle) == ("units!$A$1:$A$2", "information")
    assert (rules["C2:C100001"].formula1, rules["C2:C100001"].errorStyle) == ('"yes,no"', None)
    assert [(found.title, found.sheet_state) for found in book] == [
        ("people", "visible"),
        ("guide", "visible"),
        ("units", "hidden"),
    ]
    for title, texts in (("guide", ["=one", "two"]), ("units", ["甲", "=乙"])):
        assert [(cell.value, cell.data_type) for cell in book[title]["A"]] == [(text, "s") for text in texts]


@pytest.mark.parametrize("extra", [0, 5])
def test_chart_contains_a_copy_of_its_rows(extra: int) -> None:
    row_counts: list[int] = []

    def chart(book: Any, worksheet: Any, rows: int) -> None:
        row_counts.append(rows)
        bars = book.add_chart({"type": "column"})
        name = worksheet.get_name()
        bars.add_series({"categories": [name, 1, 0, 2, 0], "values": [name, 1, 1, 2, 1]})
        worksheet.insert_chart("D2", bars)

    rows: list[tuple[Cell, ...]] = [("=1+1", 3), ("b", None), *(("c", 1) for _ in range(MAX_CHART_ROWS - 2 + extra))]
    sheet = open_xlsx(write_file("xlsx", Layout("charted", COLUMNS, chart=chart), *rows)).active
    assert row_counts == [MAX_CHART_ROWS]
    assert read_values(sheet)[1:] == [list(row) for row in rows]
    assert sheet["A2"].data_type == "s"
    (chart_read,) = sheet._charts
    series = chart_read.series[0]
    assert [point.v for point in series.cat.strRef.strCache.pt] == ["=1+1", "b"]
    assert [point.v for point in series.val.numRef.numCache.pt] == [3]


def test_empty_sheet_with_chart_has_its_headings() -> None:
    layout = Layout("charted", COLUMNS, chart=lambda _, __, ___: None)
    assert read_values(open_xlsx(write_file("xlsx", layout)).active) == [["name", "figure"]]


@pytest.mark.parametrize("file_format", ["xlsx", "csv"])
def test_memory_stays_constant_and_no_file_is_written(file_format: str) -> None:
    opened: list[str] = []
    watching = True

    def record_opened_file(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in {"open", "os.open", "tempfile.mkstemp"}:
            opened.append(str(arguments[0]))

    buffer, batch = ByteBuffer(), [("王小明" * 5, number) for number in range(1000)]
    write_file(file_format, PLAIN, ("warm", 1))
    sys.addaudithook(record_opened_file)
    tracemalloc.start()
    try:
        writer = open_writer(file_format, PLAIN, buffer)
        peaks = []
        for _ in range(4):
            tracemalloc.reset_peak()
            for _ in range(10):
                writer.write_rows(batch)
                buffer.take()
            peaks.append(tracemalloc.get_traced_memory()[1])
        writer.finish()
    finally:
        watching = False
        tracemalloc.stop()
    assert opened == []
    assert peaks[-1] < peaks[0] * 1.2
