"""The service with a database of its own for concurrent requests. Its rows are restored between two orders."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.settings import Settings
from app.database.db import ENGINE
from app.main import create_app
from tests.auth.operator_accounts import create_operator
from tests.contract import Contract
from tests.people import People, refresh_tokens_in_background
from tests.proofs.scenes import Scene, Scenes

# These tables are not restored, so that the people stay signed in.
_SIGN_IN = {"sessions", "refresh_tokens", "signing_keys", "security_keys", "security_key_challenges", "alembic_version"}
_COLUMNS = text("""
SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'
GROUP BY table_name ORDER BY table_name
""")


class Rows:
    """The rows of all tables at one moment, saved in a schema of this name."""

    def __init__(self, db: AsyncConnection, schema: str) -> None:
        self._db, self._schema = db, schema
        self._restoring: list[str] = []

    async def save(self) -> None:
        tables = {name: columns for name, columns in await self._db.execute(_COLUMNS) if name not in _SIGN_IN}
        copies = (f"CREATE TABLE {self._schema}.{name} AS TABLE public.{name}" for name in tables)
        await self._run(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE", f"CREATE SCHEMA {self._schema}", *copies)
        # Delete the rows that were added or changed, and insert those that were deleted or changed, without triggers.
        self._restoring = ["BEGIN", "SET LOCAL session_replication_role = replica"]
        for name, columns in tables.items():
            now, saved = f"public.{name} AS now", f"{self._schema}.{name} AS saved"
            self._restoring += [
                f"DELETE FROM {now} WHERE now::text NOT IN (SELECT saved::text FROM {saved})",
                f"INSERT INTO public.{name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {saved} "
                f"WHERE saved::text NOT IN (SELECT now::text FROM {now})",
            ]
        self._restoring += ["COMMIT"]

    async def restore(self) -> None:
        await self._run(*self._restoring)

    async def _run(self, *statements: str) -> None:
        connection: Any = (await self._db.get_raw_connection()).driver_connection
        await connection.execute(";\n".join(statements))


@dataclass(frozen=True, slots=True)
class Stage:
    """A running service, its database, and the scenes that can be played with it."""

    engine: AsyncEngine
    db: AsyncConnection
    people: People
    scenes: Scenes

    @asynccontextmanager
    async def open_scene(self, name: str) -> AsyncIterator[Callable[[], Awaitable[Scene]]]:
        """Create the scene of this name once. Yield the function that restores it. Remove its rows afterwards."""
        before, begun = Rows(self.db, "before"), Rows(self.db, "begun")
        await before.save()
        try:
            scene: Scene = await getattr(self.scenes, name)()
            await begun.save()

            async def restore_scene() -> Scene:
                await begun.restore()
                return scene

            async with refresh_tokens_in_background(self.scenes.persons):
                yield restore_scene
        finally:
            await before.restore()


@asynccontextmanager
async def open_stage(url: str, data_dir: Path) -> AsyncIterator[Stage]:
    """Start the service with this database, with two admins and a platform operator."""
    settings = Settings(database_url=SecretStr(url), data_dir=data_dir).complete_secrets()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
        hooks = {"response": [Contract(app).check]}
        async with (
            httpx.AsyncClient(transport=transport, base_url=str(settings.public_url), event_hooks=hooks) as api,
            ENGINE.get(app).connect() as db,
        ):
            await db.execution_options(isolation_level="AUTOCOMMIT")
            people = People(api)
            admin, second = await people.register(), await people.register()
            scenes = Scenes(admin, second, await create_operator(app, people), db)
            yield Stage(ENGINE.get(app), db, people, scenes)
