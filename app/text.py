"""String types for everything a caller may write: trimmed, bounded, and free of what cannot be shown or stored.

NUL and other controls, bidirectional overrides and invisible joiners are refused, so that a stored name shows as
what it is; rare Han characters beyond the BMP and emoji are kept. Lone surrogates are refused by pydantic itself.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_UNSHOWABLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def has_unshowable(text: str) -> bool:
    """Whether the text holds a control, bidirectional or invisible character."""
    return _UNSHOWABLE.search(text) is not None


def without_unshowable(text: str) -> str:
    """The text without those characters."""
    return _UNSHOWABLE.sub("", text)


def _showable(text: str) -> str:
    if has_unshowable(text):
        raise ValueError("holds control, bidirectional or invisible characters")
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
