"""Alembic's environment: the service's own settings and metadata, over asyncpg."""

import asyncio

from alembic import context
from sqlalchemy import Connection, NullPool
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import create_async_engine

from app import schema
from app.commands.configuration import complete_database_url, read_plain_settings
from app.database.db import build_engine_url
from app.database.migration import LOCK_TIMEOUT
from app.schema.audit import Xid8

ischema_names["xid8"] = Xid8


def is_ours(obj: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Tables that another program makes and keeps (the queue's) are none of the metadata's business."""
    return not (kind == "table" and reflected and compare_to is None and (name or "").startswith("pgqueuer"))


def run(connection: Connection | None = None) -> None:
    options = {
        "target_metadata": schema.metadata,
        "include_object": is_ours,
        "transaction_per_migration": True,
        "compare_server_default": False,
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
        database_url = complete_database_url(read_plain_settings()).database_url
        assert database_url is not None
        given = database_url.get_secret_value()
    engine = create_async_engine(
        build_engine_url(given),
        poolclass=NullPool,
        connect_args={"server_settings": {"lock_timeout": LOCK_TIMEOUT}},
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


if context.is_offline_mode():
    run()
else:
    asyncio.run(online())
