"""`ETag` and `If-Match` on what two people can edit at once: the row's version, in quotes."""

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


def etag(version: int) -> str:
    return f'"{version}"'


def require_version(present: int, read: int | None) -> None:
    """Raise EditedMeanwhile where the caller said which version they read, and it is not the present one."""
    if read is not None and present != read:
        raise EditedMeanwhile


async def _if_match(
    if_match: Annotated[
        str | None, Header(max_length=200, description="The ETag that was read; 412 where it has changed since.")
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise EditedMeanwhile  # no version of ours, so certainly not the present one
    return int(found[1])


IfMatch = Annotated[int | None, Depends(_if_match)]
"""The version that the caller read, or None where they did not say."""
