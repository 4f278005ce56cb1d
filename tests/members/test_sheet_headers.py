"""The header of a sheet: its words, its place, merged cells, several sheets, and what an admin chooses."""

import pytest

from app.members.imports.parser.headings import normalize_heading
from tests.members.hostile import workbook
from tests.members.workbooks import (
    HEAD,
    A,
    B,
    C,
    Result,
    Rows,
    by_openpyxl,
    by_xlsxwriter,
    csv,
    in_all_formats,
    ods,
    refusal,
)


@pytest.mark.parametrize(
    "header",
    [
        ("名字", "手机", "所在支部"),
        ("党员姓名", "手机号", "所在党支部"),
        ("姓 名", "联系电话", "党支部名称"),
        ("姓名", "电话号码", "部门"),
        ("姓名", "移动电话", "支部"),
        ("姓名", "手机号码", "党组织名称"),
        ("姓名", "手机号码", "所属党组织"),
        ("Name", "Phone", "Unit"),
        ("NAME", "Mobile Phone", "Department"),
        ("【姓名】", "手机号码[必填]", "★支部名称"),
        ("1.姓名", "2、手机号码", "（三）支部名称"),
        ("①姓名", "*手机号码(必填)", "支部名称:"),
        ("\ufeff姓名", "手机\u200b号码", "支部名称必填"),
        ("姓名＊", "手机号码（常用）", "支部\n名称"),
        ("姓名/Name", "手机/联系电话", "Unit 支部名称"),
        ("姓名 Name", "手机号码1", "支部（党小组）"),
        ("党员名字", "联系手机号", "所属支部名称"),
        ("中文姓名", "常用手机号码", "党支部简称"),
        ("教职工姓名", "学习强国注册手机号", "所在党组织全称"),
        ("学生姓名", "本人联系方式", "所在学习组织"),
        ("姓名", "党员联系电话", "所在党小组"),
        ("姓名", "手机、联系电话", "所在党总支、支部"),
        ("姓名", "手机或电话", "单位及部门"),
        ("姓名", "微信手机号", "所在党委（支部）"),
        ("姓名", "手机长号", "所在科室"),
        ("必填-姓名", "必填-手机号码", "（必填）支部/党小组"),
        ("Name", "Mobile No.", "Party Branch"),
        ("FULL NAME", "Contact Number", "Organization"),
    ],
)
def test_usual_words_of_a_header_are_read(header: tuple[str, ...]) -> None:
    read = Result("xlsx", by_openpyxl({"Sheet1": [header, A]}))
    assert read.people == [A]
    assert list(read.fields.values()) == ["name", "phone", "unit"]


def test_second_byte_order_mark_in_a_csv_is_ignored() -> None:
    assert Result("csv", "\ufeff".encode() + csv([HEAD, A])).people == [A]


def test_more_definite_word_is_read_and_the_others_are_named() -> None:
    header = ("姓名", "手机号码", "联系电话", "部门", "所在党支部", "备注")
    read = Result("xlsx", by_openpyxl({"a": [header, ("张伟", A[1], "025-83312345", "财务部", "一支部", "x")]}))
    assert read.people == [A]
    assert [heading for heading, field in read.fields.items() if field is None] == ["联系电话", "部门", "备注"]


@pytest.mark.parametrize(
    "others",
    [
        ("紧急联系人", "紧急联系人电话", "书记电话", "办公电话", "短号"),
        ("曾用名", "入党介绍人姓名", "学习强国账号", "常用手机号", "微信号"),
        ("党委", "党总支", "党小组", "工作单位", "填报单位"),
    ],
)
def test_columns_about_something_else_are_not_read(others: tuple[str, ...]) -> None:
    read = Result("csv", csv([(*others, "姓名", "手机", "支部"), (*["x", "13900000009"] * 3, *A)[1:]]))
    assert (read.people, [read.fields[other] for other in others]) == ([A], [None] * len(others))
    for phone in ("紧急联系人电话", "办公电话", "书记电话", "微信号"):
        assert refusal("csv", csv([("姓名", phone, "支部"), A]))["refused"] == "header-missing"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (("姓名", "联系电话", "支部名称", "联系方式"), ["联系电话", "联系方式"]),
        (("姓名", "手机", "党支部", "所在支部"), ["党支部", "所在支部"]),
    ],
)
def test_two_equally_definite_words_are_refused_with_both_names(header: tuple[str, ...], columns: list[str]) -> None:
    answer = refusal("xlsx", by_openpyxl({"a": [header, (*A, A[1])]}))
    assert (answer["refused"], answer["columns"]) == ("header-ambiguous", columns)


