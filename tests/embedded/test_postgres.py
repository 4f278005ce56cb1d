"""The embedded PostgreSQL in folders that went through something."""

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
from app.embedded.programs import account


def test_a_server_keeps_its_data_and_comes_back_after_a_crash_whoever_has_its_pid(folder: Path) -> None:
    data = folder / "postgres"
    with postgres.running(data) as server:
        server.execute("CREATE TABLE kept AS SELECT 42 AS answer", database=postgres.DATABASE)
    with postgres.running(data) as server:
        assert server.execute("SELECT answer FROM kept", database=postgres.DATABASE) == "42"
        os.kill(server.pid, signal.SIGKILL)
    # After a restart of the machine the old pid may be anybody's, and PostgreSQL waits for one of its own user's.
    user = account()
    with subprocess.Popen(["sleep", "60"], user=user.pw_uid if user else None) as stranger:
        for lock in (data / "postmaster.pid", data / ".s.PGSQL.5432.lock"):
            _, *lines = lock.read_text().splitlines()
            lock.write_text("\n".join([str(stranger.pid), *lines]) + "\n")
        assert postgres.find_running(data) is None
        with postgres.running(data) as server:
            assert server.execute("SELECT answer FROM kept", database=postgres.DATABASE) == "42"
            assert postgres.find_running(data) == server
        assert stranger.poll() is None
        stranger.kill()


def test_a_half_made_folder_is_made_again(folder: Path) -> None:
    draft = folder / "postgres.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    with postgres.running(folder / "postgres", settings=postgres.THROWAWAY) as server:
        assert server.execute("SHOW fsync") == "off"
    assert not draft.exists()


def test_paths_with_spaces_quotes_chinese_and_no_end(folder: Path) -> None:
    data = folder / "it's 学组" / ("long" * 20) / "postgres"
    with postgres.running(data, settings=postgres.THROWAWAY) as server:
        assert server.execute("SELECT lower('ÀÉ') || current_setting('server_encoding')") == "àéUTF8"
        assert server.sockets != data
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    shutil.rmtree(server.sockets)


def test_its_log_quotes_nobody(folder: Path) -> None:
    with postgres.running(folder / "postgres", settings=postgres.THROWAWAY) as server:
        server.execute("CREATE TABLE people (phone text PRIMARY KEY)")
        for _ in range(2):
            try:
                server.execute("INSERT INTO people VALUES ('13800138000')")
            except CannotStart:
                break
        else:
            pytest.fail("the second insert passed")
    log = (folder / "postgres" / "server.log").read_text()
    assert "people_pkey" in log
    assert "13800138000" not in log


def test_only_its_user_reaches_it(folder: Path) -> None:
    with postgres.running(folder / "postgres", settings=postgres.THROWAWAY) as server:
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
        assert server.execute("SHOW listen_addresses") == ""


def test_data_of_another_major_version_is_left_alone(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(CannotStart, match=r"was written by PostgreSQL 17, and this is PostgreSQL 18: carry it over"):
        postgres.start(data)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_folder_with_something_else_in_it_is_left_alone(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir()
    (data / "thesis.txt").write_text("mine")
    with pytest.raises(CannotStart, match="holds something else than PostgreSQL's data: move it away"):
        postgres.start(data)
    assert (data / "thesis.txt").read_text() == "mine"


def test_settings_that_postgres_refuses_are_told_with_its_own_words(folder: Path) -> None:
    with pytest.raises(CannotStart, match=r"did not start; the end of .*server\.log says why: .*max_connections"):
        postgres.start(folder / "postgres", settings={"max_connections": "many"})
    assert postgres.find_running(folder / "postgres") is None


def test_a_hold_ends_with_its_holder(folder: Path) -> None:
    with lock_data_dir(folder):
        second = lock_data_dir(folder)
        with pytest.raises(CannotStart, match=rf"in use by another run \(process {os.getpid()}\): .*XUEZU_DATA_DIR"):
            second.__enter__()
    with lock_data_dir(folder):
        pass
