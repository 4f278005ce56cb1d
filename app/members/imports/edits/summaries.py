"""Counts of the rows of an import by outcome, and the causes of the refused ones."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from app.database.db import Readable
from app.database.rows import fetch_rows
from app.members.imports.edits.schemas import CauseOut, NamedUnitOut, RowSummaryOut
from app.members.imports.row_problems import get_cause_title
from app.members.imports.schemas import RowOutcome

MAX_NAMED_UNITS = 5


class _OutcomeRow(NamedTuple):
    outcome: str
    rows: int


class _CauseRow(NamedTuple):
    code: str
    rows: int
    unit_paths: list[str]
    unit_rows: list[int]


_OUTCOMES = text("""
SELECT outcome, count(*) AS rows FROM import_rows WHERE org_id = :org_id AND import_id = :import_id GROUP BY outcome
""")
# The problems that are about a unit name the units with the most rows.
_CAUSES = text("""
WITH reasons AS MATERIALIZED (
    SELECT DISTINCT i.row_no, split_part(problem, ':', 1) AS code, i.unit_path
    FROM import_rows AS i CROSS JOIN LATERAL unnest(i.problems) AS problem
    WHERE i.org_id = :org_id AND i.import_id = :import_id AND i.outcome = 'refused'
), units AS (
    SELECT code, unit_path, count(*) AS rows,
           row_number() OVER (PARTITION BY code ORDER BY count(*) DESC, unit_path) AS place
    FROM reasons
    WHERE unit_path IS NOT NULL AND code IN ('unit-unknown', 'unit-ambiguous', 'unit-skipped', 'unit-outside')
    GROUP BY code, unit_path
)
SELECT c.code, c.rows, coalesce(u.paths, '{}') AS unit_paths, coalesce(u.rows, '{}') AS unit_rows
FROM (SELECT code, count(*) AS rows FROM reasons GROUP BY code) AS c
LEFT JOIN (
    SELECT code, array_agg(unit_path ORDER BY place) AS paths, array_agg(rows ORDER BY place) AS rows
    FROM units WHERE place <= :most GROUP BY code
) AS u USING (code)
ORDER BY c.rows DESC, c.code
""")


async def summarize_rows(db: Readable, org_id: UUID, import_id: UUID) -> RowSummaryOut:
    """Return the number of rows with each outcome, and the causes of the refused rows, those of most rows first."""
    of_import = {"org_id": org_id, "import_id": import_id}
    counted = {row.outcome: row.rows for row in await fetch_rows(db, _OUTCOMES, _OutcomeRow, of_import)}
    causes = []
    if counted.get(RowOutcome.REFUSED):
        causes = await fetch_rows(db, _CAUSES, _CauseRow, of_import | {"most": MAX_NAMED_UNITS})
    return RowSummaryOut(
        **{outcome.value: counted.get(outcome, 0) for outcome in RowOutcome},
        causes=[_make_cause_out(row) for row in causes],
    )


def _make_cause_out(row: _CauseRow) -> CauseOut:
    return CauseOut(
        code=row.code,
        title=get_cause_title(row.code),
        rows=row.rows,
        units=[NamedUnitOut(path=path, rows=rows) for path, rows in zip(row.unit_paths, row.unit_rows, strict=True)],
    )
