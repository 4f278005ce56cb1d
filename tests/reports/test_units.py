"""The cost of the unit report is linear in the people of the org, even without statistics in PostgreSQL."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.reports.periods import Span
from app.reports.recount import COUNTS
from app.reports.units import get_unit_report

PEOPLE = 2000
_CREATE_ORG = (
    # Without foreign keys and triggers: only the rows from which the figures are read.
    "SET LOCAL session_replication_role = replica",
    "INSERT INTO units (org_id, name, kind, position) SELECT '{org}', n, 'branch', n FROM generate_series(1, 20) AS n",
    """
    INSERT INTO unit_memberships (org_id, member_id, unit_id, since) SELECT '{org}', uuidv7(), units.id, '2026-01-01'
    FROM units, generate_series(1, {people} / 20) WHERE units.org_id = '{org}'
    """,
    """
    INSERT INTO activations (org_id, member_id, user_id, since) SELECT org_id, member_id, uuidv7(), '2026-01-01'
    FROM unit_memberships WHERE org_id = '{org}'
    """,
    "CREATE TABLE user_days_of_this_test PARTITION OF user_days DEFAULT",
    """
    INSERT INTO user_days (user_id, day, points, events) SELECT user_id, '{day}', 5, 1
    FROM activations WHERE org_id = '{org}'
    """,
)
_NEVER_ANALYZED = (
    "DELETE FROM pg_statistic WHERE starelid IN ({tables})",
    "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid IN ({tables})",
)
_TABLES = "'units'::regclass, 'unit_memberships'::regclass, 'activations'::regclass, 'user_days'::regclass"


async def test_unit_report_of_unanalyzed_org_is_linear_in_people(engine: AsyncEngine) -> None:
    org, day, statements = uuid4(), today(), []

    def record_statement(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    async with engine.connect() as db, db.begin() as never_committed:
        for statement in (*_CREATE_ORG, *_NEVER_ANALYZED):
            await db.execute(text(statement.format(org=org, day=day, people=PEOPLE, tables=_TABLES)))
        event.listen(engine.sync_engine, "before_cursor_execute", record_statement)
        try:
            report = await get_unit_report(db, org, Span(day, 7))
        finally:
            event.remove(engine.sync_engine, "before_cursor_execute", record_statement)
        ((statement, parameters),) = statements
        explained = await db.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        plan = explained.scalar_one()[0]["Plan"]
        await never_committed.rollback()
    each = PEOPLE // 20
    assert [tuple(getattr(row, count) for count in COUNTS) for row in report.rows] == [
        (each, each, each, each * 5)
    ] * 20
    assert sum(count_read_rows(node) for node in list_nodes(plan)) < 150 * PEOPLE  # a nested loop reads millions


def list_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from list_nodes(child)


def count_read_rows(node: dict[str, Any]) -> float:
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    return float(sum(node.get(count, 0) for count in counts) * node["Actual Loops"])
