import pytest

from app.core.search import spell_person, spell_title


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
def test_person_name_has_the_spoken_pinyin(name: str, pinyin: str, initials: str) -> None:
    assert spell_person(name) == (pinyin, initials)


def test_org_name_is_read_word_by_word() -> None:
    assert spell_title("重庆银行第一党支部") == ("chongqingyinhangdiyidangzhibu", "cqyhdydzb")
