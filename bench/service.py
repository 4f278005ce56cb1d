"""The measured system: an embedded server with the world, the API as one process, and the references."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil
from pydantic import SecretStr
from sqlalchemy import func, update

from app.audit_log.entries import Actor
from app.auth.clients import create_client
from app.auth.oauth.protocol import Client
from app.auth.sessions import start_session
from app.authz.signing_keys import create_key_ring
from app.authz.tokens import TokenIssuer
from app.core.calendar import today
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.database.db import create_engine
from app.database.migration import migrate_to_head
from app.embedded import postgres
from app.schema.auth import Session
from bench.cost import Cost, measure_cost
from bench.tree import make_tree
from bench.world import Stopwatch, World, build_totals, find_world, make_world

START_TIMEOUT = 300.0
PUBLIC_URL = "http://localhost:9999"  # only the issuer of tokens; the real ports are free ones
# A crash while the world is written may lose it: no recovery is needed.
WRITING = postgres.THROWAWAY | {"wal_level": "minimal", "max_wal_senders": "0"}


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a run: a world of 1/`divisor` of the full size, and `rounds` rounds for each side of a comparison. In
    a round the answering process uses `seconds` of processor time."""

    divisor: int
    seconds: float
    rounds: int
    file: Path | None = None

    @property
    def server(self) -> Mapping[str, str]:
        """Return the settings of the PostgreSQL server, for a machine with at least 16 GB of memory."""
        full = self.divisor == 1
        return {
            "shared_buffers": "3GB" if full else "512MB",
            "effective_cache_size": "10GB" if full else "2GB",
            "maintenance_work_mem": "1GB" if full else "128MB",
            "max_wal_size": "8GB",
            "checkpoint_timeout": "15min",
            "jit": "off",  # for the service and for the references
        }


