"""The types of rows: a named tuple of the statement's columns, or a body of the API."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from app.web.schemas import Out

R = TypeVar("R", bound="NamedTuple | Out")


def build_row_maker(row: type[R], columns: Iterable[str]) -> Callable[[Any], R]:
    """Return the function that turns a database row with these columns into `row`. Raises TypeError if they do not
    match."""
    if issubclass(row, Out):
        return row.model_validate
    if tuple(columns) != row._fields:
        raise TypeError(f"{row.__name__} has the fields {row._fields}, the statement the columns {tuple(columns)}")
    return row._make
