"""The figures of an org's units cost what the org has people, whatever PostgreSQL believes of how many these are."""

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
_MADE = (
    # Neither keys nor facts: only what the figures are read from.
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


async def test_an_org_that_was_just_imported_is_counted_person_by_person(engine: AsyncEngine) -> None:
    org, day, asked = uuid4(), today(), []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    async with engine.connect() as db, db.begin() as never_committed:
        for statement in (*_MADE, *_NEVER_ANALYZED):
            await db.execute(text(statement.format(org=org, day=day, people=PEOPLE, tables=_TABLES)))
        event.listen(engine.sync_engine, "before_cursor_execute", note)
        try:
            report = await get_unit_report(db, org, Span(day, 7))
        finally:
            event.remove(engine.sync_engine, "before_cursor_execute", note)
        ((statement, parameters),) = asked
        explained = await db.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        plan = explained.scalar_one()[0]["Plan"]
        await never_committed.rollback()
    each = PEOPLE // 20
    assert [tuple(getattr(row, count) for count in COUNTS) for row in report.rows] == [
        (each, each, each, each * 5)
    ] * 20
    assert sum(looked_at(node) for node in nodes(plan)) < 150 * PEOPLE  # row against row they are millions


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def looked_at(node: dict[str, Any]) -> float:
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    return float(sum(node.get(count, 0) for count in counts) * node["Actual Loops"])
