"""Keyset pagination: `limit` + opaque `cursor`, and one `Page` shape.

A cursor is the sort key of the last row of a page. A page has the same cost at any depth, and rows that are added or
removed between two pages do not shift it. A cursor contains only values that the caller has just received.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, Self, TypeAlias, TypeVar, TypeVarTuple

from fastapi import Query, params
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import BigInteger, ColumnElement, Integer, Select, UnaryExpression, and_, bindparam, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import operators

from app.core.i18n import gettext
from app.database.db import Readable
from app.database.row_types import R, build_row_maker
from app.web.errors import Invalid
from app.web.schemas import Out

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")

SortKey: TypeAlias = ColumnElement[Any] | InstrumentedAttribute[Any]
"""A column or expression that is never NULL; `.desc()` for a descending order."""

MAXIMUM = 200


class Page(Out, Generic[T]):
    """One page of a list. `next_cursor` is absent on the last page."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="Give it back as `cursor` for the next page.")

    @classmethod
    def from_slice(cls, found: "Slice[T]") -> Self:
        return cls(items=found.rows, next_cursor=found.next_cursor)


class ItemList(Out, Generic[T]):
    """A whole list, which is short and has no pages."""

    items: list[T]


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """The rows of one page, before they become a body of the API."""

    rows: list[T]
    next_cursor: str | None

    @classmethod
    def cut(cls, rows: Sequence[T], paging: "Paging", key: Callable[[T], tuple[object, ...]]) -> "Slice[T]":
        """Return the page from the rows that a statement returned for `paging` (up to `paging.rows`). `key` returns the
        sort key of a row."""
        shown = list(rows[: paging.limit])
        return cls(shown, encode_cursor(key(shown[-1])) if len(rows) > paging.limit else None)

    def map(self, make: Callable[[T], U]) -> "Slice[U]":
        return Slice([make(row) for row in self.rows], self.next_cursor)


@dataclass(frozen=True, slots=True)
class Paging:
    """The page to read: at most `limit` rows after the sort key `after` (None: from the start)."""

    limit: int
    after: tuple[Any, ...] | None

    @property
    def rows(self) -> int:
        """Return the number of rows to read: one more than `limit`, to find out whether there is a next page."""
        return self.limit + 1

    def build_parameters(self) -> dict[str, Any]:
        """Return the parameters that `paginate` adds: the number of rows and the values of the cursor."""
        return {"page_rows": self.rows} | {f"after_{number}": value for number, value in enumerate(self.after or ())}


class PagedStatement(Generic[R]):
    """The statement of a list, built once: one form for the first page, one for a page after a cursor.

    `keys` define the order; together they are unique and never NULL. `statement` has no order and no limit. Its values
    are bind parameters, which `fetch` takes by name. `row` has its columns.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *keys: SortKey, row: type[R]) -> None:
        key_columns = (_get_column(key).label(f"sort_key_{number}") for number, key in enumerate(keys))
        self._make = build_row_maker(row, statement.selected_columns.keys())
        self._whole_row = not issubclass(row, tuple)  # an `Out` ignores the sort keys
        self._keys = keys
        self._statement = statement.add_columns(*key_columns)

    @cached_property
    def _first_page(self) -> Select[*tuple[Any, ...]]:
        return paginate(self._statement, *self._keys, after_cursor=False)

    @cached_property
    def _later_page(self) -> Select[*tuple[Any, ...]]:
        return paginate(self._statement, *self._keys, after_cursor=True)

    async def fetch(self, db: Readable, paging: Paging, **values: Any) -> Slice[R]:
        """Return one page, with the cursor of the next one."""
        statement = self._first_page if paging.after is None else self._later_page
        found = (await db.execute(statement, values | paging.build_parameters())).all()
        cut = len(self._keys)
        shown = found[: paging.limit]
        return Slice(
            rows=[self._make(row if self._whole_row else row[:-cut]) for row in shown],
            next_cursor=encode_cursor(shown[-1][-cut:]) if len(found) > paging.limit else None,
        )


def paginate(statement: Select[*Ts], *keys: SortKey, after_cursor: bool) -> Select[*Ts]:
    """Return the statement for one page in the order of `keys`: the first page, or with `after_cursor` a later one.

    It is run with `Paging.parameters` and returns up to `Paging.rows` rows; `PagedStatement` and `Slice.cut` remove the
    additional row.
    """
    if after_cursor:
        columns = [_get_column(key) for key in keys]
        # A client can write any number into a cursor: it may be too large for the column's type.
        types = [BigInteger() if isinstance(column.type, Integer) else column.type for column in columns]
        values = [bindparam(f"after_{number}", type_=type_) for number, type_ in enumerate(types)]
        statement = statement.where(is_after(keys, values))
    return statement.order_by(*keys).limit(bindparam("page_rows", type_=Integer()))


def is_after(keys: Sequence[SortKey], values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Return the SQL condition that a row comes after these values in the order of the keys."""
    columns = [_get_column(key) for key in keys]
    directions = [_is_descending(key) for key in keys]
    if len(set(directions)) == 1:  # one row comparison, which an index on these columns supports
        mine, other = (columns[0], values[0]) if len(columns) == 1 else (tuple_(*columns), tuple_(*values))
        return mine < other if directions[0] else mine > other
    steps = []
    for number, (column, value, descending) in enumerate(zip(columns, values, directions, strict=True)):
        equal = [before == same for before, same in zip(columns[:number], values[:number], strict=True)]
        steps.append(and_(*equal, column < value if descending else column > value))
    return or_(*steps)


def _is_descending(key: SortKey) -> bool:
    return isinstance(key, UnaryExpression) and key.modifier is operators.desc_op


def _get_column(key: SortKey) -> ColumnElement[Any]:
    """Return the key without its direction."""
    if isinstance(key, UnaryExpression) and key.modifier in {operators.desc_op, operators.asc_op}:
        return key.element
    return key.expression


_KEY: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[Any, ...])


def encode_cursor(key: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(_KEY.dump_json(key)).rstrip(b"=").decode()


LimitQuery = Annotated[int, Query(ge=1, le=MAXIMUM, description="Rows a page.")]
CursorQuery = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the page before.")]


def paged_by(*key: type) -> params.Depends:
    """Return the dependency of a list whose sort key has these types. A cursor of another shape is a 422.

    >>> paging: Annotated[Paging, paged_by(str, UUID)]
    """
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[key])  # type: ignore[valid-type]  # the types are known only at run time

    async def paging(limit: LimitQuery = 50, cursor: CursorQuery = None) -> Paging:
        return read_paging(limit, cursor, adapter)

    return params.Depends(paging)


def read_paging(limit: int, cursor: str | None, key: TypeAdapter[Any]) -> Paging:
    """Return the page of a list whose sort key is of this type. Raises Invalid for a cursor of another shape."""
    if cursor is None:
        return Paging(limit, None)
    try:
        decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        after = key.validate_json(decoded, strict=False)
    except (ValidationError, binascii.Error, ValueError):
        after = None
    if after is None or not all(_is_storable(part) for part in after):
        wrong = {"pointer": "query/cursor", "code": "cursor", "detail": gettext("不是此列表的 cursor")}
        raise Invalid(errors=[wrong])
    return Paging(limit, after)


def _is_storable(part: object) -> bool:
    """Return whether PostgreSQL can store the value: text without NUL, numbers of 64 bits."""
    if isinstance(part, str):
        return "\x00" not in part
    return not isinstance(part, int) or -(2**63) <= part < 2**63
