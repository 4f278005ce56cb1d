"""kill -9 of the API, the worker and PostgreSQL under load: each acknowledged event is counted once, and the totals are
exact.

Each process is killed once, or with XUEZU_PROOF=1 a hundred times in all at random moments.
"""

import asyncio
import os
import random
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from app.audit_log.entries import Actor
from app.auth.clients import create_client
from app.core.calendar import today
from app.database.migration import migrate_to_head
from app.embedded import postgres
from app.reports.rollup.verify import find_differences
from tests.databases import create_test_engine
from tests.points.services import event
from tests.processes import PATIENCE, Program, find_free_port
from tests.reports.test_overview import make_fixed_world
from tests.reports.test_rollup import create_viewer
from tests.reports.world import World, write_world

KILLS = 100 if os.environ.get("XUEZU_PROOF") == "1" else 3
BATCH = 20
POSTERS = 3


# The rollup stores the days one after the other, today last.
_ROLLUP_PENDING = """
SELECT EXISTS (SELECT FROM point_deltas) OR NOT EXISTS (SELECT FROM stored_days WHERE day = day_of(now()))
"""


@dataclass
class Service:
    """PostgreSQL, the API and a worker as processes, each of which can be killed and started again."""

    directory: Path
    port: int = field(default_factory=find_free_port)
    programs: dict[str, Program] = field(default_factory=dict)
    server: postgres.EmbeddedPostgres | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.build_url()

    def start(self, part: str) -> None:
        if part == "postgres":
            self.server = postgres.start(self.directory / "postgresql")
            return
        command = {"api": "serve", "worker": "worker"}[part]
        environment = {
            "XUEZU_DATABASE_URL": self.url,
            "XUEZU_DATA_DIR": self.directory / "data",
            "XUEZU_PORT": self.port,
            "XUEZU_LOG_FORMAT": "json",
        }
        self.programs[part] = Program(sys.executable, "-m", "app.cli", command, **environment)

    def kill(self, part: str) -> None:
        """Send kill -9 to the process and its children, and wait until they have ended."""
        if part != "postgres":
            program = self.programs.pop(part)
            os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait(PATIENCE)
            program.close()
            return
        assert self.server is not None
        postmaster = psutil.Process(self.server.pid)
        backends = postmaster.children()
        postmaster.kill()
        psutil.wait_procs([postmaster, *backends], PATIENCE)

    def supervise(self) -> None:
        """Restart each process that has ended because PostgreSQL was killed while it started."""
        for part, program in list(self.programs.items()):
            if program.process.poll() is not None:
                program.close()
                self.start(part)

    def end(self) -> None:
        for part in list(self.programs):
            self.kill(part)
        if self.server is not None:
            self.server.stop()


@dataclass
class Load:
    """Posts batches until `stop` is set. A batch without an answer is sent again until it has one."""

    service: Service
    client: tuple[str, str]
    world: World
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)
    lost_answers: int = 0

    async def post(self, dice: random.Random) -> None:
        async with httpx.AsyncClient(base_url=f"http://localhost:{self.service.port}", timeout=20) as api:
            headers: dict[str, str] = {}
            while not self.stop.is_set():
                users = [str(dice.choice(self.world.users)) for _ in range(BATCH)]
                batch = [event(user, points=dice.randrange(1, 9)) for user in users]
                while True:
                    try:
                        answer = await api.post("/v1/point-events", json={"events": batch}, headers=headers)
                        if answer.status_code == 200:
                            break
                        if answer.status_code == 401:
                            form = {"grant_type": "client_credentials"}
                            token = await api.post("/oauth/token", data=form, auth=self.client)
                            headers = {"Authorization": f"Bearer {token.json().get('access_token', '')}"}
                            continue
                        assert answer.status_code >= 500, answer.text
                    except (httpx.TransportError, ValueError):
                        pass
                    self.lost_answers += 1
                    await asyncio.sleep(0.1)
                outcomes = {each["event_id"]: each["outcome"] for each in answer.json()["outcomes"]}
                assert set(outcomes.values()) <= {"counted", "duplicate"}
                self.acknowledged |= {each["event_id"]: (each["user_id"], each["points"]) for each in batch}


@pytest.mark.long
async def test_events_sent_while_processes_are_killed_are_counted_once(directory: Path) -> None:
    dice = random.Random()
    service = Service(directory)
    try:
        await asyncio.to_thread(service.start, "postgres")
        await migrate_to_head(service.url)
        engine = create_test_engine(service.url)
        world = make_fixed_world(await create_viewer(engine), dice, [9, 8, 7, 9], [None, 0, 1, 0])
        await write_world(engine, world)
        async with engine.begin() as db:
            client = await create_client(db, Actor(), name="points", scopes=("point-events:write",))
        await engine.dispose()
        for part in ("api", "worker"):
            await asyncio.to_thread(service.start, part)
        load = Load(service, (client.client_id, client.secret or ""), world)
        posting = [asyncio.create_task(load.post(random.Random(number))) for number in range(POSTERS)]
        parts = ["api", "worker", "postgres"]
        for number in range(KILLS):
            before = len(load.acknowledged)
            async with asyncio.timeout(2 * PATIENCE):
                # Load goes on before the next kill.
                while len(load.acknowledged) < before + 2 * BATCH:
                    assert not any(task.done() for task in posting)
                    await asyncio.to_thread(service.supervise)
                    await asyncio.sleep(0.02)
            await asyncio.sleep(dice.random())
            part = parts[number] if len(parts) == KILLS else dice.choice(parts)
            await asyncio.to_thread(service.kill, part)
            await asyncio.sleep(dice.random() / 2)
            await asyncio.to_thread(service.start, part)
        load.stop.set()
        await asyncio.gather(*posting)
        assert load.lost_answers > 0, "no kill interrupted a request"
        await check_ledger(service, load)
    finally:
        await asyncio.to_thread(service.end)


async def check_ledger(service: Service, load: Load) -> None:
    connection = await asyncpg.connect(service.url)
    try:
        async with asyncio.timeout(2 * PATIENCE):
            while await connection.fetchval(_ROLLUP_PENDING):
                await asyncio.to_thread(service.supervise)
                await asyncio.sleep(0.1)
        rows = await connection.fetch("SELECT event_id, user_id, points FROM point_events")
        assert len(rows) == len(load.acknowledged)
        ledger: dict[str, Any] = {row["event_id"]: (str(row["user_id"]), row["points"]) for row in rows}
        assert ledger == load.acknowledged
        assert await connection.fetchval("SELECT count(DISTINCT event_id) FROM point_event_keys") == len(rows)
        stored = await connection.fetchval(
            "SELECT points_1 FROM org_totals WHERE org_id = $1 AND day = $2", load.world.orgs[0], today()
        )
        assert stored == sum(points for _, points in load.acknowledged.values())
        assert [found async for found in find_differences(connection)] == []
    finally:
        await connection.close()
