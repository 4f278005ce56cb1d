"""The rules for names of orgs (S3)."""

import pytest

from app.orgs import names
from app.orgs.names import Kind


@pytest.mark.parametrize(
    ("name", "kind", "slugs"),
    [
        ("中共江苏省委宣传部机关委员会", Kind.PARTY, []),
        ("江苏省党外人士学习组织", Kind.OUTSIDE_PARTY, []),
        ("江苏省党外人士学习组织", Kind.PARTY, ["name-kind-mismatch"]),
        ("江苏省统战部", Kind.OUTSIDE_PARTY, ["name-kind-mismatch"]),
        (
            "党外人士学习组织",
            Kind.OUTSIDE_PARTY,
            ["name-kind-mismatch"],
        ),  # the name of an administrative body is missing
        ("中共南京市委学习管理组", Kind.PARTY, ["name-suffix-typed"]),
        ("江苏省党外人士学习组织学习管理组", Kind.OUTSIDE_PARTY, ["name-suffix-typed"]),
        ("学习管理组", Kind.PARTY, ["name-suffix-typed", "name-kind-mismatch"]),
        ("中共南京市委（学习管理组）", Kind.PARTY, ["name-suffix-typed"]),
        ("中共南京市委 学习 管理组", Kind.PARTY, ["name-suffix-typed"]),
        ("中共南京市委學習管理組", Kind.PARTY, ["name-suffix-typed"]),
        ("中共南京市委学习管理组。", Kind.PARTY, ["name-suffix-typed"]),
        ("中共南京市委·学习管理组.", Kind.PARTY, ["name-suffix-typed"]),
        ("中共南京市委【學习-管理組】", Kind.PARTY, ["name-suffix-typed"]),
        ("江苏省党外人士 学习组织。", Kind.PARTY, ["name-kind-mismatch"]),
        ("中共南京市委学习管理组机关支部", Kind.PARTY, []),
        ("中共南京\u202e市委", Kind.PARTY, ["name-unshowable"]),
        ("中共南京\x00市委", Kind.PARTY, ["name-unshowable"]),
        ("中共𠮷林县委🌟", Kind.PARTY, []),  # rare characters and emoji are allowed
    ],
)
def test_name_errors_have_the_expected_slugs(name: str, kind: Kind, slugs: list[str]) -> None:
    assert [error.slug for error in names.list_name_errors(name, kind)] == slugs


def test_unchanged_legacy_name_is_allowed_with_its_suffix() -> None:
    legacy = "中共南京市委学习管理组"
    assert names.list_name_errors(legacy, Kind.PARTY, present_name=legacy) == []
    assert [
        error.slug for error in names.list_name_errors("中共苏州市委学习管理组", Kind.PARTY, present_name=legacy)
    ] == ["name-suffix-typed"]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("一支部", ["name-short"]),
        ("第一党支部", ["name-short"]),
        ("机关第十二党支部委员会", ["name-short"]),
        ("张三", ["name-short"]),
        ("中共南京市委", []),
        ("玄武区教育局第一党支部", []),
    ],
)
def test_name_that_does_not_say_whose_org_it_is_gets_advice(name: str, codes: list[str]) -> None:
    assert [advice.code for advice in names.list_shortness_advice(name)] == codes


def test_name_above_twenty_characters_gets_length_advice() -> None:
    assert names.list_length_advice("中" * 20) == []
    assert [advice.code for advice in names.list_length_advice("中" * 21)] == ["name-long"]


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("中国共产党中国石化集团南京化学工业有限公司委员会", "中国石化集团南京化学工业有限公司党委"),
        ("中" * 30, None),
    ],
)
def test_long_name_is_shortened_as_in_the_faq(long: str, short: str | None) -> None:
    assert names.shorten_name(long) == short
