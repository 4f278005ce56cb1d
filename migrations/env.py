"""Alembic's environment: the service's own settings and metadata, over asyncpg."""

import asyncio

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.base import ischema_names

from app import schema
from app.commands.configuration import complete_database_url, read_plain_settings
from app.database.connections import Database, Role
from app.database.db import create_engine_over
from app.database.migration import LOCK_TIMEOUT
from app.database.schema_compatibility import DELETE_DECLARATION, FIRST_DECLARED, INSERT_DECLARATION
from app.schema.audit import Xid8

ischema_names["xid8"] = Xid8


def is_ours(obj: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Tables that another program makes and keeps (the queue's) are none of the metadata's business."""
    return not (kind == "table" and reflected and compare_to is None and (name or "").startswith("pgqueuer"))


def store_declaration(*, ctx: MigrationContext, step: MigrationInfo, **_: object) -> None:
    """Store which code can run on the schema that this migration leaves, in the transaction of the migration."""
    script = step.up_revision
    assert script is not None
    if step.is_upgrade and script.revision >= FIRST_DECLARED:
        ctx.execute(INSERT_DECLARATION.format(script.revision, script.module.oldest_code))
    elif not step.is_upgrade and script.revision > FIRST_DECLARED:  # that one drops the table
        ctx.execute(DELETE_DECLARATION.format(script.revision))


def run(connection: Connection | None = None) -> None:
    options = {
        "target_metadata": schema.metadata,
        "include_object": is_ours,
        "transaction_per_migration": True,
        "compare_server_default": False,
        "on_version_apply": store_declaration,
        "lock_timeout": LOCK_TIMEOUT,  # for app.database.indexes, which sets another for a while
    }
    if connection is None:
        context.configure(
            dialect_name="postgresql", literal_binds=True, dialect_opts={"paramstyle": "named"}, **options
        )
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    else:
        context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()


async def online() -> None:
    # A caller in this process (the command line, the tests) gives the address; otherwise it is the settings'.
    given = context.config.attributes.get("database_url")
    if given is None:
        given = complete_database_url(read_plain_settings()).schema_url
    engine = create_engine_over(Database.from_url(given), Role.MIGRATION, size=0)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


if context.is_offline_mode():
    run()
else:
    asyncio.run(online())
