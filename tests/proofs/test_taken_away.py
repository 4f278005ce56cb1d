"""What the proofs are worth: the locks, triggers and conditions are taken away in turn, in a database of its own, and
crossing requests then break what must always be true. Where one of two that say the same is left, nothing breaks.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.main import create_app
from app.settings import Settings
from tests.acts import done
from tests.conftest import migrated_database
from tests.people import People
from tests.proofs.scenes import Scenes
from tests.proofs.stepping import interleave

ENOUGH = 30
"""Orders played: many more than it takes to see something break."""


@dataclass(frozen=True)
class Taken:
    """What is left out of the service's own statements, of the database's functions, and what is dropped."""

    statements: Sequence[tuple[str, str]] = ()  # what of them, and what instead
    functions: dict[str, str] = field(default_factory=dict)  # name: what is cut out of its body
    dropped: Sequence[tuple[str, str]] = ()  # how, and how it is put back


HIERARCHY_LOCK = ("pg_advisory_xact_lock(", "hashint8(")  # another function of a number, which does nothing
HIERARCHY_LOCK_IN_TRIGGER = {"certifications_hierarchy": r"PERFORM pg_advisory_xact_lock\(\d+\);"}
ORG_LOCK = ("FOR NO KEY UPDATE", "")
ORG_LOCK_IN_TRIGGER = {"units_tree": r"PERFORM FROM orgs WHERE id = NEW.org_id FOR NO KEY UPDATE;"}
CIRCLE_CHECK = [
    (f"ALTER TABLE certifications DISABLE TRIGGER {name}", f"ALTER TABLE certifications ENABLE TRIGGER {name}")
    for name in ("certifications_begun", "certifications_changed")
]
MAIN_ADMIN_REFERENCE = (
    "ALTER TABLE orgs DROP CONSTRAINT orgs_main_admin_fkey",
    "ALTER TABLE orgs ADD CONSTRAINT orgs_main_admin_fkey FOREIGN KEY (id, main_admin_id) "
    "REFERENCES org_admins (org_id, user_id) DEFERRABLE INITIALLY DEFERRED",
)
CIRCLE = "an org that stands under itself"

BREAKS = {
    "the hierarchy's lock": ("approvals_crossing_apart", Taken([HIERARCHY_LOCK], HIERARCHY_LOCK_IN_TRIGGER), CIRCLE),
    "the trigger that looks for circles": ("approvals_crossing", Taken(dropped=CIRCLE_CHECK), CIRCLE),
    "the org's lock, of units": (
        "unit_moves_crossing",
        Taken([ORG_LOCK], ORG_LOCK_IN_TRIGGER),
        "a unit that stands under itself",
    ),
    "the org's lock and the main admin's reference": (
        "hand_over_and_removal",
        Taken([ORG_LOCK], dropped=[MAIN_ADMIN_REFERENCE]),
        "an org whose main admin is not one of its admins",
    ),
}
HOLDS = {
    "the service's lock, the trigger's left": ("approvals_crossing_apart", Taken([HIERARCHY_LOCK])),
    "the trigger's lock, the service's left": ("approvals_crossing_apart", Taken(functions=HIERARCHY_LOCK_IN_TRIGGER)),
    "the main admin's reference, the lock left": ("hand_over_and_removal", Taken(dropped=[MAIN_ADMIN_REFERENCE])),
}
# So that what was broken in one test is not found in the next.
MENDED = (
    "UPDATE certifications SET state = 'released', released_at = clock_timestamp(), subordinate_name = NULL "
    "WHERE state = 'certified'",
    "UPDATE units SET parent_id = NULL, name = id::text",
    "INSERT INTO org_admins (org_id, user_id) SELECT id, main_admin_id FROM orgs ON CONFLICT DO NOTHING",
)


@pytest.fixture(scope="module")
def url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"weakened_{worker_id}")


@pytest.fixture(scope="module")
async def weakened(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[AsyncEngine, AsyncConnection, Scenes]]:
    """The service over a database of its own, from which things can be taken away."""
    settings = Settings(database_url=SecretStr(url), data_dir=tmp_path_factory.mktemp("weakened")).with_secrets()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
        async with (
            httpx.AsyncClient(transport=transport, base_url=str(settings.public_url)) as api,
            app.state.engine.connect() as db,
        ):
            await db.execution_options(isolation_level="AUTOCOMMIT")
            people = People(api)
            yield app.state.engine, db, Scenes(await people.register(), await people.register(), db)


@asynccontextmanager
async def taken_away(engine: AsyncEngine, db: AsyncConnection, taken: Taken) -> AsyncIterator[None]:
    """While it lasts, the service and its database go without."""

    def cut(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        for part, instead in taken.statements:
            statement = statement.replace(part, instead)
        return statement, parameters

    bodies = {
        name: await db.scalar(text("SELECT pg_get_functiondef(to_regproc(:name))"), {"name": name})
        for name in taken.functions
    }
    for name, pattern in taken.functions.items():
        weaker, cuts = re.subn(pattern, "", bodies[name])
        assert cuts == 1, f"{name} no longer holds {pattern}"
        await db.exec_driver_sql(weaker)
    for statement, _ in taken.dropped:
        await db.exec_driver_sql(statement)
    event.listen(engine.sync_engine, "before_cursor_execute", cut, retval=True)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", cut)
        for statement in (*MENDED, *(back for _, back in taken.dropped), *bodies.values()):
            await db.exec_driver_sql(statement)


@pytest.mark.parametrize("without", BREAKS)
async def test_without_it_something_breaks(weakened: tuple[AsyncEngine, AsyncConnection, Scenes], without: str) -> None:
    engine, db, scenes = weakened
    scene, taken, broken = BREAKS[without]
    async with taken_away(engine, db, taken):
        with pytest.raises(AssertionError) as found:
            await interleave(engine, getattr(scenes, scene), sample=ENOUGH)
        assert broken in str(found.value)


@pytest.mark.parametrize("without", HOLDS)
async def test_one_of_two_is_enough(weakened: tuple[AsyncEngine, AsyncConnection, Scenes], without: str) -> None:
    engine, db, scenes = weakened
    scene, taken = HOLDS[without]
    async with taken_away(engine, db, taken):
        assert await interleave(engine, getattr(scenes, scene), sample=4) == 4


async def test_every_walk_ends_also_in_a_broken_tree(weakened: tuple[AsyncEngine, AsyncConnection, Scenes]) -> None:
    """CYCLE is the net under the trigger."""
    engine, db, scenes = weakened
    async with taken_away(engine, db, Taken(dropped=CIRCLE_CHECK)):
        requests, _ = await scenes.approvals_crossing()
        edges = [done(await request()) for request in requests]
        assert edges[0]["superior_id"] == edges[1]["subordinate_id"]
        async with asyncio.timeout(30):
            for path in ("", "/superiors", "/subordinates", "/reports/overview"):
                done(await scenes.admin.get(f"/v1/orgs/{edges[0]['superior_id']}{path}"))
            done(await scenes.admin.get("/v1/orgs"))
