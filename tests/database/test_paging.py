"""Keyset pagination on a real table: any order, any rows, with rows added and removed between two pages."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from fastapi.params import Depends
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.paging import PagedStatement, Paging, paged_by
from app.database.rows import fetch_row, fetch_rows, one_or_404
from app.web.errors import Invalid, NotFound
from app.web.schemas import Out

_TABLE = Table(
    "paged", MetaData(), Column("id", BigInteger, primary_key=True), Column("number", Integer), Column("name", Text),
    prefixes=["TEMPORARY"],
)  # fmt: skip
_DEPENDENCY = paged_by(int, str, int)


class ItemRow(NamedTuple):
    id: int
    number: int
    name: str


class ItemOut(Out):
    name: str


class SwappedRow(NamedTuple):
    number: int
    id: int
    name: str


Contents = dict[int, tuple[int, str]]

_VALUES = st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "b", "学"]))
_CONTENTS = st.dictionaries(st.integers(0, 30), _VALUES, max_size=20)
_EDITS = st.lists(st.tuples(st.sets(st.integers(0, 30), max_size=5), _CONTENTS), max_size=6)
_DIRECTIONS = st.tuples(st.booleans(), st.booleans(), st.booleans())


@pytest.fixture
async def table(db: AsyncConnection) -> AsyncConnection:
    """Return a connection that has the empty table."""
    await db.run_sync(_TABLE.drop, checkfirst=True)
    await db.run_sync(_TABLE.create)
    return db


async def _fill(db: AsyncConnection, contents: Contents) -> None:
    if contents:
        values = [{"id": id_, "number": number, "name": name} for id_, (number, name) in contents.items()]
        await db.execute(insert(_TABLE), values)


async def _read_paging(cursor: str | None, limit: int, dependency: object = _DEPENDENCY) -> Paging:
    """Return the Paging that the dependency of the list reads from the query."""
    assert isinstance(dependency, Depends)
    assert dependency.dependency is not None
    paging = await dependency.dependency(limit, cursor)
    assert isinstance(paging, Paging)
    return paging


def _sort_rows(rows: Sequence[ItemRow], descending: tuple[bool, bool, bool]) -> list[ItemRow]:
    """Return the rows in the order of number, name, id: stable sorts from the last key to the first."""
    found = sorted(rows, key=lambda row: row.id, reverse=descending[2])
    found = sorted(found, key=lambda row: row.name.encode(), reverse=descending[1])
    return sorted(found, key=lambda row: row.number, reverse=descending[0])


@given(contents=_CONTENTS, edits=_EDITS, descending=_DIRECTIONS, limit=st.integers(1, 6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_contain_every_row_once_in_order(
    table: AsyncConnection,
    contents: Contents,
    edits: list[tuple[set[int], Contents]],
    descending: tuple[bool, bool, bool],
    limit: int,
) -> None:
    await table.execute(delete(_TABLE))
    await _fill(table, contents)
    always, used = set(contents), set(contents)
    columns = (_TABLE.c.number, _TABLE.c.name.collate("C"), _TABLE.c.id)
    keys = [key.desc() if down else key.asc() for key, down in zip(columns, descending, strict=True)]

    seen: list[ItemRow] = []
    paging = await _read_paging(None, limit)
    while True:
        page = await PagedStatement(select(_TABLE), *keys, row=ItemRow).fetch(table, paging)
        seen += page.rows
        assert len({row.id for row in seen}) == len(seen)
        if page.next_cursor is None:
            break
        assert len(page.rows) == limit
        paging = await _read_paging(page.next_cursor, limit)
        if edits:
            removed, added = edits.pop()
            await table.execute(delete(_TABLE).where(_TABLE.c.id.in_(removed)))
            always -= removed
            added = {id_: value for id_, value in added.items() if id_ not in used}
            used |= set(added)
            await _fill(table, added)

    assert seen == _sort_rows(seen, descending)
    assert always <= {row.id for row in seen}


async def test_full_last_page_has_no_cursor(table: AsyncConnection) -> None:
    await _fill(table, {1: (1, "a"), 2: (1, "b")})
    page = await PagedStatement(select(_TABLE), _TABLE.c.id, row=ItemRow).fetch(table, Paging(2, None))
    assert [row.id for row in page.rows] == [1, 2]
    assert page.next_cursor is None


async def test_cursor_beyond_the_column_type_is_an_empty_page(table: AsyncConnection) -> None:
    """A client can write any number of 64 bits into a cursor."""
    await _fill(table, {1: (1, "a")})
    for keys, after in (((_TABLE.c.number,), (2**40,)), ((_TABLE.c.number, _TABLE.c.id.desc()), (2**40, 1))):
        assert (await PagedStatement(select(_TABLE), *keys, row=ItemRow).fetch(table, Paging(2, after))).rows == []


async def test_cursor_of_another_list_is_refused(table: AsyncConnection) -> None:
    await _fill(table, {1: (1, "a"), 2: (1, "b")})
    page = await PagedStatement(select(_TABLE), _TABLE.c.name, _TABLE.c.id, row=ItemRow).fetch(table, Paging(1, None))
    assert (await _read_paging(page.next_cursor, 1, paged_by(str, int))).after == ("a", 1)
    with pytest.raises(Invalid):
        await _read_paging(page.next_cursor, 1, paged_by(int, str))


async def test_page_of_bodies_takes_columns_by_name(table: AsyncConnection) -> None:
    await _fill(table, {1: (1, "a"), 2: (1, "b")})
    page = await PagedStatement(select(_TABLE), _TABLE.c.id.desc(), row=ItemOut).fetch(table, Paging(1, None))
    assert page.rows == [ItemOut(name="b")]
    assert page.map(lambda found: found.name).rows == ["b"]
    assert page.next_cursor is not None


async def test_named_tuple_with_other_fields_is_an_error(table: AsyncConnection) -> None:
    for fetch in (fetch_rows, fetch_row, one_or_404):
        with pytest.raises(TypeError, match="SwappedRow"):
            await fetch(table, select(_TABLE), SwappedRow)
    with pytest.raises(TypeError, match="SwappedRow"):
        await PagedStatement(select(_TABLE), _TABLE.c.id, row=SwappedRow).fetch(table, Paging(1, None))


async def test_one_or_404_returns_the_row_or_raises_not_found(table: AsyncConnection) -> None:
    await _fill(table, {1: (1, "a")})
    assert await one_or_404(table, select(_TABLE).where(_TABLE.c.id == 1), ItemRow) == ItemRow(1, 1, "a")
    assert await fetch_row(table, select(_TABLE).where(_TABLE.c.id == 2), ItemRow) is None
    with pytest.raises(NotFound):
        await one_or_404(table, select(_TABLE).where(_TABLE.c.id == 2), ItemRow)
