"""Secrets from files: `XUEZU_…_FILE`."""

from pathlib import Path

import pytest

from app.commands.configuration import describe_unknown_settings, read_settings
from app.core.settings import ConfigurationError, Settings, list_secrets, make_key

SECRETS = list_secrets(Settings)


def test_every_password_and_key_is_a_secret() -> None:
    assert {"database_url", "database_password", "data_keys", "index_key", "next_index_key", "replica_url"} <= set(
        SECRETS
    )


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_read_from_its_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = "postgresql://xuezu@db/xuezu" if name.endswith("url") else "a-secret-of-some-length"
    (tmp_path / "given").write_text(f"{value}\n")
    if name == "direct_url":
        monkeypatch.setenv("XUEZU_DATABASE_URL", value)
    monkeypatch.setenv(f"XUEZU_{name.upper()}_FILE", str(tmp_path / "given"))
    assert getattr(Settings(), name).get_secret_value() == value
    assert list(describe_unknown_settings([f"XUEZU_{name.upper()}_FILE"])) == []


def test_relative_path_is_that_of_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd puts the credentials of a unit into $CREDENTIALS_DIRECTORY."""
    (tmp_path / "xuezu_data-keys").write_text(f"k:{make_key()}")
    (tmp_path / "xuezu_index-key").write_text(make_key())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("XUEZU_DATA_KEYS_FILE", "xuezu_data-keys")
    monkeypatch.setenv("XUEZU_INDEX_KEY_FILE", "xuezu_index-key")
    assert set(read_settings().parse_data_keys()) == {"k"}


def test_value_and_file_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("first")
    monkeypatch.setenv("XUEZU_DATA_KEYS", "second")
    monkeypatch.setenv("XUEZU_DATA_KEYS_FILE", str(tmp_path / "keys"))
    with pytest.raises(ConfigurationError, match="XUEZU_DATA_KEYS and XUEZU_DATA_KEYS_FILE are both set") as refused:
        read_settings()
    assert "first" not in str(refused.value)
    assert "second" not in str(refused.value)


def test_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XUEZU_INDEX_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="XUEZU_INDEX_KEY_FILE names a file that cannot be read"):
        read_settings()


def test_file_of_a_setting_that_is_no_secret_has_no_effect() -> None:
    (said,) = describe_unknown_settings(["XUEZU_PORT_FILE"])
    assert said.startswith("XUEZU_PORT_FILE is no setting and has no effect")
