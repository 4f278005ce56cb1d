"""Settings: a password in any characters, an address that is never shown in parts, misspelt names."""

import pytest
from pydantic import SecretStr

from app.commands.configuration import describe_unknown_settings, read_plain_settings
from app.core.database_url import parse_database_url
from app.core.settings import CannotStart, Settings
from tests.processes import run_refused

PASSWORDS = ["p@ss/w?rd#%41:[x]", "密码 \\\"'", "%", "@", "a b+c", "://", "&x=1"]


@pytest.mark.parametrize("password", PASSWORDS)
def test_database_password_with_special_characters_is_unchanged_in_the_url(password: str) -> None:
    for place in ("db.internal:5432/xuezu", "[::1]:5432/xuezu?sslmode=require", "/xuezu?host=%2Frun%2Fpg", "a:1,b:2/x"):
        settings = Settings(database_url=SecretStr(f"postgresql://boss@{place}"), database_password=SecretStr(password))
        assert settings.database_url is not None
        made = settings.database_url.get_secret_value()
        assert made.endswith("@" + place)
        address = parse_database_url(made)
        assert (address.user, address.password) == ("boss", password)


def test_database_password_setting_replaces_the_password_in_the_database_url() -> None:
    settings = Settings(database_url=SecretStr("postgresql://b:old@h/d"), database_password=SecretStr("new"))
    assert settings.database_url == SecretStr("postgresql://b:new@h/d")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://boss:s3/cret@host/db",
        "postgresql://boss:12/34s3cret@host/db",
        "postgresql://boss:s3?cret@host/db",
        "postgresql://boss:s3#cret@host/db",
        "postgresql://boss:s3@cret@host/db",
        "postgresql://boss:s3 cret@host/db",
        "mysql://boss:s3cret@host/db",
        "boss:s3cret@host/db",
        "postgresql://boss:s3cret@[::1/db",
        "postgresql://boss:s3cret@host:port/db",
    ],
)
def test_malformed_database_url_is_refused_and_no_part_of_it_is_shown(url: str) -> None:
    with pytest.raises(CannotStart) as refused:
        Settings(database_url=SecretStr(url))
    said = str(refused.value)
    assert said.startswith("XUEZU_DATABASE_URL is no address: write postgresql://")
    for part in ("s3", "cret", "boss", "12"):
        assert part not in said


def test_database_password_without_a_user_name_is_refused() -> None:
    with pytest.raises(CannotStart, match="XUEZU_DATABASE_PASSWORD needs the name of a user"):
        Settings(database_url=SecretStr("postgresql://host/db"), database_password=SecretStr("s3cret"))


def test_command_with_a_malformed_database_url_ends_with_one_sentence() -> None:
    said = run_refused("migrate", XUEZU_DATABASE_URL="postgresql://boss:s3/cret@host/db")
    assert said.startswith("XUEZU_DATABASE_URL is no address")


def test_unknown_setting_is_reported_with_the_most_similar_setting() -> None:
    known = ["XUEZU_PORT", "XUEZU_DATABASE_URL", "XUEZU_SMS_ALIYUN_KEY_ID", "PATH", "HOME", "XUEZU_PROOF"]
    assert list(describe_unknown_settings(known)) == []
    assert list(describe_unknown_settings(["XUEZU_DATABSE_URL", "XUEZU_QQQQQQQ", "XUEZUPORT"])) == [
        "XUEZUPORT is no setting and has no effect: is XUEZU_PORT meant?",
        "XUEZU_DATABSE_URL is no setting and has no effect: is XUEZU_DATABASE_URL meant?",
        "XUEZU_QQQQQQQ is no setting and has no effect.",
    ]


def test_unknown_setting_is_printed_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XUEZU_WITHOLD_BELOW", "5")
    read_plain_settings()
    assert "XUEZU_WITHOLD_BELOW is no setting and has no effect: is XUEZU_WITHHOLD_BELOW meant?" in (
        capsys.readouterr().err
    )
