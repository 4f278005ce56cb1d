"""The address of a database, `postgresql://user:password@host:5432/database?parameter=value`, read as libpq reads it.

A password with `@`, `/`, `?` or `#` that is not percent-encoded moves the borders of the parts, so that a part of it
would be taken for the host or the database, and shown. Such an address is refused as a whole.

Every parameter of libpq (PostgreSQL 18, 32.1.2) is known here: it has its effect, or it is refused by its name. A
parameter without an effect could be the one that keeps a connection safe.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]@/?#:,\s]*)(?::[0-9]*)?"
_ADDRESS = re.compile(
    r"(?P<scheme>postgres(?:ql)?(?:\+\w+)?)://"
    r"(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?"
    rf"(?P<place>(?P<hosts>{_HOST}(?:,{_HOST})*)(?:/(?P<database>[^@/?#\s]*))?(?:\?(?P<query>[^@#\s]*))?)"
)
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>[0-9]*))?")

DEFAULT_PORT = 5432
CONNECT_SECONDS = 5
"""The time limit for the only host, from the first packet until the server is ready."""
CONNECT_SECONDS_OF_SEVERAL = 2
"""The time limit for each of several hosts."""
TARGETS = frozenset({"any", "read-write", "read-only", "primary", "standby", "prefer-standby"})
_TLS_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_TLS = frozenset(
    {
        *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
TLS_FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl")
SYSTEM_ROOTS = "system"
"""The value of `sslrootcert` for the certificate authorities that the operating system trusts."""

_HARMLESS: Mapping[str, frozenset[str] | None] = {
    "application_name": None,  # the service sets its own: a rotation of the index key reads it
    "fallback_application_name": None,
    "client_encoding": frozenset({"auto", "utf8", "utf-8", "unicode"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "channel_binding": frozenset({"disable", "prefer"}),
    "sslcompression": frozenset({"0"}),
    "sslsni": frozenset({"1"}),
    "sslcertmode": frozenset({"allow"}),
    "gssdelegation": frozenset({"0"}),
}
"""Parameters with the values that ask for nothing that the driver does not do anyway. None: any value."""


class MalformedDatabaseUrl(ValueError):
    """The text is no address. It has no text of its own, since the parts of the address cannot be told apart."""


class DatabaseUrlParameterRefused(ValueError):
    """A parameter of the address is unknown or has a value that cannot be used. `name` names it; `reason` continues the
    sentence. Neither contains the value."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When the operating system gives a silent connection up (libpq's `keepalives…` and `tcp_user_timeout`).

    A connection on which nothing is sent is probed after `idle` seconds, every `interval` seconds; after `count`
    probes without an answer it ends. One whose data are not acknowledged ends after `user_timeout` milliseconds. 0
    leaves a value to the operating system.
    """

    enabled: bool = True
    idle: int = 5
    interval: int = 1
    count: int = 4
    user_timeout: int = 8_000


_KEEPALIVE = Keepalive()


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A parsed address. Its text and its `repr` contain neither the user nor the password."""

    hosts: tuple[tuple[str, int], ...]
    """Names, addresses or directories of sockets, with their ports, in the order in which they are tried. None, or an
    empty name: the hosts that the environment names (`PGHOST`), else the local sockets."""
    database: str | None
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    passfile: str | None = field(repr=False)
    target: str | None
    """`target_session_attrs`, or None."""
    in_random_order: bool
    connect_seconds: float | None
    """The time limit for one host; None for no limit."""
    keepalive: Keepalive
    tls: Mapping[str, str] = field(repr=False)
    """The `ssl…` parameters, as they are."""
    options: Mapping[str, str]
    """The server settings of `options`."""

    def __str__(self) -> str:
        """Return the hosts and the database, for a message."""
        return f"{','.join(map(_show_host, self.hosts)) or '(local socket)'}/{self.database or ''}".rstrip("/")


def _show_host(host: tuple[str, int]) -> str:
    name, port = host
    if name.startswith("/") or not name:
        return "(local socket)"
    return f"{f'[{name}]' if ':' in name else name}{f':{port}' if port != DEFAULT_PORT else ''}"


def replace_password(database_url: str, password: str) -> str:
    """Return the address with this password, of any characters, in place of its own. Raises MalformedDatabaseUrl if the
    text is no address, or if the address has no user."""
    parts = _ADDRESS.fullmatch(database_url)
    if parts is None or not parts["user"]:
        raise MalformedDatabaseUrl
    return f"{parts['scheme']}://{parts['user']}:{quote(password, safe='')}@{parts['place']}"


