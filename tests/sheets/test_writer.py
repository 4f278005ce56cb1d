"""Files of rows, read back by programs of others (openpyxl, calamine): what each cell is, and how the sheet behaves."""

import csv
import io
import sys
import tracemalloc
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from app.sheets.layout import CHARTED, Cell, Choices, Column, Layout, Outlet, Page
from app.sheets.writer import open_writer
from tests.members.sheets import open_xlsx

COLUMNS = (Column("name"), Column("figure", 9))
PLAIN = Layout("Sheet:1", COLUMNS)
HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", "＝1+1", 'a"b,c\nd', "<&>", "𠮷", "  x ")


def written(form: str, layout: Layout, *rows: Sequence[Cell]) -> bytes:
    outlet = Outlet()
    writer = open_writer(form, layout, outlet)
    writer.write(rows)
    writer.finish()
    return outlet.take()


def values(sheet: Any) -> list[list[Cell]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_nothing_that_somebody_typed_is_a_formula() -> None:
    rows = [(typed, -5) for typed in HOSTILE]
    text = written("csv", PLAIN, *rows).decode("utf-8-sig")
    read = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [row[1] for row in read] == ["-5"] * len(rows)
    for typed, (cell, _) in zip(HOSTILE, read, strict=True):
        dangerous = typed[0] in "=+-@\t\r＝"
        assert cell == ("'" + typed if dangerous else typed)
    book = open_xlsx(written("xlsx", PLAIN, *rows))
    assert book.active.title == "Sheet 1"
    for typed, (cell, figure) in zip(HOSTILE, list(book.active.iter_rows())[1:], strict=True):
        assert (cell.value.replace("\r", "\n"), cell.data_type) == (typed.replace("\r", "\n"), "s")
        assert cell.number_format == "@"
        assert (figure.value, figure.data_type) == (-5, "n")


def test_another_program_reads_the_same_cells() -> None:
    rows = [("13800138000", 0), ("0258", 1.5), ("_x0041_", None), ("a\x07b", 2)]
    layout = Layout("表", (*COLUMNS, Column("day")))
    content = written("xlsx", layout, *[(*row, date(2026, 1, 31)) for row in rows])
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


def test_headings_stay_in_sight_and_columns_have_their_widths() -> None:
    sheet = open_xlsx(written("xlsx", PLAIN, ("a", 1))).active
    assert sheet.freeze_panes == "A2"
    assert [int(sheet.column_dimensions[letter].width) for letter in "AB"] == [16, 9]
    assert sheet["A1"].font.bold
    assert sheet["A1"].fill.fgColor.rgb == "FFC00000"


def test_a_sheet_to_fill_in_keeps_leading_zeros_and_offers_choices() -> None:
    columns = (
        Column("phone", 10, comment="required"),
        Column("unit", 11, choices=Choices(["甲", "=乙"], only=False, sheet="units")),
        Column("party", 12, choices=Choices(["yes", "no"])),
        Column("nothing to choose", 13, choices=Choices([], sheet="none")),
    )
    layout = Layout("people", columns, fill_in=True, pages=[Page("guide", ["=one", "two"])])
    book = open_xlsx(written("xlsx", layout, ("013800138000",)))
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
def test_a_chart_keeps_a_copy_of_the_rows_that_it_shows(extra: int) -> None:
    told: list[int] = []

    def chart(book: Any, paper: Any, rows: int) -> None:
        told.append(rows)
        bars = book.add_chart({"type": "column"})
        name = paper.get_name()
        bars.add_series({"categories": [name, 1, 0, 2, 0], "values": [name, 1, 1, 2, 1]})
        paper.insert_chart("D2", bars)

    rows: list[tuple[Cell, ...]] = [("=1+1", 3), ("b", None), *(("c", 1) for _ in range(CHARTED - 2 + extra))]
    sheet = open_xlsx(written("xlsx", Layout("charted", COLUMNS, chart=chart), *rows)).active
    assert told == [CHARTED]
    assert values(sheet)[1:] == [list(row) for row in rows]
    assert sheet["A2"].data_type == "s"
    (drawn,) = sheet._charts
    series = drawn.series[0]
    assert [point.v for point in series.cat.strRef.strCache.pt] == ["=1+1", "b"]
    assert [point.v for point in series.val.numRef.numCache.pt] == [3]


def test_an_empty_sheet_with_a_chart_has_its_headings() -> None:
    layout = Layout("charted", COLUMNS, chart=lambda _, __, ___: None)
    assert values(open_xlsx(written("xlsx", layout)).active) == [["name", "figure"]]


@pytest.mark.parametrize("form", ["xlsx", "csv"])
def test_memory_does_not_grow_with_the_rows_and_nothing_is_put_on_a_disk(form: str) -> None:
    opened: list[str] = []
    watching = True

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in {"open", "os.open", "tempfile.mkstemp"}:
            opened.append(str(arguments[0]))

    outlet, batch = Outlet(), [("王小明" * 5, number) for number in range(1000)]
    written(form, PLAIN, ("warm", 1))
    sys.addaudithook(see)
    tracemalloc.start()
    try:
        writer = open_writer(form, PLAIN, outlet)
        peaks = []
        for _ in range(4):
            tracemalloc.reset_peak()
            for _ in range(10):
                writer.write(batch)
                outlet.take()
            peaks.append(tracemalloc.get_traced_memory()[1])
        writer.finish()
    finally:
        watching = False
        tracemalloc.stop()
    assert opened == []
    assert peaks[-1] < peaks[0] * 1.2
