import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.core.phones import REFUSALS, Phone, PhoneRefused, mask, normalize

NORMAL = "13812345678"


@pytest.mark.parametrize(
    "typed",
    [
        NORMAL,
        "１３８１２３４５６７８",
        "+86 138-1234-5678",
        "+8613812345678",
        "＋８６１３８１２３４５６７８",
        "0086 13812345678",
        "8613812345678",
        "013812345678",
        " 138 1234 5678\t",
        "138\u00a01234\u20025678\u3000",
        "\ufeff138\u200b1234\u200d5678\u202c",
        "(86)13812345678",
        "'13812345678",
        "13812345678.0",
        "138–1234—5678",
        "١٣٨١٢٣٤٥٦٧٨",
    ],
)
def test_mobile_number_in_any_notation_is_normalized(typed: str) -> None:
    assert normalize(typed) == NORMAL


@pytest.mark.parametrize(
    ("typed", "normal", "masked"),
    [
        ("+852 9123 4567", "+85291234567", "+852****4567"),
        ("0085291234567", "+85291234567", "+852****4567"),
        ("＋８５２ ９１２３-４５６７", "+85291234567", "+852****4567"),
        ("+853 6612 3456", "+85366123456", "+853****3456"),
        ("+886 0912 345 678", "+886912345678", "+886****5678"),
        ("+1 650 253 0000", "+16502530000", "+1****0000"),
        ("+44 7400 123456", "+447400123456", "+44****3456"),
    ],
)
def test_number_outside_the_mainland_is_normalized_to_e164(typed: str, normal: str, masked: str) -> None:
    assert (normalize(typed), mask(normal)) == (normal, masked)
    assert normalize(normal) == normal


@pytest.mark.parametrize("number", ["13012345678", "14712345678", "16612345678", "17312345678", "19912345678"])
def test_mobile_number_of_every_range_is_accepted(number: str) -> None:
    assert normalize(number) == number


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "phone-missing"),
        (" \u200b\u3000", "phone-missing"),
        ("'", "phone-missing"),
        ("1.38E+10", "phone-scientific"),
        ("1.38123e10", "phone-scientific"),
        ("１．３８Ｅ＋１０", "phone-scientific"),
        ("02584567890", "phone-landline"),
        ("025-84567890", "phone-landline"),
        ("+86 10 6552 9988", "phone-landline"),
        ("+852 2123 4567", "phone-landline"),
        ("85291234567", "phone-invalid"),
        ("+999 1234 5678", "phone-invalid"),
        ("12345", "phone-invalid"),
        ("10012345678", "phone-invalid"),
        ("1381234567", "phone-invalid"),
        ("138123456789", "phone-invalid"),
        ("13812345678.5", "phone-invalid"),
        ("138ABCDEFGH", "phone-invalid"),
        ("13812345678x9", "phone-invalid"),
        ("++8613812345678", "phone-invalid"),
        ("tel:13812345678", "phone-invalid"),
        ("1" * 10_000, "phone-invalid"),
        ("4008001234", "phone-invalid"),
        ("13800138000\x00", "phone-invalid"),
    ],
)
def test_other_text_is_refused_with_its_code(typed: str, code: str) -> None:
    with pytest.raises(PhoneRefused) as refused:
        normalize(typed)
    assert refused.value.code == code
    assert code in REFUSALS
    assert typed.strip() == "" or typed not in str(refused.value)


@given(st.text(max_size=80))
def test_any_text_is_normalized_or_refused(typed: str) -> None:
    try:
        found = normalize(typed)
    except PhoneRefused as refused:
        found = refused.code
    assert found in REFUSALS or (normalize(found) == found and (len(found) == 11 or found[0] == "+"))


def test_mask_hides_the_middle_digits() -> None:
    assert mask("13800138000") == "138****8000"


class PhoneBody(BaseModel):
    phone: Phone


def test_body_field_has_the_normal_form() -> None:
    assert PhoneBody(phone="+86 138 1234 5678").phone == NORMAL


def test_body_error_has_the_reason_without_the_value() -> None:
    with pytest.raises(ValidationError) as error:
        PhoneBody(phone="02584567890")
    (found,) = error.value.errors(include_input=False)
    assert found["type"] == "phone-landline"
    assert "845" not in found["msg"]
