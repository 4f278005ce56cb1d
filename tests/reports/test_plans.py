"""PostgreSQL plans the statement of a report once for all orgs. The plan must also be fast for an org with many
subordinates."""

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Text, cast, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncEngine

from app.reports import overviews
from app.reports.schemas import Sort
from app.reports.totals import Viewer
from app.schema.orgs import Org
from app.schema.reports import OrgTotal, TreeEdge
from tests.people import People

BELOW = 1_000
_WRITTEN = [column for column in Org.__table__.c if column.computed is None]
_COPIED: dict[str, Any] = {"id": func.uuidv7(), "name": "plan " + cast(func.generate_series(1, BELOW), Text)}
UNTIL, BEFORE = date(2090, 1, 8), date(2090, 1, 1)
# In PostgreSQL's statistics of this tree, an org has one subordinate.
_USUAL = """
INSERT INTO tree_edges (subordinate_id, superior_id, since, before)
SELECT uuidv7(), uuidv7(), '2026-01-01', 'infinity' FROM generate_series(1, 3000)
"""
_EDGES = text("""
INSERT INTO tree_edges (subordinate_id, superior_id, since, before)
SELECT id, :org_id, '2026-01-01', 'infinity' FROM orgs WHERE name LIKE 'plan %'
""")
_PARTITION = f"CREATE TABLE org_totals_planned PARTITION OF org_totals FOR VALUES FROM ('{BEFORE}') TO ('2090-02-01')"
_TOTALS = insert(OrgTotal).from_select(
    list(OrgTotal.__table__.columns),
    select(
        *(
            {"org_id": TreeEdge.subordinate_id, "day": func.unnest(array([literal(UNTIL), literal(BEFORE)]))}.get(
                column.name, literal(5)
            )
            for column in OrgTotal.__table__.columns
        )
    ).join(Org, Org.id == TreeEdge.subordinate_id),
)


def count_rows(node: dict[str, Any]) -> Iterator[float]:
    """Yield, for each node of a plan, the number of rows that the node returned or removed."""
    thrown = ("Rows Removed by Filter", "Rows Removed by Join Filter")
    yield node["Actual Loops"] * (node["Actual Rows"] + sum(node.get(name, 0) for name in thrown))
    for child in node.get("Plans", []):
        yield from count_rows(child)


@pytest.mark.parametrize("inside", [True, False])
async def test_overview_cost_is_linear_in_subordinates(people: People, engine: AsyncEngine, inside: bool) -> None:
    org = await (await people.register()).create_org()
    statement = overviews._build_stored_overview(7, Viewer(inside, 3), Sort.NAME, False, False)
    async with engine.connect() as db:
        for prepared in (_USUAL, "ANALYZE tree_edges", _PARTITION, "SET LOCAL plan_cache_mode = force_generic_plan"):
            await db.exec_driver_sql(prepared)
        copied = select(*(_COPIED.get(column.name, column) for column in _WRITTEN)).where(Org.id == UUID(org["id"]))
        await db.execute(insert(Org).from_select(_WRITTEN, copied))
        await db.execute(_EDGES, {"org_id": org["id"]})
        await db.execute(_TOTALS)
        await db.exec_driver_sql(f"PREPARE overview AS {statement.sql}")
        explained = (
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE overview ('{org['id']}', '{UNTIL}', '{BEFORE}', 50)"
        )
        plan = (await db.exec_driver_sql(explained)).scalar_one()[0]["Plan"]
        await db.exec_driver_sql("DEALLOCATE overview")
        await db.rollback()
    handled = sum(count_rows(plan))
    assert 2 * BELOW < handled < 60 * BELOW
