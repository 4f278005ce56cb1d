"""Rows that are not about a person: they are skipped and counted, and no person is taken for one of them."""

import pytest

from tests.members.workbooks import HEAD, A, B, C, Result, by_openpyxl, csv, in_all_formats

D = ("赵敏", "13900000004", "二支部")


def test_rows_that_are_not_about_people_are_skipped_and_counted() -> None:
    rows = [
        ("序号", *HEAD),
        ("1", "示例：张三", "13800138000", "机关第一党支部"),
        ("2", *A),
        ("", "", "", ""),
        ("", "小计", "1", ""),
        ("序号", *HEAD),
        ("3", *B),
        ("合计", "", "", ""),
        ("合计", "2人", "", ""),
        ("共 2 人", "", "", ""),
        ("制表人：", "王丽", "审核人：", "李强"),
        ("填表日期：2026年3月1日", "", "", ""),
        ("", "", "", ""),
        ("备注：以上人员均已核实", "", "", ""),
        ("党支部书记（签字）：", "", "", ""),
        ("（盖章）", "", "", ""),
        ("", "", "", ""),
    ]
    for writer, (kind, content) in in_all_formats(rows).items():
        read = Result(kind, content)
        assert (read.people, read.numbers) == ([A, B], [3, 7]), writer
        assert read.skipped == {
            "example": [2],
            "blank": [4, 13],
            "total": [5, 8, 9, 10],
            "repeated-header": [6],
            "note": [11, 12, 14, 15, 16],
        }, writer


def test_title_and_header_of_each_printed_page_are_skipped() -> None:
    title, numbers = ("党员花名册", "", ""), ("（1）", "（2）", "（3）")
    rows = [title, ("填报单位：机关党委", "", ""), HEAD, numbers, A, ("第 1 页，共 2 页", "", ""), title, HEAD, B]
    read = Result("xlsx", by_openpyxl({"a": rows}))
    assert (read.people, read.numbers) == ([A, B], [5, 9])
    assert read.skipped == {"note": [4, 6], "repeated-header": [7, 8]}


@pytest.mark.parametrize(
    ("cause", "lines"),
    [
        ("total", "合计：30人 合计（人） 合计(人) 合计：叁拾 共计：30人（其中正式党员28人） 总计：男12人，女8人"),
        ("total", "小计：30 共30名党员 共有党员30名 以上共30人 党员总数：30名 一支部小计 全局合计 Total Subtotal"),
        ("note", "制表人：李四 填表日期：2026年3月1日 截止日期： 数据来源：某系统 意见："),
        ("note", "单位负责人（签字）： 男：12人 支部书记（签字） 党总支（盖章） 公章 上级意见"),
        ("note", "日期 2026年3月1日 年月日 二〇二六年三月"),
        ("note", "（以下空白） 以下无正文 -以下空白- ——完—— End -1- 1/3 第1页，共3页 第1页/共3页 Page1of3"),
        ("note", "1.本表由支部填写 2、手机号码为11位 ※本表一式两份 *注：必填 ★为必填项 备注1：离退休不统计 必填"),
    ],
)
def test_last_lines_of_a_list_are_skipped(cause: str, lines: str) -> None:
    rows = [(line, "", "") for line in lines.split()]
    read = Result("csv", csv([HEAD, A, *rows]))
    assert (read.people, read.skipped) == ([A], {cause: list(range(3, 3 + len(rows)))})


@pytest.mark.parametrize(
    "line",
    [
        ("填表人：李四", "联系电话：83312345", "填表日期：2026年3月1日"),
        ("填表人：李四", "联系电话：13900000009", ""),
        ("联系人：李四", "13900000009", ""),
        ("制表人：李四", "13900000009", "日期：3月1日"),
        ("单位负责人：", "", "填表人："),
        ("", "", "2026年3月1日"),
        ("年", "月", "日"),
        ("甲", "乙", "丙"),
    ],
)
def test_line_of_signatures_in_several_columns_is_a_note(line: tuple[str, ...]) -> None:
    read = Result("csv", csv([HEAD, A, line, B]))
    assert (read.people, read.skipped) == ([A, B], {"note": [3]})


POSTS = "书记 支部书记 主管 负责人 联系人 审核 统计员 录入员 领导 编制 说明 注 备注 合计 总计 人数"
REMARKS = "合计 小计 说明 注：退休 备注 共1人 第1页 以下空白 空白"


@pytest.mark.parametrize(("heading", "words"), [("职务", POSTS), ("备注", REMARKS), ("岗位", POSTS)])
def test_person_with_a_word_of_notes_in_another_column_is_read(heading: str, words: str) -> None:
    """A person without a phone, or whose phone is missing, does not vanish because of a post or a remark."""
    for word in words.split():
        rows = [(word, "张伟", "无手机", "一支部"), (word, "李娜", "", "一支部")]
        read = Result("csv", csv([(heading, *HEAD), *rows]))
        assert (read.people, read.skipped) == ([row[1:] for row in rows], {}), word
    without_unit = [("职务", "姓名", "手机"), ("书记", "张伟", ""), ("主管", "李娜", "无手机")]
    read = Result("xlsx", by_openpyxl({"一支部": without_unit}))
    assert (len(read.rows), read.skipped) == (2, {})


def test_row_with_only_a_number_of_its_own_is_an_empty_row() -> None:
    read = Result("csv", csv([("序号", *HEAD), ("1", *A), ("2", "", "", ""), ("3", "", "", "")]))
    assert (read.people, read.skipped) == ([A], {"blank": [3, 4]})


def test_person_is_not_taken_for_a_note() -> None:
    people = [
        ("合计", A[1], "x"),
        ("备注", B[1], "x"),
        ("示例:李娜", C[1], "x"),
        ("注音", D[1], "x"),
        ("示例：张三", "13900000009", "x"),
    ]
    assert Result("csv", csv([HEAD, *people])).people == people
    assert Result("csv", csv([HEAD, ("负责同志", "", "x")])).people == [("负责同志", "", "x")]
    assert Result("csv", csv([HEAD, ("书记：李娜", *B[1:])])).people == [("书记：李娜", *B[1:])]
