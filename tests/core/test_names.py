"""The stored form of names and their key: properties, and the spellings that people take for one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.characters import DOUBLES
from app.core.names import make_name_key, normalize_name
from app.core.text import contains_refused_characters

# What names are typed with: Han characters, their doubles, forms of width, marks, blanks, accents.
_SPECIAL = (
    "王伟买提第一十支部机关·•・‧∙⋅●.。.．-－—–'’“”「」()（）[]【】〔〕﹙︵ \u3000\u00a0\tＡａÉé09０９一⼀⺠⻄"
    "\ue863\ue816龸啊\uf900\ufe00\U000e0100㈠①Ⅳ㈱ﬁ/／,，:：Ω𠀀😀"
)
TYPED = st.text(
    st.one_of(st.sampled_from(_SPECIAL), st.sampled_from([*map(chr, DOUBLES)]), st.characters()), max_size=20
)
BY_HAND = st.text(st.sampled_from(_SPECIAL), max_size=20)

SAME = (
    ("王伟", "王 伟", "王\u3000伟", "王\u00a0 伟 "),
    (
        "买买提·阿卜杜拉",
        "买买提•阿卜杜拉",
        "买买提・阿卜杜拉",
        "买买提.阿卜杜拉",
        "买买提．阿卜杜拉",
        "买买提 · 阿卜杜拉",
    ),
    (
        "第一支部（机关）",
        "第一支部(机关)",
        "第一支部【机关】",
        "第一支部 ( 机关 )",
        "第一支部﹙机关﹚",
        "第⼀支部（机关）",
    ),
    ("A区3支部", "Ａ区３支部", "a区3支部", "A 区 3 支部"),
    ("民⻄村", "⺠西村"),
    ("䶮", "\ue863"),
    ("“五四”支部", '"五四"支部', "「五四」支部", "五四支部"),
    ("Jean-Paul", "Jean Paul", "jean‐paul"),
)
DIFFERENT = (("1-1支部", "11支部"), ("1.1支部", "11支部"), ("王伟", "王炜"), ("第一支部", "第1支部"), ("李", "李李"))


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_spellings_of_one_name_have_one_key(spellings: tuple[str, ...]) -> None:
    assert {make_name_key(name) for name in spellings} == {make_name_key(spellings[0])}
    assert {make_name_key(normalize_name(name)) for name in spellings} == {make_name_key(spellings[0])}


@pytest.mark.parametrize(("name", "other"), DIFFERENT)
def test_different_names_have_different_keys(name: str, other: str) -> None:
    assert make_name_key(name) != make_name_key(other)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("买买提•阿卜杜拉", "买买提·阿卜杜拉"),
        ("买买提．阿卜杜拉", "买买提·阿卜杜拉"),
        ("第⼀支部 [机关]", "第一支部（机关）"),
        ("Ａ３ 区支部", "A3 区支部"),
        ("J. Smith (Jr)", "J. Smith (Jr)"),
        ("张\ue863", "张䶮"),
        ("郎\uf92c", "郎郎"),
        ("宣传部，组织部：联合支部", "宣传部，组织部：联合支部"),
    ],
)
def test_name_has_one_stored_form(typed: str, stored: str) -> None:
    assert normalize_name(typed) == stored


def test_private_use_character_without_a_double_is_unshowable() -> None:
    assert [contains_refused_characters(text) for text in ("张\ue000", "张\U000f0000", normalize_name("张\ue863"))] == [
        True,
        True,
        False,
    ]


@given(TYPED)
def test_stored_form_of_a_stored_form_is_itself(typed: str) -> None:
    assert normalize_name(normalize_name(typed)) == normalize_name(typed)


@given(BY_HAND)
def test_key_of_the_stored_form_is_the_key_of_the_typed_text(typed: str) -> None:
    key = make_name_key(typed)
    assert make_name_key(normalize_name(typed)) == key
    assert make_name_key(key) == key


async def test_database_computes_the_same_key(db: AsyncConnection) -> None:
    names = [name for spellings in (*SAME, *DIFFERENT) for name in spellings] + [*map(chr, DOUBLES), *_SPECIAL]
    names += [
        f"{before}{mark}{after}" for mark in _SPECIAL for before, after in (("王", "伟"), ("1", "2"), ("1", "支"))
    ]
    found = await db.scalars(
        text(
            "SELECT name_key(name) FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS n (name, at) ORDER BY at"
        ).bindparams(names=names)
    )
    assert dict(zip(names, found, strict=True)) == {name: make_name_key(name) for name in names}