def test_optional_column_that_is_not_clear_is_not_read() -> None:
    read = Result("csv", csv([(*HEAD, "行政职务", "职位"), (*A, "科长", "书记")]))
    assert (read.people, read.column("post"), read.fields["行政职务"]) == ([A], [""], None)


def test_optional_column_that_an_admin_left_out_stays_left_out() -> None:
    left_out = Result("csv", csv([(*HEAD, "职务"), (*A, "科长")]), remembered={"职务": None})
    assert (left_out.people, left_out.column("post")) == ([A], [""])
    needed = Result("csv", csv([("姓名", "联系电话", "支部名称"), A]), remembered={"联系电话": None})
    assert needed.people == [A]  # without another column of phones the sheet needs it


def test_political_status_is_read_as_party_membership() -> None:
    read = Result("csv", csv([(*HEAD, "政治面貌", "人员类别"), (*A, "中共党员", "正式党员")]))
    assert (read.column("party"), read.column("party-kind")) == (["中共党员"], ["正式党员"])
    both = Result("csv", csv([(*HEAD, "政治面貌", "是否党员"), (*A, "群众", "是")]))
    assert both.column("party") == ["是"]


@pytest.mark.parametrize("blank", [0, 1, 2, 5])
def test_row_numbers_are_those_of_the_sheet_below_blank_rows(blank: int) -> None:
    rows = [*[("", "", "")] * blank, HEAD, A, ("", "", ""), B, C]
    for writer, (kind, content) in in_all_formats(rows).items():
        read = Result(kind, content)
        assert read.numbers == [blank + 2, blank + 4, blank + 5], writer
        assert read.skipped == {"blank": [blank + 3]}, writer
        assert read.reading["sheets"][0]["header_row"] == blank + 1


def test_row_numbers_are_those_of_the_sheet_beside_blank_columns() -> None:
    rows = [(), ("", "", *HEAD), ("", "", *A), ("", "", *B[:2], "")]
    read = Result("xlsx", by_openpyxl({"a": rows}, merge=["E3:E4"], hidden=[4]))
    assert read.people == [A, B]
    assert [(row[0], row[1]) for row in read.rows] == [(3, False), (4, True)]
    assert read.reading["sheets"][0]["columns"][0]["column"] == "C"


@pytest.mark.parametrize("write", [by_openpyxl, by_xlsxwriter])
def test_only_merged_cells_in_a_needed_heading_matter(write: object) -> None:
    assert callable(write)
    rows = [(*HEAD, "备注", ""), (*A, "x", "y"), (*B, "", "")]
    assert Result("xlsx", write({"a": rows}, merge=["D1:E1"])).people == [A, B]
    answer = refusal("xlsx", write({"a": [("姓名", "", "手机号码", "支部名称"), A]}, merge=["A1:B1"]))
    assert (answer["refused"], answer["columns"]) == ("header-merged", ["姓名"])
    title = [("党员花名册", "", ""), HEAD, A]
    assert Result("xlsx", write({"a": title}, merge=["A1:C1"])).people == [A]


def test_header_of_two_rows_is_read() -> None:
    beside = [(*HEAD, "家庭住址", ""), ("", "", "", "乡镇", "村"), (*A, "东乡", "李村")]
    merged = by_openpyxl({"a": beside}, merge=["D1:E1", "A1:A2", "B1:B2", "C1:C2"])
    read = Result("xlsx", merged)
    assert (read.people, read.numbers, read.reading["sheets"][0]["header_row"]) == ([A], [3], 2)
    inside = [("姓名", "联系方式", "", "支部名称"), ("", "邮箱", "手机号码", ""), ("张伟", "a@b.c", A[1], "一支部")]
    read = Result("xlsx", by_openpyxl({"a": inside}, merge=["A1:A2", "B1:C1", "D1:D2"]))
    assert (read.people, read.numbers) == ([A], [3])
    group = [("基本信息", "", ""), HEAD, A]
    assert Result("xlsx", by_openpyxl({"a": group}, merge=["A1:C1"])).people == [A]


