"""A phone as clerks write it: with remarks, dots and blanks, and with the faults that each has a reason of its own."""

import re
import unicodedata
from typing import NamedTuple

from app.core.phones import PhoneRefused, normalize
from app.members.sheets import NO_PHONE

# The clerk says that a person has no mobile phone. An empty cell does not: the number may be missing by mistake.
_NO_PHONE_ANSWERS = frozenset(
    (NO_PHONE, "无手机号码", "无手机号", "没有手机", "没有手机号", "没有手机号码", "no phone")
)
# These may mean that, or that the number is not known.
_UNCLEAR_ANSWERS = frozenset(
    (
        *("无", "/", "\\", "暂无", "没有", "-", "--", "---", "空", "不详", "未知", "待补", "待定"),
        *("无电话", "空号", "停机", "none", "null", "n/a", "na", "no"),
    )
)

_MOBILE = re.compile(r"(?<![0-9])(?:(?:\+|00)?86[ -]?)?(1[3-9][0-9](?:[ .\-_·]{0,2}[0-9]{4}){2})(?![0-9])")
_PLAIN = re.compile(r"(?<![0-9])(?:(?:\+|00)?86)?(1[3-9][0-9]{9})(?![0-9])")
_LONG_NUMBER = re.compile(r"[0-9](?:[ .\-_]{0,2}[0-9]){6,}")
_ID_NUMBER = re.compile(r"[1-9][0-9]{16}[0-9Xx]")
_OLD_ID_NUMBER = re.compile(r"[1-8][0-9]{5}[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}")
_MASKED = re.compile(r"(?:1[0-9]{2}|\+[0-9]{1,3})\*{4}[0-9]{4}")
_NEGATIVE = re.compile(r"[-−－﹣][0-9][0-9 ]*(?:\.0+)?")
_LOCAL = re.compile(r"(?:[2-8][0-9]{6,7}|0[1-9][0-9]{8,10}|[48]00[0-9]{7})(?:(?:转|分机)[0-9]{1,6})?")
_EXTENSION = re.compile(r"(0[1-9][0-9]{1,2}-[2-8][0-9]{6,7})-[0-9]{1,6}")
_REGION = re.compile(r"\((?:\+|00)?(852|853|886)\)[ -]*([0-9][0-9 -]{6,12})")
_LOOKALIKES = str.maketrans("OoQDlIi|", "00001111")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−－﹣", "-") | dict.fromkeys("。．·•", "."))
_LABELS = re.compile("手机|电话|移动|号码|号|本人|tel|phone|mobile", re.IGNORECASE)
_TWO_PHONES = re.compile("(?:1[3-9][0-9]{9}){2,}")
_DIGITS_IN_PHONE = 11


class PhoneValue(NamedTuple):
    """A phone in its normal form, or a masked one (`138****8000`). Without both the person has no mobile phone."""

    phone: str | None
    masked: str | None = None
    warnings: tuple[str, ...] = ()


def read_phone(text: str) -> PhoneValue:
    """Return the phone of a cell. Raises PhoneRefused with a code of `row_problems`."""
    if len(text) == _DIGITS_IN_PHONE and text.isascii() and text.isdecimal():  # nearly all rows of a large sheet
        try:
            return PhoneValue(normalize(text))
        except PhoneRefused as refused:
            raise PhoneRefused(_find_fault(text, refused.code)) from None
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES)
    lowered = plain.lower()
    if lowered in _NO_PHONE_ANSWERS or "".join(lowered.split()) in _NO_PHONE_ANSWERS:
        return PhoneValue(None)
    if lowered in _UNCLEAR_ANSWERS:
        raise PhoneRefused("phone-unclear")
    if _NEGATIVE.fullmatch(plain):
        raise PhoneRefused("phone-negative")
    if masked := _MASKED.fullmatch("".join(plain.split())):
        return PhoneValue(None, masked[0])
    try:
        return PhoneValue(normalize(text))
    except PhoneRefused as refused:
        if refused.code in {"phone-missing", "phone-scientific"}:
            raise
        return _read_loosely(plain, refused.code)


def _read_loosely(plain: str, code: str) -> PhoneValue:
    """Return the only mobile number of a text that has more than a number. Raises PhoneRefused."""
    numbers = {re.sub(r"[^0-9]", "", number) for number in (*_PLAIN.findall(plain), *_MOBILE.findall(plain))}
    rest = _MOBILE.sub(" ", _PLAIN.sub(" ", plain))
    if len(numbers) > 1 or (numbers and _LONG_NUMBER.search(rest)):
        raise PhoneRefused("phone-two-numbers")
    if numbers:
        remark = any(map(str.isalpha, _LABELS.sub("", rest)))
        return PhoneValue(normalize(numbers.pop()), None, ("phone-remark",) if remark else ())
    if region := _REGION.fullmatch(plain):
        return PhoneValue(normalize(f"+{region[1]}{region[2]}"))
    raise PhoneRefused(_find_fault(plain, code))


def _find_fault(plain: str, code: str) -> str:
    plain = _EXTENSION.sub(r"\1", plain.strip())
    compact = re.sub(r"[\s.\-_()']", "", plain)
    digits = re.sub(r"[^0-9]", "", compact)
    if _TWO_PHONES.fullmatch(digits):
        return "phone-two-numbers"
    if _ID_NUMBER.fullmatch(compact) or _OLD_ID_NUMBER.fullmatch(compact):
        return "phone-id-number"
    if re.search(r"[OoQDlIi|]", compact) and _PLAIN.fullmatch(compact.translate(_LOOKALIKES)):
        return "phone-letters"
    if code == "phone-landline" or _LOCAL.fullmatch(compact):
        return "phone-landline"
    national = digits.removeprefix("86") if len(digits) > _DIGITS_IN_PHONE else digits
    if len(compact) - len(digits) <= 2 and national.startswith("1") and len(national) != _DIGITS_IN_PHONE:
        short = _DIGITS_IN_PHONE - len(national)
        if 0 < short <= 9:
            return f"phone-too-short:{short}"
        if -9 <= short < 0:
            return f"phone-too-long:{-short}"
    return code


def mask_typed_phone(text: str) -> str:
    """Return the text of a cell of a refused row: whole mobile numbers and identity numbers in it are masked."""
    text = re.sub(r"(?<![0-9])([1-9][0-9]{3})[0-9]{9,12}([0-9]{1,2}[0-9Xx])(?![0-9])", r"\1**********\2", text)
    return re.sub(r"(?<![0-9])(1[3-9][0-9])[0-9]{4}([0-9]{4})(?![0-9])", r"\1****\2", text)
