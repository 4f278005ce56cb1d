"""Lists: `limit` + opaque `cursor`, one `Page` shape.

A cursor is the sort key of the last row shown, so a page costs the same however deep it lies and rows that come
and go meanwhile never shift it. It holds only what the caller was just shown.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

from fastapi import Depends, Query
from pydantic import Field, TypeAdapter, ValidationError

from app.core.errors import Invalid
from app.core.schemas import Out

T = TypeVar("T")

MAXIMUM = 200


class Page(Out, Generic[T]):
    """One page of a list. `next_cursor` is absent on the last page."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="Give it back as `cursor` for the next page.")

    @classmethod
    def of(cls, rows: Sequence[Any], paging: "Paging", key: Callable[[Any], tuple[Any, ...]], item: type[T]) -> Self:
        """A page of `rows`, of which `paging.limit + 1` were asked for; `key` gives a row's sort key."""
        shown = rows[: paging.limit]
        more = len(rows) > paging.limit
        adapter: TypeAdapter[T] = TypeAdapter(item)
        return cls(
            items=[adapter.validate_python(row, from_attributes=True) for row in shown],
            next_cursor=encode_cursor(key(shown[-1])) if more and shown else None,
        )


@dataclass(frozen=True, slots=True)
class Paging:
    """What page is asked for: at most `limit` rows after the sort key `after` (None: from the start)."""

    limit: int
    after: tuple[Any, ...] | None


_KEY: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[Any, ...])


def encode_cursor(key: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(_KEY.dump_json(key)).rstrip(b"=").decode()


def paged_by(*key: type) -> Any:
    """The dependency of a list whose sort key has these types; a cursor of another shape is a 422.

    >>> paging: Annotated[Paging, paged_by(str, UUID)]
    """
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[key])  # type: ignore[valid-type]

    async def paging(
        limit: Annotated[int, Query(ge=1, le=MAXIMUM, description="Rows a page.")] = 50,
        cursor: Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")] = None,
    ) -> Paging:
        if cursor is None:
            return Paging(limit, None)
        try:
            decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            after = adapter.validate_json(decoded, strict=False)
        except (ValidationError, binascii.Error, ValueError):
            wrong = {"pointer": "query/cursor", "code": "cursor", "detail": "not a cursor of this list"}
            raise Invalid(errors=[wrong]) from None
        if not all(_fits(part) for part in after):
            raise Invalid(errors=[{"pointer": "query/cursor", "code": "cursor", "detail": "not a cursor of this list"}])
        return Paging(limit, after)

    return Depends(paging)


def _fits(part: object) -> bool:
    """Whether PostgreSQL has such a value: text without NUL, numbers of 64 bits."""
    if isinstance(part, str):
        return "\x00" not in part
    return not isinstance(part, int) or -(2**63) <= part < 2**63
