"""Sort keys of titles: pinyin, and numerals by number."""

import pytest

from app.core.sort_keys import make_sort_key

ORDERED = (
    ["第一支部", "第二支部", "第九支部", "第十支部", "第十一支部", "第二十支部", "第一百零五支部"],
    ["第8党支部", "第10党支部", "第２０党支部"],
    ["第8支部", "第九支部", "第10支部", "第十一支部"],
    ["机关一支部", "机关二支部", "机关十支部"],
    ["中共安庆市委员会", "中共北京市委员会", "中共重庆市委员会", "中共三明市委员会", "中共西安市委员会"],
    ["中共百色市委员会", "中共七台河市委员会", "中共三明市委员会"],
)


@pytest.mark.parametrize("titles", ORDERED)
def test_titles_are_in_order(titles: list[str]) -> None:
    assert sorted(set(titles), key=make_sort_key) == titles


def test_equal_sounds_have_a_fixed_order_and_different_keys() -> None:
    assert make_sort_key("张村支部") != make_sort_key("章村支部")
    assert make_sort_key("ABC支部").startswith("abc zhi bu ")
