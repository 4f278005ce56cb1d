"""The address of a database is read as libpq reads it, and a parameter without an effect is refused by its name."""

import ctypes
from typing import ClassVar

import pytest
from pydantic import SecretStr

from app.core.database_url import DatabaseUrlParameterRefused, Keepalive, MalformedDatabaseUrl, parse_database_url
from app.core.settings import CannotStart, Settings
from app.embedded.programs import get_program_dir


class Libpq:
    """PostgreSQL's own library: the parts that it finds in an address, and the names of its parameters."""

    class _Option(ctypes.Structure):
        _fields_: ClassVar = [
            *((name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "value", "label", "dispchar")),
            ("dispsize", ctypes.c_int),
        ]

    def __init__(self) -> None:
        directory = get_program_dir().parent / "lib"
        self._library = ctypes.CDLL(str(next(directory.glob("libpq.*"))))
        for function in (self._library.PQconninfoParse, self._library.PQconndefaults):
            function.restype = ctypes.POINTER(self._Option)

    def parse(self, url: str) -> dict[str, str] | None:
        """Return the parts of an address, or None if it is none."""
        options = self._library.PQconninfoParse(url.encode(), ctypes.byref(ctypes.c_char_p()))
        return {name: value for name, value in self._read(options) if value is not None} if options else None

    def list_parameters(self) -> list[str]:
        return [name for name, _ in self._read(self._library.PQconndefaults())]

    @staticmethod
    def _read(options: "ctypes._Pointer[Libpq._Option]") -> list[tuple[str, str | None]]:
        found = []
        number = 0
        while options[number].keyword:
            value = options[number].value
            found.append((options[number].keyword.decode(), None if value is None else value.decode()))
            number += 1
        return found


@pytest.fixture(scope="module")
def libpq() -> Libpq:
    return Libpq()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://boss@db.internal/xuezu",
        "postgres://boss:s3%40cret%2F@db.internal:6432/xue%20zu",
        "postgresql://db1,db2:5433,[::1]:5434/xuezu?target_session_attrs=read-write",
        "postgresql://boss@/xuezu?host=%2Frun%2Fpostgresql&port=5433",
        "postgresql://%2Frun%2Fpostgresql/xuezu",
        "postgresql:///xuezu?host=db1,db2&port=5432,5433&user=boss&password=s3%26cret",
        "postgresql:///xuezu?host=db1,db2&port=6000",
        "postgresql://first/one?host=second&dbname=two&user=boss",
        "postgresql://db/xuezu?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&sslcert=a.pem&sslkey=a.key",
        "postgresql://db/xuezu?ssl=true",
        "postgresql://db/xuezu?sslmode=require&sslmode=disable",
        "postgresql://db/xuezu?options=-c%20work_mem%3D8MB%20--search-path%3Da",
    ],
)
def test_parts_of_an_address_are_those_of_libpq(libpq: Libpq, url: str) -> None:
    theirs = libpq.parse(url)
    ours = parse_database_url(url)
    assert theirs is not None
    names, ports = theirs["host"].split(","), theirs.get("port", "").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    assert ours.hosts == tuple((name, int(port or 5432)) for name, port in zip(names, ports, strict=True))
    assert ours.database == theirs["dbname"]
    assert (ours.user, ours.password) == (theirs.get("user"), theirs.get("password"))
    assert ours.target == theirs.get("target_session_attrs")
    assert dict(ours.tls) == {name: value for name, value in theirs.items() if name.startswith("ssl")}


def test_every_parameter_of_libpq_has_an_effect_or_is_refused_by_its_name(libpq: Libpq) -> None:
    found = [find_refusal(name) for name in libpq.list_parameters()]
    assert {refused.name for refused in found if refused and refused.reason == "is not supported"} == {
        *("service", "hostaddr", "sslcrldir", "requirepeer", "require_auth", "krbsrvname", "gsslib", "replication"),
        *("min_protocol_version", "max_protocol_version", "sslkeylogfile", "scram_client_key", "scram_server_key"),
        *("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"),
    }