def test_header_of_two_rows_is_read_and_skipped_again_where_the_upper_row_suffices() -> None:
    head = [("姓名", "联系方式", "", "支部名称"), ("", "邮箱", "手机号码", "")]
    rows = [*head, ("张伟", "a@b.c", A[1], "一支部"), *head, ("李娜", "", B[1], "一支部")]
    read = Result("xlsx", by_openpyxl({"a": rows}))
    assert (read.people, read.numbers, read.skipped) == ([A, B], [3, 6], {"repeated-header": [4, 5]})
    named = Result("csv", csv([HEAD, ("Name", "Phone", "Unit"), ("必填", "11位数字", "下拉选择"), A]))
    assert (named.people, named.numbers, named.skipped) == ([A], [4], {"note": [3]})
    # The row below is about a person whose unit has the name of a column.
    assert Result("csv", csv([HEAD, ("张伟", "", "党支部"), B])).people == [("张伟", "", "党支部"), B]


def test_heading_that_is_merged_over_people_does_not_hide_them() -> None:
    content = by_openpyxl({"a": [HEAD, (*A[:2], ""), (*B[:2], ""), C]}, merge=["C1:C3"])
    assert Result("xlsx", content).people == [(*A[:2], ""), (*B[:2], ""), C]


def test_line_of_a_form_above_the_header_is_no_header() -> None:
    form = ("姓名", "王五", "手机", "13900000009", "支部", "机关")
    read = Result("xlsx", by_openpyxl({"a": [form, ("党员花名册",), HEAD, A]}))
    assert (read.people, read.reading["sheets"][0]["header_row"]) == ([A], 3)


def test_labels_above_the_header_do_not_end_the_search() -> None:
    rows = [("党员花名册", "", ""), ("支部名称：", "一支部", ""), ("联系电话：", "83312345", ""), HEAD, A]
    assert Result("xlsx", by_openpyxl({"a": rows})).people == [A]


def test_label_above_the_header_is_the_unit_if_no_column_has_units() -> None:
    for label in (("支部名称：", "一支部"), ("支部名称：一支部", "")):
        read = Result("xlsx", by_openpyxl({"Sheet1": [("花名册", ""), label, HEAD[:2], A[:2], B[:2]]}))
        assert read.people == [A, B]
        sheet = read.reading["sheets"][0]
        assert (sheet["unit_from"], sheet["unit"]) == ("label", "一支部")


def test_header_is_searched_in_the_first_thirty_rows() -> None:
    assert Result("csv", csv([("x", "", "")] * 29 + [HEAD, A])).numbers == [31]
    assert refusal("csv", csv([("x", "", "")] * 30 + [HEAD, A]))["refused"] == "header-missing"


def test_missing_column_is_named_with_the_headings_that_are_there() -> None:
    answer = refusal("csv", csv([("姓名", "籍贯", "支部名称"), ("张伟", "南京", "一支部")]))
    assert (answer["refused"], answer["columns"]) == ("header-missing", ["手机号码"])
    assert [column["heading"] for column in answer["headings"]] == ["姓名", "籍贯", "支部名称"]


def test_headings_that_may_be_people_are_not_reported() -> None:
    assert refusal("csv", csv([A, B, C]))["headings"] == []
    answer = refusal("csv", csv([("人", "号", "组"), A, B]))
    assert [column["heading"] for column in answer["headings"]] == ["人", "号", "组"]


def test_chosen_columns_are_read() -> None:
    content = csv([("人", "号", "组", "手机号码"), (*A, "1"), (*B, "2")])
    choices = [["人", None, "name"], ["号", None, "phone"], ["组", None, "unit"]]
    assert Result("csv", content, columns=choices).people == [A, B]
    twice = csv([("姓名", "联系电话", "联系电话", "支部名称"), ("张伟", "1", A[1], "一支部")])
    assert refusal("csv", twice)["refused"] == "header-doubled"
    assert Result("csv", twice, columns=[["联系电话", "C", "phone"]]).people == [A]
    ignored = Result("csv", csv([(*HEAD, "职务"), (*A, "书记")]), columns=[["职务", None, None]])
    assert ignored.column("post") == [""]


