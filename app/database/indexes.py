"""Index builds while the service runs: `create_index` for migrations, and the repair of interrupted builds.

A CREATE INDEX CONCURRENTLY that fails or is killed leaves an invalid index: no query uses it, every write maintains it,
and IF NOT EXISTS accepts it as complete.
"""

import asyncio
import time
from collections.abc import Sequence

import asyncpg

from app.core.settings import CannotStart
from app.core.startup import ShowLine

LOCK_TIMEOUT = "10min"
"""How long one step of a build waits for other transactions, which can be long (exports, imports). Only VACUUM, DDL and
other builds of the same table wait for a build."""

PAUSE = 0.2

# The server continues a build whose client was killed. The code polls for its end: a statement that waits for the lock
# of the build has a snapshot, and the build waits for that snapshot.
_IS_BUILD_RUNNING = """
SELECT EXISTS (
    SELECT FROM pg_stat_progress_create_index WHERE datname = current_database() AND relid = to_regclass({table})
)
"""
_IS_INVALID = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass({name}) AND NOT indisvalid)"

_REQUIRE_VALID = """
DO $$ BEGIN
    IF NOT (SELECT indisvalid FROM pg_index WHERE indexrelid = '{name}'::regclass) THEN
        RAISE EXCEPTION 'the index {name} is not valid: another session builds it, or its build failed'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END $$
"""


def create_index(
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    schema: str | None = None,
    where: str | None = None,
    unique: bool = False,
    nulls_not_distinct: bool = False,
) -> None:
    """Build an index concurrently, in a migration. The preceding changes of the migration are committed first.

    `columns` may contain expressions: calls of functions.

    An invalid index of this name is dropped first and a valid one is left unchanged, so that a killed migration can run
    again. As SQL (`alembic upgrade --sql`), which cannot drop conditionally, only the final check is written: it raises
    for an invalid index.
    """
    import sqlalchemy as sa
    from alembic import op

    context = op.get_context()
    in_schema = f"{schema}." if schema else ""
    index = in_schema + name
    with context.autocommit_block():
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        if not context.as_sql:
            connection = op.get_bind()
            while connection.scalar(sa.text(_IS_BUILD_RUNNING.format(table=":table")), {"table": in_schema + table}):
                time.sleep(PAUSE)
            if connection.scalar(sa.text(_IS_INVALID.format(name=":name")), {"name": index}):
                op.execute(f"DROP INDEX CONCURRENTLY {index}")
        op.create_index(
            name,
            table,
            [sa.text(column) if "(" in column else column for column in columns],
            schema=schema,
            unique=unique,
            postgresql_where=sa.text(where) if where else None,
            postgresql_concurrently=True,
            postgresql_nulls_not_distinct=nulls_not_distinct or None,
            if_not_exists=True,
        )
        op.execute(_REQUIRE_VALID.format(name=index))
        op.execute(f"SET lock_timeout = '{context.opts['lock_timeout']}'")


_INVALID = """
SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS of_table,
    c.relkind = 'I' AS partitioned, c.relname ~ '_cc(new|old)[0-9]*$' AS of_a_rebuild
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace::regnamespace::text !~ '^pg_'
ORDER BY name
"""


async def repair_indexes(connection: asyncpg.Connection, show: ShowLine) -> None:
    """Rebuild every invalid index by its definition in the catalogue, and drop the leftovers of a killed REINDEX
    CONCURRENTLY.

    Waits for a running build. Raises CannotStart for an index that cannot be rebuilt.
    """
    found = await connection.fetch(_INVALID)
    if found:
        await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    for index in found:
        name, table = index["name"], index["of_table"]
        if index["partitioned"]:
            raise CannotStart(
                f"The index {name} is not valid, as not every partition of {table} has its part of it: attach the "
                "missing ones (ALTER INDEX … ATTACH PARTITION …), or drop the index and make it again."
            )
        try:
            while await connection.fetchval(_IS_BUILD_RUNNING.format(table="$1"), table):  # noqa: ASYNC110 — PostgreSQL announces no end of a build
                await asyncio.sleep(PAUSE)
            if await connection.fetchval(_IS_INVALID.format(name="$1"), name):
                show(f"Mending the index {name}: its build was ended half way")
                mend = "DROP INDEX CONCURRENTLY" if index["of_a_rebuild"] else "REINDEX INDEX CONCURRENTLY"
                await connection.execute(f"{mend} {name}")
        except asyncpg.PostgresError as error:
            raise CannotStart(
                f"The index {name} is not valid and cannot be rebuilt ({str(error).splitlines()[0]}): remove the "
                "cause, then run `xuezu migrate` again."
            ) from error
