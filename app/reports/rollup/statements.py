"""The package's SQL: a file a step under `sql/`, read once, never formatted.

A file begins with what goes in, what comes out and what holds. `-- name: NAME` begins a statement (or a script of
several without parameters); `-- include: FILE` stands for the text of `sql/FILE.sql`, which is how a few long common
table expressions are written once. Values are bind parameters: `$1`, `$2` …
"""

import re
from importlib.resources import files

import asyncpg

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)


def load(step: str) -> dict[str, str]:
    """The statements of `sql/<step>.sql` by their names."""
    _, *parts = _NAME.split(_read(step))
    return {
        name: _INCLUDE.sub(lambda found: _read(found[1]), statement)
        for name, statement in zip(parts[::2], parts[1::2], strict=True)
    }


async def count(connection: asyncpg.Connection, statement: str, *values: object) -> int:
    """Run a statement and return how many rows it wrote."""
    tag: str = await connection.execute(statement, *values)
    return int(tag.rpartition(" ")[2])


def _read(step: str) -> str:
    return files("app.reports.rollup").joinpath("sql", f"{step}.sql").read_text("utf-8")
