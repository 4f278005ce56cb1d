"""The text of a cell."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_CELL = 1000
# Blanks and invisible characters at the ends of a text are no part of it.
ENDS = (
    " \t\r\n\v\f\u00a0\u3000\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u2800\u3164\ufeff\uffa0"
)
# Systems write ="139…" so that a spreadsheet program does not take the text for a number, and an apostrophe before a
# text that a program would calculate.
_QUOTED = re.compile(r'="(.*)"', re.DOTALL)
_ESCAPED = ("'=", "'+", "'-", "'@", "'＝", "'＋", "'－", "'＠")
_PROTECTION = ("=", "'")
_DATE_WORDS = re.compile(
    r"[0-9]{1,2}月[0-9]{1,2}日|[0-9]{4}[-/年][0-9]{1,2}[-/月][0-9]{1,2}日?(?: 0?0:00(?::00)?)?"
    "|[0-9]{1,2}-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
)


def convert_to_text(cell: Any) -> str:
    """Return the text of a cell without blanks and invisible characters at its ends."""
    if isinstance(cell, str):
        text = cell[:LONGEST_CELL].strip(ENDS)
        if text[:1] in _PROTECTION:
            return _remove_protection(text)
        return text
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e18:
        return str(int(cell))
    if hasattr(cell, "month") and hasattr(cell, "day"):
        return f"{cell.month}月{cell.day}日" if not getattr(cell, "hour", 0) else str(cell)[:LONGEST_CELL]
    return str(cell)[:LONGEST_CELL]


def _remove_protection(text: str) -> str:
    if text.startswith('="') and (quoted := _QUOTED.fullmatch(text)):
        return quoted[1].strip(ENDS)
    return text[1:] if text.startswith(_ESCAPED) else text


def is_date(cell: Any) -> bool:
    """Return whether a cell is a date or a time, or a text that a spreadsheet program has made of one."""
    if isinstance(cell, str):
        return _DATE_WORDS.fullmatch(cell.strip(ENDS)) is not None
    return not isinstance(cell, int | float)
