"""A stage for crossing requests: the service over a database of its own, whose rows are put back between orders."""

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
from tests.people import People, staying_signed_in
from tests.proofs.scenes import Scene, Scenes

# Who is signed in stays signed in while the rest is put back.
_SIGN_IN = {"sessions", "refresh_tokens", "signing_keys", "security_keys", "security_key_challenges", "alembic_version"}
_COLUMNS = text("""
SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'
GROUP BY table_name ORDER BY table_name
""")


class Rows:
    """The rows of all tables as they stand at some moment, kept in a schema of this name."""

    def __init__(self, db: AsyncConnection, schema: str) -> None:
        self._db, self._schema = db, schema
        self._putting_back: list[str] = []

    async def keep(self) -> None:
        tables = {name: columns for name, columns in await self._db.execute(_COLUMNS) if name not in _SIGN_IN}
        copies = (f"CREATE TABLE {self._schema}.{name} AS TABLE public.{name}" for name in tables)
        await self._run(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE", f"CREATE SCHEMA {self._schema}", *copies)
        # Rows that came go, and those that went or changed are as they were; no trigger or reference is asked.
        self._putting_back = ["BEGIN", "SET LOCAL session_replication_role = replica"]
        for name, columns in tables.items():
            now, kept = f"public.{name} AS now", f"{self._schema}.{name} AS kept"
            self._putting_back += [
                f"DELETE FROM {now} WHERE now::text NOT IN (SELECT kept::text FROM {kept})",
                f"INSERT INTO public.{name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {kept} "
                f"WHERE kept::text NOT IN (SELECT now::text FROM {now})",
            ]
        self._putting_back += ["COMMIT"]

    async def put_back(self) -> None:
        await self._run(*self._putting_back)

    async def _run(self, *statements: str) -> None:
        connection: Any = (await self._db.get_raw_connection()).driver_connection
        await connection.execute(";\n".join(statements))


@dataclass(frozen=True, slots=True)
class Stage:
    engine: AsyncEngine
    db: AsyncConnection
    people: People
    scenes: Scenes

    @asynccontextmanager
    async def setting(self, name: str) -> AsyncIterator[Callable[[], Awaitable[Scene]]]:
        """The scene of this name, made once; what is given sets it back. Afterwards nothing of it is left."""
        before, begun = Rows(self.db, "before"), Rows(self.db, "begun")
        await before.keep()
        try:
            scene: Scene = await getattr(self.scenes, name)()
            await begun.keep()

            async def set_back() -> Scene:
                await begun.put_back()
                return scene

            async with staying_signed_in(self.scenes.persons):
                yield set_back
        finally:
            await before.put_back()


@asynccontextmanager
async def stage(url: str, data_dir: Path) -> AsyncIterator[Stage]:
    """The service over this database, and who plays: two admins and a platform operator."""
    settings = Settings(database_url=SecretStr(url), data_dir=data_dir).with_secrets()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
        hooks = {"response": [Contract(app).check]}
        async with (
            httpx.AsyncClient(transport=transport, base_url=str(settings.public_url), event_hooks=hooks) as api,
            ENGINE.of(app).connect() as db,
        ):
            await db.execution_options(isolation_level="AUTOCOMMIT")
            people = People(api)
            admin, second = await people.register(), await people.register()
            scenes = Scenes(admin, second, await create_operator(app, people), db)
            yield Stage(ENGINE.of(app), db, people, scenes)
