"""Backups and restores of a real cluster, by the commands."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.backup import wal_archive
from app.backup.programs import give_away
from app.backup.repository import Repository, read_backup_age
from app.blind_index.key_checks import require_keys
from app.core.settings import Settings, make_key
from app.database.migration import migrate
from app.embedded import postgres
from app.embedded.programs import set_owner
from app.main import create_app
from tests.acts import Json, add_member
from tests.people import People, Person, fresh_name, fresh_phone

PROGRAMS = Path(sys.executable).parent
PYTHON = "/usr/bin/python3" if os.geteuid() == 0 and Path("/usr/bin/python3").exists() else sys.executable
"""PostgreSQL runs as another user than root, for whom root's own interpreter can be out of reach."""

PROOF = os.environ.get("XUEZU_PROOF") == "1"


class Scene:
    """A cluster that archives its log, and the commands with the settings of the service over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.backups = directory / "backups"
        self.backups.mkdir()
        set_owner(self.backups)
        directory.chmod(0o755)
        archive = f'{PYTHON} {wal_archive.__file__} "%p" {self.backups}'
        options = {"archive_mode": "on", "archive_command": archive, "summarize_wal": "on", "fsync": "off"}
        self.server = postgres.start(directory / "primary", settings=options)
        migrate(self.server.build_url())
        self.environment = {
            "XUEZU_DATABASE_URL": self.server.build_url(),
            "XUEZU_BACKUP_URL": self.server.build_url(user=postgres.SUPERUSER),
            "XUEZU_BACKUP_DIR": str(self.backups),
            "XUEZU_DATA_KEYS": f"k1:{make_key()}",
            "XUEZU_INDEX_KEY": make_key(),
            "XUEZU_DATA_DIR": str(directory / "data"),
        }
        self.settings = Settings(
            database_url=SecretStr(self.server.build_url()),
            data_keys=SecretStr(self.environment["XUEZU_DATA_KEYS"]),
            index_key=SecretStr(self.environment["XUEZU_INDEX_KEY"]),
            data_dir=directory / "data",
            trusted_proxies="127.0.0.0/8",
        ).complete_secrets()
        asyncio.run(require_keys(self.settings))

    @property
    def repository(self) -> Repository:
        return Repository(self.backups)

    def run(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run a command. Return what it says."""
        done = subprocess.run(
            [PROGRAMS / "xuezu", *arguments],
            env={**os.environ, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def archive(self) -> None:
        """End the present segment of the log, and wait until it is archived."""
        found = self.server.execute("SELECT pg_walfile_name(pg_create_restore_point('end')); SELECT pg_switch_wal()")
        stored = self.backups / "wal" / f"{found.splitlines()[0]}.gz"
        deadline = time.monotonic() + 20
        while not stored.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="xuezu-test-") as made:
        found = Scene(Path(made))
        try:
            yield found
        finally:
            found.server.stop()


@pytest.fixture(scope="module")
async def app(scene: Scene) -> AsyncIterator[FastAPI]:
    application = create_app(scene.settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="module")
async def admin(app: FastAPI) -> AsyncIterator[Person]:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield await People(client, app).register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


class Writer:
    """Adds members without a pause, and remembers when each one was requested and acknowledged."""

    def __init__(self, admin: Person, org: Json) -> None:
        self._admin, self._org = admin, org
        self.added: list[tuple[datetime, datetime, str]] = []
        self.stopping = False

    async def write(self) -> None:
        while not self.stopping:
            asked = datetime.now(UTC)
            member = await add_member(self._admin, self._org)
            self.added.append((asked, datetime.now(UTC), member["id"]))
            await asyncio.sleep(0.02)


async def list_members(directory: Path) -> set[str]:
    """Start PostgreSQL on a restored directory, as an operator would, and return the ids of all members."""
    with postgres.run_server(directory, settings=postgres.THROWAWAY) as server:
        connection = await asyncpg.connect(server.build_url())
        try:
            live = await connection.fetchval(
                "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND expires_at > now()"
            )
            audited = await connection.fetchval(
                "SELECT count(*) FROM audit_entries WHERE action = 'database.restored' AND org_id IS NULL"
            )
            assert (live, audited) == (0, 1)
            return {str(row["id"]) for row in await connection.fetch("SELECT id FROM members")}
        finally:
            await connection.close()


@pytest.mark.long
async def test_restore_has_all_writes_before_the_time_and_none_after(scene: Scene, admin: Person, org: Json) -> None:
    """Writers race with a full and an incremental backup, and with the time to which everything is restored."""
    for _ in range(10 if PROOF else 1):
        writer = Writer(admin, org)
        writing = asyncio.create_task(writer.write())
        await asyncio.to_thread(scene.run, "backup", "full")
        await asyncio.to_thread(scene.run, "backup", "incremental")
        await asyncio.sleep(0.3)
        instant = datetime.now(UTC)
        await asyncio.sleep(0.3)
        writer.stopping = True
        await writing
        await asyncio.to_thread(scene.archive)
        directory = scene.directory / f"restored-{instant:%H%M%S%f}"
        said = await asyncio.to_thread(scene.run, "restore", str(directory), "--to", instant.isoformat())
        assert "Ended" in said
        restored = await list_members(directory)
        assert {member for _, acknowledged, member in writer.added if acknowledged < instant} <= restored
        assert restored.isdisjoint({member for asked, _, member in writer.added if asked > instant})
        assert writer.added[-1][0] > instant
        shutil.rmtree(directory)


@pytest.mark.skipif(not PROOF, reason="takes long; run with XUEZU_PROOF=1")
async def test_drill_restores_the_end_of_the_log(scene: Scene, admin: Person, org: Json) -> None:
    member = await add_member(admin, org)
    await asyncio.to_thread(ensure_backup, scene)
    await asyncio.to_thread(scene.archive)
    said = await asyncio.to_thread(scene.run, "backup", "drill", "--keep-files")
    assert "The drill succeeded" in said
    directory = Path(said.partition("The files are in ")[2].partition("\n")[0].removesuffix("."))
    try:
        assert member["id"] in await list_members(directory)
    finally:
        shutil.rmtree(directory.parent)


def ensure_backup(scene: Scene) -> None:
    if not scene.repository.list_backups():
        scene.run("backup", "full")


async def test_description_of_a_backup_has_no_secret_and_nothing_of_a_person(
    scene: Scene, admin: Person, org: Json
) -> None:
    phone, name = fresh_phone(), fresh_name() + fresh_name()
    await admin.post(f"/v1/orgs/{org['id']}/members", json={"name": name, "phone": phone})
    said = await asyncio.to_thread(scene.run, "backup", "full")
    backup = scene.repository.list_backups()[-1]
    text = (scene.repository.base / backup.id / "backup.json").read_text() + said
    secrets = [scene.environment["XUEZU_DATA_KEYS"].partition(":")[2], scene.environment["XUEZU_INDEX_KEY"]]
    assert not [secret for secret in (phone, name, admin.phone, *secrets) if secret in text]
    assert backup.data_keys.keys() == {"k1"}
    age = read_backup_age(scene.backups)
    assert age is not None
    assert age < 60


# What verifying finds


def test_verify_says_which_file_segment_or_key_is_wrong(scene: Scene, tmp_path: Path) -> None:
    ensure_backup(scene)
    scene.archive()
    assert "can be restored" in scene.run("backup", "verify")
    other = scene.run("backup", "verify", status=1, XUEZU_DATA_KEYS=f"k1:{make_key()}")
    assert "another key named k1" in other
    missing = scene.run("backup", "verify", status=1, XUEZU_DATA_KEYS=f"k2:{make_key()}")
    assert "has no key k1" in missing
    assert "another key in generation 0" in scene.run("backup", "verify", status=1, XUEZU_INDEX_KEY=make_key())

    copy = scene.directory / "copy"
    shutil.copytree(scene.backups, copy)
    give_away(copy)
    try:
        repository = Repository(copy)
        backup = repository.list_backups()[-1]
        segment = copy / "wal" / f"{backup.first_segment}.gz"
        content = segment.read_bytes()
        segment.unlink()
        damaged = repository.get_data(backup.id) / "global" / "pg_control"
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
        said = scene.run("backup", "verify", status=1, XUEZU_BACKUP_DIR=str(copy))
        assert f"the first is {backup.first_segment}" in said
        assert "pg_control" in said
        segment.write_bytes(content[: len(content) // 2])
        said = scene.run("backup", "verify", status=1, XUEZU_BACKUP_DIR=str(copy))
        assert f"The archived segment {backup.first_segment} is damaged" in said
        refused = scene.run("restore", str(tmp_path / "new"), status=1, XUEZU_BACKUP_DIR=str(copy))
        assert "pg_verifybackup failed" in refused
    finally:
        shutil.rmtree(copy)


def test_restore_says_what_to_do_instead(scene: Scene) -> None:
    ensure_backup(scene)
    scene.archive()
    place = str(scene.directory / "elsewhere")
    assert "No backup was finished before" in scene.run("restore", place, "--to", "2026-01-01T00:00:00Z", status=1)
    assert "not over yet" in scene.run("restore", place, "--to", "2999-01-01T00:00:00Z", status=1)
    assert "is not empty" in scene.run("restore", str(scene.backups), status=1)


@pytest.mark.skipif(not PROOF, reason="takes long; run with XUEZU_PROOF=1")
def test_restore_to_a_time_after_the_end_of_the_log_is_refused(scene: Scene) -> None:
    ensure_backup(scene)
    scene.archive()
    place = str(scene.directory / "elsewhere")
    late = datetime.now(UTC) - timedelta(milliseconds=1)
    said = scene.run("restore", place, "--to", late.isoformat(), status=1)
    assert "The archived log ends before this time" in said


# Taking


def test_interrupted_backup_does_not_count(scene: Scene) -> None:
    before = {backup.id for backup in scene.repository.list_backups()}
    environment = {**os.environ, **scene.environment}
    taking = subprocess.Popen(
        [PROGRAMS / "xuezu", "backup", "full"], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not list(scene.repository.base.glob(".*/data/PG_VERSION")):
        assert taking.poll() is None
        time.sleep(0.01)
    os.killpg(taking.pid, 9)
    taking.wait()
    assert {backup.id for backup in scene.repository.list_backups()} == before
    assert "Removed what was left" in scene.run("backup", "full")
    assert not list(scene.repository.base.glob(".*"))


def test_incremental_backup_needs_a_full_one_and_the_summaries(scene: Scene, tmp_path: Path) -> None:
    empty = scene.directory / "empty"
    empty.mkdir()
    set_owner(empty)
    assert "take a full backup first" in scene.run("backup", "incremental", status=1, XUEZU_BACKUP_DIR=str(empty))
    assert not list(empty.rglob("backup.json"))
    wrong = "postgresql://nobody:Secret7@127.0.0.1:1/xuezu"
    said = scene.run("backup", "full", status=1, XUEZU_BACKUP_URL=wrong)
    assert "cannot be reached" in said
    assert "Secret7" not in said


@pytest.mark.skipif(not PROOF, reason="takes long; run with XUEZU_PROOF=1")
def test_prune_keeps_what_the_newest_backups_need(scene: Scene) -> None:
    scene.run("backup", "full")
    scene.run("backup", "incremental")
    chain = [backup.id for backup in scene.repository.list_backups()[-2:]]
    assert "Aborted" in scene.run("backup", "prune", "--keep", "1", status=1)
    scene.run("backup", "prune", "--keep", "1", "--yes")
    assert [backup.id for backup in scene.repository.list_backups()] == chain
    assert "can be restored" in scene.run("backup", "verify")
    assert "nothing is removed" in scene.run("backup", "prune", "--keep", "1", "--yes")


# The archive of the log


def make_segment(directory: Path, content: bytes) -> Path:
    segment = directory / "000000010000000000000007"
    segment.write_bytes(content)
    return segment


def test_segment_is_never_replaced_by_another(tmp_path: Path) -> None:
    segment = make_segment(tmp_path, b"first" * 1000)
    wal_archive.archive_segment(segment, tmp_path / "to")
    wal_archive.archive_segment(segment, tmp_path / "to")  # PostgreSQL repeats it after a crash
    make_segment(tmp_path, b"other" * 1000)
    with pytest.raises(ValueError, match="other content"):
        wal_archive.archive_segment(segment, tmp_path / "to")
    assert [path.name for path in (tmp_path / "to" / "wal").iterdir()] == [f"{segment.name}.gz"]


def test_segment_that_is_archived_twice_at_once_is_whole(tmp_path: Path) -> None:
    segment = make_segment(tmp_path, os.urandom(1 << 20))
    failures: list[Any] = []

    def archive() -> None:
        try:
            wal_archive.archive_segment(segment, tmp_path / "to")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=archive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_gaps_are_found_across_files_of_the_log_and_timelines(tmp_path: Path) -> None:
    names = ["0000000100000000000000FE", "000000010000000100000000", "000000020000000100000001", "00000002.history"]
    (tmp_path / "wal").mkdir()
    for name in names:
        (tmp_path / "wal" / f"{name}.gz").touch()
    assert Repository(tmp_path).find_gaps("0000000100000000000000FE") == ["0000000100000000000000FF"]
    assert Repository(tmp_path).list_segments() == names[:3]