def parse_database_url(database_url: str) -> DatabaseAddress:
    """Return the parts of an address. Raises MalformedDatabaseUrl, DatabaseUrlParameterRefused.

    A parameter of the query wins over the same part before it, and the last of two with one name over the first, as in
    libpq.
    """
    parts = _ADDRESS.fullmatch(database_url)
    if parts is None:
        raise MalformedDatabaseUrl
    try:
        given = dict(parse_qsl(parts["query"] or "", keep_blank_values=True, strict_parsing=bool(parts["query"])))
    except ValueError:
        raise MalformedDatabaseUrl from None
    if given.get("ssl") == "true":  # libpq reads it so, for addresses written for JDBC
        del given["ssl"]
        given.setdefault("sslmode", "require")
    query = _Query(given)
    tls = {name: value for name in sorted(_TLS) if (value := query.take(name)) is not None}
    _check_tls(tls)
    hosts = _parse_hosts(parts["hosts"] or "", query.take("host"), query.take("port"))
    connect_seconds = CONNECT_SECONDS_OF_SEVERAL if len(hosts) > 1 else CONNECT_SECONDS
    address = DatabaseAddress(
        hosts=hosts,
        database=query.take("dbname") or unquote(parts["database"] or "") or None,
        user=query.take("user") or unquote(parts["user"] or "") or None,
        password=query.take("password") or unquote(parts["password"] or "") or None,
        passfile=query.take("passfile"),
        target=query.take_word("target_session_attrs", TARGETS),
        in_random_order=query.take_word("load_balance_hosts", frozenset({"disable", "random"})) == "random",
        connect_seconds=query.take_number("connect_timeout", connect_seconds) or None,
        keepalive=Keepalive(
            enabled=query.take_number("keepalives", 1) != 0,
            idle=query.take_number("keepalives_idle", _KEEPALIVE.idle),
            interval=query.take_number("keepalives_interval", _KEEPALIVE.interval),
            count=query.take_number("keepalives_count", _KEEPALIVE.count),
            user_timeout=query.take_number("tcp_user_timeout", _KEEPALIVE.user_timeout),
        ),
        tls=tls,
        options=_parse_options(query.take("options") or ""),
    )
    query.refuse_rest()
    return address


class _Query:
    """The parameters of the query that are not read yet."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given

    def take(self, name: str) -> str | None:
        return self._given.pop(name, None)

    def take_word(self, name: str, allowed: frozenset[str]) -> str | None:
        value = self.take(name)
        if value is not None and value not in allowed:
            raise DatabaseUrlParameterRefused(name, f"must be one of {', '.join(sorted(allowed))}")
        return value

    def take_number(self, name: str, default: int) -> int:
        value = self.take(name)
        if value is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise DatabaseUrlParameterRefused(name, "must be a whole number")
        return int(value)

    def refuse_rest(self) -> None:
        for name, value in self._given.items():
            if name not in _HARMLESS:
                raise DatabaseUrlParameterRefused(name, "is not supported")
            allowed = _HARMLESS[name]
            if allowed is not None and value.lower() not in allowed:
                raise DatabaseUrlParameterRefused(name, f"is only supported as {' or '.join(sorted(allowed))}")


def _parse_hosts(in_authority: str, in_query: str | None, ports: str | None) -> tuple[tuple[str, int], ...]:
    """Return the hosts with their ports. The ports of the query are one for all hosts, or one for each."""
    written = in_query if in_query else in_authority
    if not written.replace(":", ""):
        found: list[tuple[str, str | None]] = []
    else:
        decode: Callable[[str], str] = (lambda text: text) if in_query else unquote
        found = [_split_host(item, decode) for item in written.split(",")]
    if any(not name for name, _ in found):
        raise MalformedDatabaseUrl
    listed = ports.split(",") if ports else []
    if listed and len(listed) not in {1, len(found)} and found:
        raise DatabaseUrlParameterRefused("port", "must be one number, or one for each host")
    if not found and listed:
        found = [("", None)]  # the hosts of the environment, on this port
    if len(listed) == 1:
        listed *= len(found)
    return tuple(
        (name, _parse_port((listed[number] if listed else own) or str(DEFAULT_PORT)))
        for number, (name, own) in enumerate(found)
    )


def _parse_port(port: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise DatabaseUrlParameterRefused("port", "must be a number from 1 to 65535")
    return int(port)


def _split_host(item: str, decode: Callable[[str], str]) -> tuple[str, str | None]:
    if item.startswith("/"):
        return item, None
    parts = _HOST_AND_PORT.fullmatch(item)
    if parts is None:
        raise MalformedDatabaseUrl
    return decode(parts["v6"] or parts["name"] or ""), parts["port"]


def _check_tls(tls: Mapping[str, str]) -> None:
    mode = tls.get("sslmode")
    if mode is not None and mode not in _TLS_MODES:
        raise DatabaseUrlParameterRefused("sslmode", f"must be one of {', '.join(sorted(_TLS_MODES))}")
    if tls.get("sslrootcert") == SYSTEM_ROOTS and mode not in {None, "verify-full"}:
        raise DatabaseUrlParameterRefused("sslrootcert", "is only supported as system with sslmode=verify-full")
    for name in ("ssl_min_protocol_version", "ssl_max_protocol_version"):
        if name in tls and not re.fullmatch(r"TLSv1(\.[123])?", tls[name]):
            raise DatabaseUrlParameterRefused(name, "must be TLSv1.2 or TLSv1.3")
    if tls.get("sslnegotiation", "postgres") not in {"postgres", "direct"}:
        raise DatabaseUrlParameterRefused("sslnegotiation", "must be postgres or direct")
    if tls.get("sslnegotiation") == "direct" and mode not in {"require", "verify-ca", "verify-full"}:
        raise DatabaseUrlParameterRefused("sslnegotiation", "is only supported as direct with sslmode=require or more")


_OPTION = re.compile(r"(?:-c\s*|--)(?P<name>[A-Za-z_][\w.-]*)=(?P<value>(?:\\.|[^\s\\])*)")


def _parse_options(options: str) -> dict[str, str]:
    r"""Return the settings of `-c name=value --name=value`; a backslash stands before a space in a value."""
    found: dict[str, str] = {}
    rest = options.strip()
    while rest:
        match = _OPTION.match(rest)
        if match is None:
            raise DatabaseUrlParameterRefused("options", "is only supported as -c name=value")
        found[match["name"].replace("-", "_")] = re.sub(r"\\(.)", r"\1", match["value"])
        rest = rest[match.end() :].lstrip()
    return found
