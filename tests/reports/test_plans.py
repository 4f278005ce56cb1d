"""Reports are planned once for any org: the plan has to serve one with many subordinates as well."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Text, cast, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.orgs.tables import Org
from app.points.days import today
from app.reports import queries
from app.reports.queries import Viewer
from app.reports.schemas import Sort
from tests.people import People

BELOW = 1_000
_WRITTEN = [column for column in Org.__table__.c if column.computed is None]
_COPIED: dict[str, Any] = {"id": func.uuidv7(), "name": "plan " + cast(func.generate_series(1, BELOW), Text)}
_EDGES = text(
    "INSERT INTO tree_edges (subordinate_id, superior_id, since, before) SELECT id, :org_id, :since, 'infinity' "
    "FROM orgs WHERE name LIKE 'plan %'"
)


def rows_handled(node: dict[str, Any]) -> Iterator[float]:
    """How many rows each node of a plan gave or threw away."""
    thrown = ("Rows Removed by Filter", "Rows Removed by Join Filter")
    yield node["Actual Loops"] * (node["Actual Rows"] + sum(node.get(name, 0) for name in thrown))
    for below in node.get("Plans", []):
        yield from rows_handled(below)


@pytest.mark.parametrize("inside", [True, False])
async def test_an_overview_costs_as_many_rows_as_there_are_subordinates(
    people: People, engine: AsyncEngine, inside: bool
) -> None:
    org = await (await people.register()).create_org()
    until = today()
    statement = queries._kept_overview(7, Viewer(inside, 3), Sort.NAME, False, False)
    async with engine.connect() as db:
        copied = select(*(_COPIED.get(column.name, column) for column in _WRITTEN)).where(Org.id == UUID(org["id"]))
        await db.execute(insert(Org).from_select(_WRITTEN, copied))
        await db.execute(_EDGES, {"org_id": org["id"], "since": until - timedelta(days=30)})
        await db.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        await db.exec_driver_sql(f"PREPARE overview AS {statement.sql}")
        asked = f"'{org['id']}', '{until}', '{until - timedelta(days=7)}', 50"
        explained = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE overview ({asked})"
        plan = (await db.exec_driver_sql(explained)).scalar_one()[0]["Plan"]
        await db.exec_driver_sql("DEALLOCATE overview")
        await db.rollback()
    assert sum(rows_handled(plan)) < 60 * BELOW