def test_remembered_columns_are_read_unless_the_template_has_the_word() -> None:
    remembered = {"联系方式": "phone", "手机": None}
    both = [("姓名", "手机", "联系方式", "支部名称"), ("张伟", "1", A[1], "一支部")]
    assert Result("csv", csv(both), remembered=remembered).people == [A]
    template = [("姓名", "手机号码", "联系方式", "支部名称"), ("张伟", A[1], "1", "一支部")]
    assert Result("csv", csv(template), remembered=remembered).people == [A]
    alone = [("姓名", "手机", "支部名称"), A]
    assert Result("csv", csv(alone), remembered=remembered).people == [A]


def test_all_sheets_with_people_are_read() -> None:
    sheets: dict[str, Rows] = {
        "一支部": [HEAD, A, B],
        "空": [HEAD],
        "说明": [("请填写",)],
        "二支部": [("二支部",), HEAD, C],
    }
    for kind, content in (("xlsx", by_openpyxl(sheets)), ("ods", ods(sheets))):
        read = Result(kind, content)
        assert read.people == [A, B, C]
        assert read.numbers == [2, 3, 6]  # row 3 of the second sheet that is read, after three rows of the first one
        assert [(sheet["name"], sheet["before"], sheet["rows"]) for sheet in read.reading["sheets"]] == [
            ("一支部", 0, 2),
            ("二支部", 3, 1),
        ]
        assert {sheet["name"]: sheet["reason"] for sheet in read.reading["sheets_not_read"]} == {
            "空": "no-rows",
            "说明": "no-header",
        }
        one = Result(kind, content, sheets=["二支部"])
        assert (one.people, one.numbers) == ([C], [3])


def test_hidden_sheet_with_people_is_named() -> None:
    content = workbook([("a", [HEAD, A]), ("b", [HEAD, B]), ("支部", [("一支部",)])], hide=[1, 2])
    read = Result("xlsx", content)
    assert (read.people, read.reading["sheets_not_read"]) == ([A], [{"name": "b", "reason": "hidden"}])


@pytest.mark.parametrize("cell", ["/", " / ／ ", "()", "1.", "【】", "*", "\u200b", "①"])
def test_cell_of_marks_is_no_heading(cell: str) -> None:
    assert Result("csv", csv([("花名册", cell, ""), HEAD, (*A[:2], cell)])).people[0][:2] == A[:2]
    assert normalize_heading(cell) == ""


def test_number_in_a_heading_is_not_shown() -> None:
    read = Result("csv", csv([(*HEAD, "制表13900000009"), A]))
    assert [column["heading"] for column in read.reading["sheets"][0]["columns"]] == [*HEAD, "制表…"]


def test_name_of_a_sheet_is_the_unit_if_no_column_has_units() -> None:
    read = Result("xlsx", by_openpyxl({"一支部": [HEAD[:2], A[:2], B[:2]], "二支部": [HEAD[:2], C[:2]]}))
    assert read.people == [A, B, C]
    for name in ("Sheet1", "工作表2", "党员花名册", "2026年3月", "人员"):
        answer = refusal("xlsx", by_openpyxl({name: [HEAD[:2], A[:2]]}))
        assert (answer["refused"], answer["columns"]) == ("header-missing", ["支部名称"]), name


@pytest.mark.parametrize(
    "content",
    [
        csv([("花名册",), HEAD, A, B], "\t"),
        csv([("花名册，2026年",), HEAD, A, B], ";"),
        csv([("花名册,2026,3,月",), HEAD, A, B], ";"),
        csv([("",), ("花名册",), HEAD, A, B], "\t"),
        csv([("sep=;",), HEAD, A, B], ";"),
        csv([HEAD, A, B], "，"),
        csv([("花名册",), HEAD, A, B], "\t", "gb18030"),
        csv([("花名册",), HEAD, A, B], "\t", "utf-16"),
    ],
)
def test_delimiter_of_a_csv_is_that_of_its_header(content: bytes) -> None:
    assert Result("csv", content).people == [A, B]
