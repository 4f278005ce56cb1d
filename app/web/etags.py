"""`ETag` and `If-Match` for rows that two people can edit at once. The tag begins with the row's version.

A route sets the tag `"7"`, the version. In the answer to a read, `app.middleware.delivery` adds a digest of the body
(`"7-5f0c21…"`), since the body can change while the row does not. `If-Match` takes both forms and compares the
versions: an edit is refused only if the row has changed.
"""

import re
from typing import Annotated, Any

from fastapi import Depends, Header

from app.core.i18n import gettext_noop
from app.web.errors import Problem

ReadVersion = int | frozenset[int] | None
"""The version of a row that the caller read, or several of which one must be present; None if any is accepted."""

_ETAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[ \t,]*{_ETAG}[ \t]*(?:,[ \t]*(?:{_ETAG}[ \t]*)?)*")
_TAG = re.compile(_ETAG)
_VERSION = re.compile(r'(?:W/)?"([0-9]{1,9})(?:-[0-9a-f]+)?"', re.ASCII)


class EditedMeanwhile(Problem):
    status, slug = 412, "edited-meanwhile"
    title = gettext_noop("内容已被他人修改")
    advice = gettext_noop("请重新读取后再修改。")


def format_etag(version: int) -> str:
    return f'"{version}"'


def parse_etags(header: str) -> list[str] | None:
    """Return the tags of `If-Match` or `If-None-Match` (RFC 9110 §13.1); None if it is no list of tags."""
    return _TAG.findall(header) if _LIST.fullmatch(header) else None


def require_version(present: int, read: ReadVersion) -> None:
    """Raise EditedMeanwhile if the version that the caller read is not the present one. None skips the check."""
    if read is not None and (present not in read if isinstance(read, frozenset) else present != read):
        raise EditedMeanwhile


async def _read_if_match(
    if_match: Annotated[
        str | None,
        Header(max_length=1000, description="The ETag that was read, or several; 412 where it has changed since."),
    ] = None,
) -> ReadVersion:
    if if_match is None or if_match.strip() == "*":
        return None
    # A tag that is not of this service is not the present one.
    versions = (_VERSION.fullmatch(tag) for tag in parse_etags(if_match) or ())
    return frozenset(int(found[1]) for found in versions if found is not None)


IfMatch = Annotated[ReadVersion, Depends(_read_if_match)]
"""The version that the caller read, or None without an `If-Match` header."""


REVALIDATED: dict[int | str, dict[str, Any]] = {
    304: {"description": "`If-None-Match` names the tag of the present answer: nothing of it has changed."},
}
"""The `responses=` of a read with an ETag, which the document declares for each answer that has a `version`."""
