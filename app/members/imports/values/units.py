"""The units of a cell: paths from the top down, several of them separated by semicolons."""

import re
from functools import lru_cache

from app.core import names
from app.core.text import contains_refused_characters
from app.members.imports.row_problems import MAX_UNIT_DEPTH, MAX_UNIT_NAME_LENGTH

BETWEEN_UNITS = ";"
_SEPARATORS = re.compile("[;；]")


class UnitRefused(ValueError):
    """The text is not a path of units; `code` is the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@lru_cache(maxsize=5000)
def parse_units(text: str) -> str:
    """Return the paths of a cell, `党总支/第一支部;第二支部`, with normalized names. Raises UnitRefused."""
    paths = [path for path in map(_parse_path, _SEPARATORS.split(text)) if path]
    if not paths:
        raise UnitRefused("unit-missing")
    return BETWEEN_UNITS.join(dict.fromkeys(paths))


def _parse_path(text: str) -> str:
    if "\ufffd" in text:
        raise UnitRefused("unit-damaged")
    parts = [part for part in map(names.normalize_name, text.replace("／", "/").split("/")) if part]
    if any(contains_refused_characters(part) for part in parts):
        raise UnitRefused("unit-unshowable")
    if any(len(part) > MAX_UNIT_NAME_LENGTH for part in parts):
        raise UnitRefused("unit-too-long")
    if len(parts) > MAX_UNIT_DEPTH:
        raise UnitRefused("unit-too-deep")
    return "/".join(parts)