def find_refusal(parameter: str) -> DatabaseUrlParameterRefused | None:
    try:
        parse_database_url(f"postgresql://host/db?{parameter}=1")
    except DatabaseUrlParameterRefused as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("statement_timeout=s3cret", "`statement_timeout` is not supported"),
        ("ssl=s3cret", "`ssl` is not supported"),
        ("hostaddr=s3cret", "`hostaddr` is not supported"),
        ("sslmode=s3cret", "`sslmode` must be one of allow, disable, prefer, require, verify-ca, verify-full"),
        ("sslmode=require&sslrootcert=system", "`sslrootcert` is only supported as system with sslmode=verify-full"),
        ("sslnegotiation=direct", "`sslnegotiation` is only supported as direct with sslmode=require or more"),
        ("channel_binding=require", "`channel_binding` is only supported as disable or prefer"),
        ("client_encoding=latin1", "`client_encoding` is only supported as auto or unicode or utf-8 or utf8"),
        ("connect_timeout=s3cret", "`connect_timeout` must be a whole number"),
        ("target_session_attrs=s3cret", "`target_session_attrs` must be one of any, prefer-standby, primary"),
        ("port=0", "`port` must be a number from 1 to 65535"),
        ("host=a,b&port=1,2,3", "`port` must be one number, or one for each host"),
        ("options=s3cret", "`options` is only supported as -c name=value"),
    ],
)
def test_parameter_that_cannot_be_used_is_named_without_its_value(query: str, sentence: str) -> None:
    with pytest.raises(CannotStart) as refused:
        Settings(database_url=SecretStr(f"postgresql://boss:s3cret@host/db?{query}"))
    assert str(refused.value).startswith(f"XUEZU_DATABASE_URL has a parameter that cannot be used: {sentence}")
    assert "s3cret" not in str(refused.value)
    assert "boss" not in str(refused.value)


def test_limits_of_the_connection_are_read() -> None:
    address = parse_database_url(
        "postgresql://db/xuezu?connect_timeout=3&keepalives_idle=30&keepalives_interval=4&keepalives_count=2"
        "&tcp_user_timeout=7000&load_balance_hosts=random&application_name=mine&options=-cwork_mem%3D8MB"
        "%20-c%20search_path%3Da%5C%20b"
    )
    assert address.connect_seconds == 3
    assert address.keepalive == Keepalive(idle=30, interval=4, count=2, user_timeout=7000)
    assert address.in_random_order
    assert address.options == {"work_mem": "8MB", "search_path": "a b"}
    assert parse_database_url("postgresql://db/xuezu?connect_timeout=0").connect_seconds is None
    assert not parse_database_url("postgresql://db/xuezu?keepalives=0").keepalive.enabled


def test_address_shows_neither_user_nor_password() -> None:
    address = parse_database_url("postgresql+asyncpg://boss:s3cret@a:5433,[::1]/xuezu?sslpassword=s3cret&passfile=p")
    assert str(address) == "a:5433,[::1]/xuezu"
    for part in ("boss", "s3cret"):
        assert part not in repr(address)


@pytest.mark.parametrize("url", ["postgresql://a,,b/db", "postgresql://h/db?x", "postgresql://h:1:2/db", "http://h/db"])
def test_text_with_more_than_one_reading_is_no_address(url: str) -> None:
    with pytest.raises(MalformedDatabaseUrl):
        parse_database_url(url)


POOLED = SecretStr("postgresql://b:old@pooler/d")


def test_transaction_pooler_needs_a_direct_url() -> None:
    with pytest.raises(CannotStart, match="XUEZU_TRANSACTION_POOLER=true needs XUEZU_DIRECT_URL"):
        Settings(database_url=POOLED, transaction_pooler=True)
    with pytest.raises(CannotStart, match="XUEZU_DIRECT_URL has a parameter that cannot be used: `x` is not supported"):
        Settings(database_url=POOLED, direct_url=SecretStr("postgresql://b@direct/d?x=1"))
    with pytest.raises(CannotStart, match="XUEZU_DIRECT_URL needs XUEZU_DATABASE_URL"):
        Settings(direct_url=SecretStr("postgresql://b@direct/d"))
    with pytest.raises(CannotStart, match="XUEZU_DATABASE_URL has `options`, which do not pass through a transaction"):
        Settings(
            database_url=SecretStr("postgresql://b@pooler/d?options=-cwork_mem%3D8MB"),
            direct_url=SecretStr("postgresql://b@direct/d"),
            transaction_pooler=True,
        )
    made = Settings(
        database_url=POOLED,
        direct_url=SecretStr("postgresql://b@direct/d"),
        transaction_pooler=True,
        database_password=SecretStr("n@w"),
    )
    assert made.session_url == "postgresql://b:n%40w@direct/d"
    assert made.database_url == SecretStr("postgresql://b:n%40w@pooler/d")
