import pytest

from app.core.search import spell, spell_person


@pytest.mark.parametrize(
    ("name", "pinyin", "initials"),
    [
        ("王小明", "wangxiaoming", "wxm"),
        ("解晓东", "xiexiaodong", "xxd"),
        ("区楚良", "ouchuliang", "ocl"),
        ("单田芳", "shantianfang", "stf"),
        ("仇英", "qiuying", "qy"),
        ("曾国藩", "zengguofan", "zgf"),
        ("查良镛", "zhaliangyong", "zly"),
        ("欧阳娜娜", "ouyangnana", "oynn"),
        ("单于明", "chanyuming", "cym"),
        ("万俟卨", "moqixie", "mqx"),
        ("长孙无忌", "zhangsunwuji", "zswj"),
        ("乐正绫", "yuezhengling", "yzl"),
        ("张单", "zhangdan", "zd"),
        ("𠮷田㐂", "tian", "t"),
        ("阿依古丽·买买提", "ayigulimaimaiti", "ayglmmt"),
        ("Алим", "", ""),
        ("O'Neil 李", "oneilli", "oneill"),
        ("🙂", "", ""),
        ("", "", ""),
    ],
)
def test_a_person_is_spelt_as_people_say_the_name(name: str, pinyin: str, initials: str) -> None:
    assert spell_person(name) == (pinyin, initials)


def test_an_org_is_read_by_its_words() -> None:
    assert spell("重庆银行第一党支部") == ("chongqingyinhangdiyidangzhibu", "cqyhdydzb")
