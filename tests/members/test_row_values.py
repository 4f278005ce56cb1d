"""The values of a row's cells as clerks write them: phones, names, units and party membership."""

import pytest

from app.core.phones import PhoneRefused
from app.members.imports.values.names import read_name
from app.members.imports.values.parties import read_party
from app.members.imports.values.phones import mask_typed_phone, read_phone
from app.members.imports.values.units import UnitRefused, parse_units
from app.members.names import NameRefused


@pytest.mark.parametrize(
    "text",
    [
        "139-0000-0001",
        "139 0000 0001",
        "139.0000.0001",
        "139—0000—0001",
        "139_0000_0001",
        "+86 139-0000-0001",
        "8613900000001",
        "013900000001",
        "13900000001.0",
        "１３９ 0000 ０００１",
        "13900000001;",
        "13900000001。",
        "13900000001\u200b",
        "手机13900000001",
        "手机：13900000001",
    ],
)
def test_phone_is_read_as_it_is_typed(text: str) -> None:
    assert (read_phone(text).phone, read_phone(text).warnings) == ("13900000001", ())


@pytest.mark.parametrize("text", ["13900000001(女儿)", "13900000001（王伟）", "13900000001 转 8001", "王伟13900000001"])
def test_remark_beside_a_phone_is_left_out_with_a_warning(text: str) -> None:
    assert (read_phone(text).phone, read_phone(text).warnings) == ("13900000001", ("phone-remark",))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1390000001", "phone-too-short:1"),
        ("1390000", "phone-too-short:4"),
        ("139000000011", "phone-too-long:1"),
        ("+86 1390000001", "phone-too-short:1"),
        ("110101196001011234", "phone-id-number"),
        ("11010119600101123X", "phone-id-number"),
        ("110101196001011200", "phone-id-number"),
        ("110101600101123", "phone-id-number"),
        ("13900000001 13900000002", "phone-two-numbers"),
        ("13900000001/13900000002", "phone-two-numbers"),
        ("13900000001、13900000002", "phone-two-numbers"),
        ("13900000001\n13900000002", "phone-two-numbers"),
        ("1390000000113900000002", "phone-two-numbers"),
        ("025-83312345 13900000001", "phone-two-numbers"),
        ("025-83312345", "phone-landline"),
        ("83312345", "phone-landline"),
        ("4008001234", "phone-landline"),
        ("-13900000001", "phone-negative"),
        ("－13900000001", "phone-negative"),
        ("1390000O001", "phone-letters"),
        ("l3900000001", "phone-letters"),
        ("1.39E+10", "phone-scientific"),
        ("无", "phone-unclear"),
        ("/", "phone-unclear"),
        ("暂无", "phone-unclear"),
        ("", "phone-missing"),
        ("23900000001", "phone-invalid"),
        ("一三九", "phone-invalid"),
    ],
)
def test_fault_of_a_phone_has_its_own_code(text: str, code: str) -> None:
    with pytest.raises(PhoneRefused) as refused:
        read_phone(text)
    assert refused.value.code == code


def test_masked_phone_and_no_phone_are_told_apart() -> None:
    assert read_phone("139****0001")[:2] == (None, "139****0001")
    assert read_phone("+852****4567")[:2] == (None, "+852****4567")
    assert read_phone("无手机")[:2] == (None, None)
    assert read_phone("(852) 9123 4567").phone == "+85291234567"


def test_typed_phone_is_shown_without_whole_numbers() -> None:
    assert mask_typed_phone("1390000001") == "1390000001"
    assert mask_typed_phone("13900000001/13900000002") == "139****0001/139****0002"
    assert "19600101" not in mask_typed_phone("110101196001011234")
    assert "600101" not in mask_typed_phone("身份证110101600101123")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("张 三", "张三"),
        ("张\u3000三", "张三"),
        ("阿卜杜拉•买买提", "阿卜杜拉·买买提"),
        ("阿卜杜拉.买买提", "阿卜杜拉·买买提"),
        ("阿卜杜拉 ･ 买买提", "阿卜杜拉·买买提"),
        ("⼩明", "小明"),
        ("\uf967明", "不明"),
        ("\ue863小明", "䶮小明"),
        ("𬱖娜", "𬱖娜"),
    ],
)
def test_name_is_read_in_its_stored_form(text: str, name: str) -> None:
    assert read_name(text) == (name, ())


