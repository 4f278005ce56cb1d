"""kill -9 of workers during concurrent edits of a directory: in the end every row is linked to the right account, and
the totals equal a recount. It runs with XUEZU_PROOF=1 only, because a short run finds little.

`XUEZU_SEED=…` repeats the calls of a run, but not at the same moments. `XUEZU_RUNS=…` is the number of runs, and
`XUEZU_ROUNDS=…` the number of rounds in each.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.phone_codes import limits
from app.auth.rate_limits import Limit, NetworkLimit
from app.auth.verification import verifications
from app.core.cipher import Cipher
from app.core.settings import Settings, make_key
from app.database.db import ENGINE
from app.key_rotation.index_key import rotate_index_key
from app.main import create_app
from tests.acts import add_admin, add_unit
from tests.conftest import migrated_database
from tests.key_rotation.test_index_key import list_total_differences
from tests.people import People, fresh_phone
from tests.proofs.directory import UNITS, Directory
from tests.proofs.invariants import assert_invariants, assert_rows

SEED = int(os.environ.get("XUEZU_SEED", "0"))
"""The seed of the first run; 0 chooses a random one."""
RUNS = int(os.environ.get("XUEZU_RUNS", "1" if SEED else "3"))
ROUNDS = int(os.environ.get("XUEZU_ROUNDS", "60"))
AT_ONCE = 10
WORKERS = 3
PHONES = 12
PATIENCE = 300

_WORKER = """
import asyncio
from datetime import timedelta
from app.core import logs
from app.commands.configuration import read_settings
from app.worker.worker import run_worker
logs.configure("json", process="worker")
asyncio.run(run_worker(read_settings(), heartbeat_timeout=timedelta(seconds=2)))
"""
# Some commits are slow, so that transactions overlap more often.
_SLOW_COMMITS = (
    "CREATE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF random() < 0.3 THEN PERFORM pg_sleep(random() / 10); END IF; RETURN NULL; END $$",
    *(
        f"CREATE CONSTRAINT TRIGGER commit_slowly AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION commit_slowly()"
        for table in ("users", "members")
    ),
)


class Workers:
    """Worker processes of which any can be killed."""

    def __init__(self, settings: Settings, log: Path) -> None:
        assert settings.database_url is not None
        assert settings.next_index_key is not None
        self._environment = os.environ | {
            "XUEZU_DATABASE_URL": settings.database_url.get_secret_value(),
            "XUEZU_DATA_DIR": str(settings.data_dir),
            "XUEZU_NEXT_INDEX_KEY": settings.next_index_key.get_secret_value(),
        }
        self._log = log
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        with self._log.open("ab") as log:
            started = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _WORKER, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        self._running.append(started)

    async def kill(self, dice: random.Random) -> None:
        """Send kill -9 to a random worker and the process that reads its sheet."""
        killed = self._running.pop(dice.randrange(len(self._running)))
        assert killed.returncode is None, self._log.read_text()[-4000:]
        os.killpg(killed.pid, signal.SIGKILL)
        await killed.wait()

    async def end(self) -> None:
        while self._running:
            await self.kill(random.Random())


@pytest.fixture
def settings(server_url: str, worker_id: str, tmp_path: Path) -> Settings:
    """Settings with a database of its own and a next index key."""
    url = SecretStr(migrated_database(server_url, f"xuezu_{worker_id}_directory"))
    next_key = SecretStr(make_key())
    created = Settings(database_url=url, data_dir=tmp_path / "data", database_pool=20, next_index_key=next_key)
    return created.complete_secrets()


@asynccontextmanager
async def open_directory(settings: Settings, seed: int) -> AsyncIterator[tuple[Directory, AsyncEngine]]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("127.0.0.1", 50000)), base_url="http://localhost:8000"
        ) as api,
    ):
        people = People(api)
        admins = [await people.register() for _ in range(3)]
        orgs = [await admin.create_org() for admin in admins]
        for admin, org in zip(admins, orgs, strict=True):
            for other in admins:
                if other is not admin:
                    await add_admin(admin, org, other)
            for name in UNITS:
                await add_unit(admin, org, name)
        engine = ENGINE.get(app)
        phones = [fresh_phone() for _ in range(PHONES)]
        ids = [org["id"] for org in orgs]
        yield Directory(api, engine, Cipher(settings), admins, ids, phones, random.Random(seed)), engine


@pytest.mark.skipif(os.environ.get("XUEZU_PROOF") != "1", reason="takes minutes; run with XUEZU_PROOF=1")
@pytest.mark.usefixtures("day_long_tokens")
@pytest.mark.parametrize("run", range(RUNS))
async def test_rows_edited_while_workers_are_killed_have_the_right_account(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    unlimited = Limit("code-phone", 10**6, timedelta(microseconds=1))
    monkeypatch.setattr(limits, "PHONE_CALLER_LIMIT", NetworkLimit(unlimited, unlimited))
    for name in ("PHONE_USER_LIMIT", "PHONE_FIRST_LIMIT", "PHONE_LIMIT"):
        monkeypatch.setattr(limits, name, unlimited)
    monkeypatch.setattr(verifications, "USER_LIMIT", Limit("verification-user", 10**6, timedelta(microseconds=1)))
    workers = Workers(settings, tmp_path / "workers.log")
    seed = SEED + run if SEED else random.randrange(1, 10**9)
    dice = random.Random(seed)
    kills = 0
    try:
        async with open_directory(settings, seed) as (acting, engine):
            async with engine.begin() as db:
                for statement in _SLOW_COMMITS:
                    await db.exec_driver_sql(statement)
            for _ in range(WORKERS):
                await workers.start()
            rotating: asyncio.Task[None] | None = None
            for number in range(ROUNDS):
                if number == ROUNDS // 2:
                    rotating = asyncio.create_task(rotate_index_key(engine, settings, Actor(), lambda _: None, step=1))
                acts = asyncio.gather(*acting.list_acts(AT_ONCE))
                if dice.random() < 0.4:
                    kills += await kill_busy_worker(workers, engine, dice)
                await acts
                # Check often, because a later call can repair a wrong row.
                if number % 6 == 5 or number == ROUNDS - 1:
                    await wait_for_jobs(engine)
                    async with engine.connect() as db:
                        await assert_rows(db)
                        await assert_invariants(db)
            if rotating is not None:
                await rotating
        assert settings.database_url is not None
        assert await list_total_differences(settings.database_url.get_secret_value()) == []
    finally:
        with suppress(ProcessLookupError):
            await workers.end()
        print(f"\nseed {seed}: {ROUNDS} rounds, {kills} kills, {dict(sorted(acting.answers.items()))}")  # noqa: T201 — a report for developers


async def kill_busy_worker(workers: Workers, engine: AsyncEngine, dice: random.Random) -> bool:
    """Kill a worker as soon as a job has started. Return False if none has started."""
    async with engine.connect() as db:
        await db.execution_options(isolation_level="AUTOCOMMIT")
        for _ in range(100):
            if await db.scalar(text("SELECT EXISTS (SELECT FROM pgqueuer WHERE status = 'picked')")):
                break
            await asyncio.sleep(0.01)
        else:
            return False
    await asyncio.sleep(dice.random() / 10)
    await workers.kill(dice)
    await workers.start()
    return True


async def wait_for_jobs(engine: AsyncEngine) -> None:
    async with asyncio.timeout(PATIENCE), engine.connect() as db:
        await db.execution_options(isolation_level="AUTOCOMMIT")
        while await db.scalar(text("SELECT EXISTS (SELECT FROM pgqueuer)")):  # noqa: ASYNC110 — the database has no event for it
            await asyncio.sleep(0.2)