@dataclass(slots=True)
class Measured:
    """The measured system. `pids` and `addresses` have the running processes by name."""

    scale: Scale
    directory: Path
    url: str
    superuser_url: str
    settings: Settings
    world: World
    day: date
    """The day of the world; a measurement can run past midnight."""
    first_built: tuple[Cost, Cost]
    """The cost of the first rebuild, and of two scans of the day rows."""
    resident_first: int = 0
    pids: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> str:
        return self.addresses["serve"]

    @property
    def reference(self) -> str:
        return self.addresses["reference"]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "XUEZU_DATABASE_URL": self.url,
            "XUEZU_DATA_DIR": str(self.directory / "data"),
            "XUEZU_PUBLIC_URL": PUBLIC_URL,
            "XUEZU_LOG_FORMAT": "json",
            "XUEZU_TRUSTED_PROXIES": "127.0.0.1",  # the limits by address do not apply to the measurements
        }

    def measure(self, *names: str) -> AbstractContextManager[Cost]:
        """Measure the time of the `with` block, and the processor time of the named processes in it.

        `postgres` includes the backends of the server. `BENCH` is this process.
        """
        return measure_cost(self.pids, *names)

    @contextmanager
    def run_process(
        self,
        name: str,
        arguments: Sequence[str],
        ready: str | None,
        status: int = 200,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        """Run a Python program during the `with` block. `{port}` in its arguments is replaced by a free port.

        `settings` are added to its environment.

        If `ready` is a path, the block begins when the program answers that path with `status`.
        """
        with (self.directory / f"{name}.log").open("ab") as log:
            port = find_free_port()
            filled = [argument.replace("{port}", str(port)) for argument in arguments]
            environment = self.environment | {"XUEZU_PORT": str(port)} | dict(settings or {})
            process = subprocess.Popen([sys.executable, *filled], env=environment, stdout=log, stderr=log)
            self.pids[name], self.addresses[name] = process.pid, f"http://127.0.0.1:{port}"
            try:
                if ready is not None:
                    wait_for_answer(f"{self.addresses[name]}{ready}", status, process)
                yield
            finally:
                del self.pids[name], self.addresses[name]
                stop_process(process)

    @contextmanager
    def run_worker(self) -> Iterator[None]:
        """Run the worker during the `with` block."""
        with self.run_process("worker", ("-m", "app.cli", "worker"), None):
            yield

    def sign_in(self, user_id: UUID, *, keyed: bool = True) -> dict[str, str]:
        """Start a session of a user of the world and return its Authorization header. With `keyed`, a security key
        counts as proved in the session."""
        return asyncio.run(self._sign_in(user_id, keyed=keyed))

    async def _sign_in(self, user_id: UUID, *, keyed: bool) -> dict[str, str]:
        engine = create_engine(self.settings)
        try:
            issuer = TokenIssuer(create_key_ring(engine, Cipher(self.settings)), self.settings.issuer)
            client = Client("xuezu-app", "app", "app", frozenset(), 3600, 86_400)
            async with engine.begin() as db:
                tokens = await start_session(db, issuer, Actor(), client, user_id, methods=("otp",), device="bench")
                if keyed:
                    live = (Session.user_id == user_id, Session.ended_at.is_(None))
                    await db.execute(update(Session).where(*live).values(key_checked_at=func.now()))
        finally:
            await engine.dispose()
        return {"Authorization": f"Bearer {tokens.access_token}"}

    async def sign_in_in_loop(self, user_id: UUID) -> dict[str, str]:
        """Start a session with a proved security key and return its Authorization header. Use it in an event loop, and
        `sign_in` outside."""
        return await self._sign_in(user_id, keyed=True)

    def find_main_admin(self, org_id: UUID) -> UUID:
        return UUID(str(self.query_value("SELECT main_admin_id FROM orgs WHERE id = $1", org_id)))

    def query_value(self, statement: str, *arguments: object) -> object:
        """Return one value from the database, as the superuser."""
        return asyncio.run(self.fetch_value(statement, *arguments))

    async def fetch_value(self, statement: str, *arguments: object) -> Any:
        """Return one value from the database, as the superuser. Use it in an event loop, and `query_value` outside."""
        connection = await asyncpg.connect(self.superuser_url)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    async def wait_for_rollup(self, seconds: float = 1800, *, every: float = 0.5) -> None:
        """Wait until no deltas wait for the rollup, at most `seconds`. Look for them each `every` seconds."""
        until = time.monotonic() + seconds
        facts = ("point_deltas", "member_deltas", "edge_deltas")
        waiting = f"SELECT {' OR '.join(f'EXISTS (SELECT FROM {table})' for table in facts)}"
        while await self.fetch_value(waiting) and time.monotonic() < until:
            await asyncio.sleep(every)

    def sign_in_service(self, *scopes: str) -> dict[str, str]:
        """Create a service client with these scopes and return the Authorization header of its token."""

        async def create() -> tuple[str, str]:
            engine = create_engine(self.settings)
            try:
                async with engine.begin() as db:
                    client = await create_client(db, Actor(), name="bench", scopes=scopes)
            finally:
                await engine.dispose()
            assert client.secret is not None
            return client.client_id, client.secret

        granted = httpx.post(
            f"{self.ours}/oauth/token", data={"grant_type": "client_credentials"}, auth=asyncio.run(create())
        )
        granted.raise_for_status()
        return {"Authorization": f"Bearer {granted.json()['access_token']}"}


@contextmanager
def run_service(scale: Scale, keep: Path | None = None) -> Iterator[Measured]:
    """Run PostgreSQL with the world, the API and the bare reference during the `with` block.

    Afterwards the world is deleted. With `keep` it stays in that directory, for a later run of the same day and scale.
    """
    with ExitStack() as stack:
        if keep is None:
            keep = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xuezu-bench-")))
        directory = keep.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
        measured = stack.enter_context(_run_over_world(scale, directory))
        stack.enter_context(measured.run_process("serve", ("-m", "app.cli", "serve"), "/readyz"))
        measured.resident_first = psutil.Process(measured.pids["serve"]).memory_info().rss
        bare = ("-m", "uvicorn", "bench.reference:app", "--port", "{port}", "--no-access-log", "--log-level", "error")
        stack.enter_context(measured.run_process("reference", (*bare, "--loop", "uvloop"), "/nothing", 404))
        yield measured


@contextmanager
def _run_over_world(scale: Scale, directory: Path) -> Iterator[Measured]:
    made = directory / "world.json"
    day = today()
    wanted = {"form": 2, "day": str(day), "divisor": scale.divisor, "file": str(scale.file) if scale.file else None}
    stored = json.loads(made.read_text()) if made.exists() else {}
    settings = Settings(data_dir=directory / "data", public_url=PUBLIC_URL).complete_secrets()
    if {name: stored.get(name) for name in wanted} != wanted:
        shutil.rmtree(directory / "postgres", ignore_errors=True)
        print(f"Writing the world at 1/{scale.divisor}" if scale.divisor > 1 else "Writing the world", flush=True)
        with postgres.run_server(directory / "postgres", settings=WRITING | dict(scale.server)) as server:
            stored = wanted | {"first_built": [asdict(cost) for cost in _write(server, settings, scale, day)]}
        os.sync()
        made.write_text(json.dumps(stored))
    with postgres.run_server(directory / "postgres", settings=scale.server) as server:
        settings.database_url = SecretStr(server.build_url())
        superuser_url = server.build_url(user=postgres.SUPERUSER)
        asyncio.run(migrate_to_head(server.build_url()))  # the code can be newer than the stored world
        world = asyncio.run(_find_world(superuser_url))
        rebuilt, scanned = (Cost(**cost) for cost in stored["first_built"])
        measured = Measured(
            scale, directory, server.build_url(), superuser_url, settings, world, day, (rebuilt, scanned)
        )
        measured.pids["postgres"] = server.pid
        yield measured


def _write(server: postgres.EmbeddedPostgres, settings: Settings, scale: Scale, day: date) -> tuple[Cost, Cost]:
    show_step = Stopwatch()
    asyncio.run(migrate_to_head(server.build_url()))
    show_step("migrations")
    tree = make_tree(scale.divisor, scale.file)
    show_step("the tree's shape")
    asyncio.run(make_world(server.build_url(user=postgres.SUPERUSER), Cipher(settings), tree, day))
    show_step = Stopwatch()
    first_built = asyncio.run(build_totals(server.build_url(), day, {"postgres": server.pid}))
    show_step("the stored totals: the service's own rebuild")
    return first_built


async def _find_world(superuser_url: str) -> World:
    connection = await asyncpg.connect(superuser_url)
    try:
        return await find_world(connection)
    finally:
        await connection.close()


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def wait_for_answer(url: str, status: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the address answers with this status. Raises an error if the process ends before that."""
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == status:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer {status} within {START_TIMEOUT:.0f} s")
