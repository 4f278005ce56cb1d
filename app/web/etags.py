"""`ETag` and `If-Match` for rows that two people can edit at once. The tag is the row's version in quotes."""

import re
from typing import Annotated

from fastapi import Depends, Header

from app.core.i18n import gettext_noop
from app.web.errors import Problem

_VERSION = re.compile(r'(?:W/)?"([0-9]{1,9})"', re.ASCII)


class EditedMeanwhile(Problem):
    status, slug = 412, "edited-meanwhile"
    title = gettext_noop("内容已被他人修改")
    advice = gettext_noop("请重新读取后再修改。")


def format_etag(version: int) -> str:
    return f'"{version}"'


def require_version(present: int, read: int | None) -> None:
    """Raise EditedMeanwhile if the version that the caller read is not the present one. None skips the check."""
    if read is not None and present != read:
        raise EditedMeanwhile


async def _read_if_match(
    if_match: Annotated[
        str | None, Header(max_length=200, description="The ETag that was read; 412 where it has changed since.")
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise EditedMeanwhile  # not a version of this service, so not the present one
    return int(found[1])


IfMatch = Annotated[int | None, Depends(_read_if_match)]
"""The version that the caller read, or None without an `If-Match` header."""