@pytest.mark.parametrize(
    ("text", "name", "warning"),
    [
        ("刘\ue5e5", "刘\ue5e5", "name-private-use"),
        ("王?", "王?", "name-question-mark"),
        ("王□", "王□", "name-question-mark"),
        ("示例：李娜", "李娜", "name-example"),
        ("张三1", "张三1", "name-unusual"),
        ("张三、李四", "张三、李四", "name-unusual"),
        ("合计", "合计", "name-unusual"),
        ("张伟😀", "张伟😀", "name-unusual"),
        ("张<br>伟", "张<br>伟", "name-unusual"),
        ("NULL", "NULL", "name-unusual"),
        ("—", "—", "name-unusual"),
        (".", ".", "name-unusual"),
        ("王〓", "王〓", "name-question-mark"),
        ("王▯", "王▯", "name-question-mark"),
    ],
)
def test_unusual_name_is_read_with_a_warning(text: str, name: str, warning: str) -> None:
    assert read_name(text) == (name, (warning,))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("王\ufffd", "name-damaged"),
        ("张三\n李四", "name-line-break"),
        ("张\u2028三", "name-line-break"),
        ("张\xad三", "name-unshowable"),
        ("-", "name-formula"),
        ("", "name-missing"),
        ("名" * 51, "name-too-long"),
    ],
)
def test_name_that_cannot_be_read_is_refused(text: str, code: str) -> None:
    with pytest.raises(NameRefused) as refused:
        read_name(text)
    assert refused.value.code == code


def test_units_of_a_cell_are_separated_by_semicolons() -> None:
    assert parse_units("机关（总支） / 一支部；二支部; 一支部") == "机关（总支）/一支部;二支部;一支部"
    assert parse_units("甲;甲；") == "甲"
    assert parse_units("+一 支部") == "+一支部"
    for text, code in (("；", "unit-missing"), ("甲\ufffd", "unit-damaged"), ("a/b/c/d/e/f/g", "unit-too-deep")):
        with pytest.raises(UnitRefused) as refused:
            parse_units(text)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("是 有 党员 中共党员 中共 退休党员 流动党员 中共党员（在职党员） √ ☑ Y TRUE 1", (True, None)),
        ("正式党员 中共正式党员 中共党员（正式） 党员（正式党员） 是（正式）", (True, False)),
        ("预备党员 中共预备党员 是（预备） 中共党员（预备党员） 预备期", (True, True)),
        ("群众（入党积极分子） 否（群众） 其他党派 已递交入党申请书 未入党 居民", (False, None)),
        ("否 无 群众 积极分子 入党积极分子 发展对象 共青团员 民盟 民革党员 九三学社 无党派人士", (False, None)),
        ("/ - —", (None, None)),
    ],
)
def test_party_answers_are_read_as_people_write_them(answers: str, expected: tuple[bool | None, bool | None]) -> None:
    for answer in answers.split():
        assert read_party(answer, "") == (*expected, ()), answer


def test_contradiction_of_party_and_kind_is_a_problem() -> None:
    assert read_party("是", "预备党员") == (True, True, ())
    assert read_party("", "群众") == (False, False, ())
    assert read_party("否", "正式党员").problems == ("party-kind-contradiction",)
    assert read_party("预备党员", "正式党员").problems == ("party-kind-contradiction",)
    for unclear in ("党员（群众）", "群众（党员）", "群众（正式党员）", "某（党员）"):
        assert read_party(unclear, "").problems == ("party-unreadable",), unclear
    assert read_party("也许", "别的").problems == ("party-unreadable", "party-kind-unreadable")
