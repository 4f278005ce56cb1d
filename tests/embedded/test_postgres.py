"""The embedded PostgreSQL in damaged or unusual directories."""

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from app.core.data_dir import lock_data_dir
from app.core.settings import CannotStart
from app.embedded import postgres
from app.embedded.programs import get_system_user


def test_server_recovers_after_a_crash_with_a_reused_pid(directory: Path) -> None:
    data = directory / "postgres"
    with postgres.run_server(data) as server:
        server.execute("CREATE TABLE stored AS SELECT 42 AS answer", database=postgres.DATABASE)
    with postgres.run_server(data) as server:
        assert server.execute("SELECT answer FROM stored", database=postgres.DATABASE) == "42"
        os.kill(server.pid, signal.SIGKILL)
    # After a restart of the machine another process can have the old pid, and PostgreSQL waits for it.
    user = get_system_user()
    with subprocess.Popen(["sleep", "60"], user=user.pw_uid if user else None) as stranger:
        for lock in (data / "postmaster.pid", data / ".s.PGSQL.5432.lock"):
            _, *lines = lock.read_text().splitlines()
            lock.write_text("\n".join([str(stranger.pid), *lines]) + "\n")
        assert postgres.find_running(data) is None
        with postgres.run_server(data) as server:
            assert server.execute("SELECT answer FROM stored", database=postgres.DATABASE) == "42"
            assert postgres.find_running(data) == server
        assert stranger.poll() is None
        stranger.kill()


def test_incomplete_data_directory_is_created_again(directory: Path) -> None:
    draft = directory / "postgres.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    with postgres.run_server(directory / "postgres", settings=postgres.THROWAWAY) as server:
        assert server.execute("SHOW fsync") == "off"
    assert not draft.exists()


def test_unusual_and_long_paths_are_supported(directory: Path) -> None:
    data = directory / "it's 学组" / ("long" * 20) / "postgres"
    with postgres.run_server(data, settings=postgres.THROWAWAY) as server:
        assert server.execute("SELECT lower('ÀÉ') || current_setting('server_encoding')") == "àéUTF8"
        assert server.sockets != data
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    shutil.rmtree(server.sockets)


def test_server_log_contains_no_personal_data(directory: Path) -> None:
    with postgres.run_server(directory / "postgres", settings=postgres.THROWAWAY) as server:
        server.execute("CREATE TABLE people (phone text PRIMARY KEY)")
        for _ in range(2):
            try:
                server.execute("INSERT INTO people VALUES ('13800138000')")
            except CannotStart:
                break
        else:
            pytest.fail("the second insert passed")
    log = (directory / "postgres" / "server.log").read_text()
    assert "people_pkey" in log
    assert "13800138000" not in log


def test_server_accepts_only_its_user(directory: Path) -> None:
    with postgres.run_server(directory / "postgres", settings=postgres.THROWAWAY) as server:
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
        assert server.execute("SHOW listen_addresses") == ""


def test_data_of_another_major_version_is_refused(directory: Path) -> None:
    data = directory / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(CannotStart, match=r"was written by PostgreSQL 17, and this is PostgreSQL 18: carry it over"):
        postgres.start(data)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_directory_with_other_files_is_refused(directory: Path) -> None:
    data = directory / "postgres"
    data.mkdir()
    (data / "thesis.txt").write_text("mine")
    with pytest.raises(CannotStart, match="contains other files than PostgreSQL's data: move it away"):
        postgres.start(data)
    assert (data / "thesis.txt").read_text() == "mine"


def test_setting_refused_by_postgres_is_reported_with_its_message(directory: Path) -> None:
    with pytest.raises(CannotStart, match=r"did not start; the end of .*server\.log says why: .*max_connections"):
        postgres.start(directory / "postgres", settings={"max_connections": "many"})
    assert postgres.find_running(directory / "postgres") is None


def test_data_directory_lock_ends_with_its_owner(directory: Path) -> None:
    with lock_data_dir(directory):
        second = lock_data_dir(directory)
        with pytest.raises(CannotStart, match=rf"in use by another run \(process {os.getpid()}\): .*XUEZU_DATA_DIR"):
            second.__enter__()
    with lock_data_dir(directory):
        pass
