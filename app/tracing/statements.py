"""The name of a statement: its operation and its tables, as OpenTelemetry's `db.query.summary`.

Both come from closed sets, so that no text of a statement, and no value in it, can be in a name.
"""

import re
from collections.abc import Collection
from functools import lru_cache

OPERATIONS = frozenset(
    (
        *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "BEGIN", "COMMIT"),
        *("ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "COPY", "LOCK", "CREATE"),
        *("DROP", "TRUNCATE", "ANALYZE", "LISTEN", "UNLISTEN", "NOTIFY", "SHOW"),
    )
)
OTHER = "OTHER"
MAX_TABLES = 3
_MAX_TEXT = 20_000
_WORD = re.compile(r"\s*\(?\s*([A-Za-z]+)")
_WRITE = re.compile(
    r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\s+(?!SET\b|OF\b|SKIP\b|NOWAIT\b)", re.IGNORECASE
)
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:ONLY\s+)?(\w+)", re.IGNORECASE)


class _Known:
    tables: Collection[str] = ()


def know_tables(tables: Collection[str]) -> None:
    """Set the tables that names can contain; the collection may grow later."""
    _Known.tables = tables


@lru_cache(maxsize=1024)
def name_statement(sql: str) -> str:
    """Return for example `SELECT members units`: the operation and the first tables, in their order."""
    text = sql[:_MAX_TEXT]
    first = _WORD.match(text)
    operation = first[1].upper() if first else OTHER
    if operation == "WITH":
        write = _WRITE.search(text)
        operation = write[1].split()[0].upper() if write else "SELECT"
    if operation not in OPERATIONS:
        return OTHER
    tables = [found for found in dict.fromkeys(_TABLE.findall(text)) if found in _Known.tables]
    return " ".join([operation, *tables[:MAX_TABLES]])
