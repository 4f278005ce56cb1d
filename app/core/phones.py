"""Mobile numbers: the normal form, the mask, and a stable error code for every other text.

The normal form of a number of the mainland is the eleven national digits, `13800138000`; of any other number it is
E.164, `+85291234567`. So the blind indexes of mainland numbers stay as they are. A number of Hong Kong, Macao, Taiwan
or abroad is typed with the code of its country or region, `+852 9123 4567` or `00852 9123 4567`. No error contains the
text that was given.
"""

import re
import unicodedata
from typing import Annotated, Any

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, PhoneNumberType
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.i18n import gettext, gettext_noop


class PhoneRefused(ValueError):
    """The text is not a mobile number. `code` is the reason, a key of `REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# The reasons for which a text is not a mobile number, by their code.
REFUSALS: dict[str, str] = {
    "phone-missing": gettext_noop("缺少手机号码"),
    "phone-scientific": gettext_noop("手机号码已被表格软件改成科学计数法，数字已丢失"),
    "phone-landline": gettext_noop("这是固定电话，请填写手机号码"),
    "phone-invalid": gettext_noop("不是有效的手机号码"),
}

# The library provides the numbering plan. Its full parser is slow: it reads only texts that no pattern here matches.
_CHINA: Any = PhoneMetadata.metadata_for_region("CN")
_MOBILE = re.compile(_CHINA.mobile.national_number_pattern)
_PLAIN = re.compile(r"1[0-9]{10}", re.ASCII)
_PREFIXED = re.compile(r"(?:\+|00)?86(1[0-9]{10})", re.ASCII)
_DIALLED = re.compile(r"\+?[0-9]{1,20}", re.ASCII)
_EXCEL_FLOAT = re.compile(r"([0-9]{5,20})\.0+", re.ASCII)
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}", re.ASCII)
_INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_SEPARATORS = re.compile(r"[\s()\-‐‑‒–—―−﹣－（）]")


def normalize(text: str) -> str:
    """Return the normal form of a mobile number: eleven digits of the mainland, or E.164.

    Accepts full-width and other decimal digits; the prefixes +86, 0086, 86 and 0; blanks, hyphens, parentheses and
    invisible characters; a leading apostrophe; and Excel's `13800138000.0`. Raises PhoneRefused.
    """
    if _PLAIN.fullmatch(text) and _MOBILE.fullmatch(text):
        return text
    bare = remove_separators(text)
    if not bare:
        raise PhoneRefused("phone-missing")
    if len(bare) > 40:
        raise PhoneRefused("phone-invalid")
    bare = convert_full_width(bare)
    if _SCIENTIFIC.fullmatch(bare):
        raise PhoneRefused("phone-scientific")
    if float_form := _EXCEL_FLOAT.fullmatch(bare):
        bare = float_form[1]
    prefixed = _PREFIXED.fullmatch(bare)
    national = prefixed[1] if prefixed else bare
    if _MOBILE.fullmatch(national):
        return national
    return _parse_national_number(bare)


def remove_separators(text: str) -> str:
    """Return a number without blanks, hyphens, parentheses and invisible characters, and without the apostrophe before
    it with which a sheet marks a text."""
    return _SEPARATORS.sub("", _INVISIBLE.sub("", text)).lstrip("'’‘＇")


def convert_full_width(text: str) -> str:
    """Return a text with its full-width characters and other decimal digits in ASCII."""
    return "".join(_to_ascii(character) for character in text)


def _to_ascii(character: str) -> str:
    if "！" <= character <= "～":  # the full-width forms
        return chr(ord(character) - 0xFEE0)
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _parse_national_number(bare: str) -> str:
    if not _DIALLED.fullmatch(bare):
        raise PhoneRefused("phone-invalid")
    try:
        number = phonenumbers.parse("+" + bare[2:] if bare.startswith("00") else bare, "CN")
    except NumberParseException:
        raise PhoneRefused("phone-invalid") from None
    if not phonenumbers.is_valid_number(number):
        raise PhoneRefused("phone-invalid")
    kind = phonenumbers.number_type(number)
    if number.country_code != 86 and kind in {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}:
        return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))
    if kind == PhoneNumberType.MOBILE:
        return str(number.national_number)
    raise PhoneRefused("phone-landline" if kind == PhoneNumberType.FIXED_LINE else "phone-invalid")


def to_international(phone: str) -> str:
    """Return a number in its normal form as E.164: `+8613800138000`."""
    return phone if phone.startswith("+") else f"+86{phone}"


def mask(phone: str) -> str:
    """Mask a number in its normal form for lists: `138****8000`, `+852****4567`."""
    if not phone.startswith("+"):
        return f"{phone[:3]}****{phone[7:]}"
    country = phonenumbers.parse(phone).country_code
    return f"+{country}****{phone[-4:]}"


def _validate_phone(text: str) -> str:
    try:
        return normalize(text)
    except PhoneRefused as refused:
        raise PydanticCustomError(refused.code, gettext(REFUSALS[refused.code])) from None


Phone = Annotated[
    str,
    AfterValidator(_validate_phone),
    Field(
        max_length=60,
        description="A mobile number, as people type it; outside the mainland with the country code: `+852 9123 4567`.",
        examples=["13800138000"],
    ),
]
"""A mobile number in a body; it validates to its normal form. Errors never contain the value."""
