"""String types for everything a caller may write: trimmed, bounded, and free of what cannot be shown or stored.

NUL and other controls, bidirectional overrides and whatever else shows as nothing are refused, so that a stored name
shows as what it is and is told from another by eye; rare Han characters beyond the BMP, the variants of one that a
selector chooses, and emoji, joined ones too, are kept. Lone surrogates are refused by pydantic itself.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.core.i18n import gettext_noop

# A selector chooses the shape of what stands before it, a joiner joins two emoji: elsewhere they show as nothing.
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_UNSHOWABLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    f"|(?<![{_EMOJI}\ufe0f])\u200d|\u200d(?![{_EMOJI}])"
    f"|(?<![{_EMOJI}0-9#*©®])[\ufe0e\ufe0f]"
    "|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe0d\U000e0100-\U000e01ef]"
)


def has_unshowable(text: str) -> bool:
    """Whether the text holds a control, bidirectional or invisible character."""
    return _UNSHOWABLE.search(text) is not None


def without_unshowable(text: str) -> str:
    """The text without those characters."""
    return _UNSHOWABLE.sub("", text)


def _showable(text: str) -> str:
    if has_unshowable(text):
        raise ValueError(gettext_noop("含有控制字符、改变文字方向的字符或不可见字符"))
    return unicodedata.normalize("NFC", text)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_showable)]
"""A name of a person, unit or org: 1 to 100 characters."""

PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), AfterValidator(_showable)
]
"""A person's name: 1 to 50 characters."""

Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_showable)
]
"""A short reason given to another person: 1 to 200 characters."""

SearchText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), AfterValidator(_showable)
]
"""What somebody searches for: 1 to 50 characters."""

Token = Annotated[str, StringConstraints(min_length=8, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")]
"""An opaque secret in base64url."""
