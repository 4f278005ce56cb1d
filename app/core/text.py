"""String types for callers' texts: trimmed, bounded, and without characters that cannot be shown or stored.

NUL and other controls, bidirectional overrides, other invisible characters and private-use characters are refused, so
that readers see a stored name as it is and can distinguish it from others. A private-use code point that older systems
wrote for a character is replaced by that character, and a radical by the character that it looks like. Rare Han
characters beyond the BMP, their variation sequences, and emoji, also joined ones, are accepted. Pydantic itself refuses
lone surrogates.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.core.characters import replace_doubles
from app.core.i18n import gettext_noop
from app.core.names import normalize_name

# A variation selector changes the character before it, and a joiner joins two emoji. Elsewhere both are invisible.
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_REFUSED_CHARACTERS = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff\U000f0000-\U0010ffff]"
    f"|(?<![{_EMOJI}\ufe0f])\u200d|\u200d(?![{_EMOJI}])"
    f"|(?<![{_EMOJI}0-9#*©®])[\ufe0e\ufe0f]"
    "|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe0d\U000e0100-\U000e01ef]"
)


def contains_refused_characters(text: str) -> bool:
    """Return whether the text contains a character that no stored text may have: a control, bidirectional, invisible or
    private-use character."""
    return _REFUSED_CHARACTERS.search(text) is not None


def remove_refused_characters(text: str) -> str:
    """Return the text without the characters that `contains_refused_characters` finds."""
    return _REFUSED_CHARACTERS.sub("", text)


def _refuse_characters(text: str) -> str:
    text = replace_doubles(text)
    if contains_refused_characters(text):
        raise ValueError(gettext_noop("含有控制字符、改变文字方向的字符、不可见字符或自造字"))
    return text


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_refuse_characters)
]
"""A name of a thing: 1 to 100 characters."""

PersonName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=50),
    AfterValidator(_refuse_characters),
    AfterValidator(normalize_name),
]
"""A person's name in its stored form: 1 to 50 characters."""

Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_refuse_characters)
]
"""A short reason given to another person: 1 to 200 characters."""

SearchText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), AfterValidator(_refuse_characters)
]
"""A search text: 1 to 50 characters."""

Token = Annotated[str, StringConstraints(min_length=8, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")]
"""An opaque secret in base64url."""
