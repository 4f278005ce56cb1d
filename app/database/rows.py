"""Typed rows: the rows of a statement as named tuples or as bodies of the API.

SQLAlchemy types the rows of a long statement as `Any`. A query function names its row type instead:

    class UnitRow(NamedTuple):
        id: UUID
        name: str

    _UNIT = select(Unit.id, Unit.name).where(Unit.id == bindparam("unit_id"))

    async def get_unit(db: Readable, unit_id: UUID) -> UnitRow:
        return await one_or_404(db, _UNIT, UnitRow, {"unit_id": unit_id})

A named tuple has exactly the statement's columns, in their order; this is checked at every execution. An `Out` takes
its fields from the columns of the same names.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVarTuple, overload

from sqlalchemy import Executable, Row
from sqlalchemy.sql.selectable import TypedReturnsRows

from app.database.db import Readable
from app.database.row_types import R, build_row_maker
from app.web.errors import NotFound

Ts = TypeVarTuple("Ts")

Parameters: TypeAlias = Mapping[str, Any] | None


async def fetch_rows(db: Readable, statement: Executable, row: type[R], parameters: Parameters = None) -> list[R]:
    """Return all rows of a statement."""
    result = await db.execute(statement, parameters)
    make = build_row_maker(row, result.keys())
    return [make(found) for found in result]


async def fetch_row(db: Readable, statement: Executable, row: type[R], parameters: Parameters = None) -> R | None:
    """Return the only row of a statement, or None. Raises MultipleResultsFound."""
    result = await db.execute(statement, parameters)
    make = build_row_maker(row, result.keys())
    found = result.one_or_none()
    return None if found is None else make(found)


@overload
async def one_or_404(db: Readable, statement: TypedReturnsRows[*Ts], *, parameters: Parameters = None) -> Row[*Ts]: ...


@overload
async def one_or_404(db: Readable, statement: Executable, row: type[R], parameters: Parameters = None) -> R: ...


async def one_or_404(
    db: Readable, statement: Executable, row: type[R] | None = None, parameters: Parameters = None
) -> R | Row[*tuple[Any, ...]]:
    """Return the only row of a statement, as SQLAlchemy types it or as `row`.

    Raises NotFound, MultipleResultsFound.
    """
    found = (
        (await db.execute(statement, parameters)).one_or_none()
        if row is None
        else await fetch_row(db, statement, row, parameters)
    )
    if found is None:
        raise NotFound
    return found
