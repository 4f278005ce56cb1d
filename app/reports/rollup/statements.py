"""The SQL of the rollup: one file for each step in `sql/`. A file is read once, and no value is inserted into its text.

A file begins with its input, its output and its invariant. `-- name: NAME` begins a statement (or a script of several
statements without parameters). `-- include: FILE` is replaced by the text of `sql/FILE.sql`, so that a few long common
table expressions are written once. Values are bind parameters: `$1`, `$2` …
"""

import re
from importlib.resources import files

import asyncpg

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)


def load_statements(step: str) -> dict[str, str]:
    """Return the statements of `sql/<step>.sql` by name."""
    _, *parts = _NAME.split(_read(step))
    return {
        name: _INCLUDE.sub(lambda found: _read(found[1]), statement)
        for name, statement in zip(parts[::2], parts[1::2], strict=True)
    }


async def run_and_count(connection: asyncpg.Connection, statement: str, *values: object) -> int:
    """Run a statement and return the number of rows that it wrote."""
    tag: str = await connection.execute(statement, *values)
    return int(tag.rpartition(" ")[2])


def _read(step: str) -> str:
    return files("app.reports.rollup").joinpath("sql", f"{step}.sql").read_text("utf-8")
