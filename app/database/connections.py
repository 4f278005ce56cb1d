"""The connections of a process to its database: the one place that opens any.

A `Database` is opened from the settings. `connect` returns a connection for a role (`Role`), which has the time limits
of that role. Connections of requests go to XUEZU_DATABASE_URL, which can be a pgbouncer in transaction mode. All others
go to XUEZU_DIRECT_URL where it is set, since they need a session: LISTEN, temporary tables that outlive a transaction,
a transaction that is open as long as a job.

A `Database` knows its open connections, so that `app.database.watch` can abort them all when the server is silent.
While the server is known to be away, `connect` fails at once.
"""

import random
import socket
import ssl
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import asyncpg

from app.core.database_url import SYSTEM_ROOTS, TLS_FILES, DatabaseAddress, Keepalive
from app.core.settings import ConfigurationError, Settings, read_database_url
from app.database.statement_spans import TracedConnection
from app.tracing.spans import get_tracer

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement
    from asyncpg.protocol import PreparedStatementState


class Role(StrEnum):
    """What a connection is for."""

    REQUEST = auto()
    """Requests of the API. The only role that can go through a transaction pooler."""
    JOB = auto()
    """Jobs of the worker, and the rollup of the totals."""
    QUEUE = auto()
    """The queue of the worker."""
    LISTEN = auto()
    """Notifications, and short statements beside the pool: the probes of `app.database.watch`, the signing keys."""
    REPORT = auto()
    """Long reads: a recount of the totals."""
    COMMAND = auto()
    """Commands of `xuezu`, and the checks before the start."""
    MIGRATION = auto()
    """Changes of the schema."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The time limits of a connection in seconds; 0 for none. They are PostgreSQL's `statement_timeout`, `lock_timeout`
    and `idle_in_transaction_session_timeout`."""

    statement: int
    lock: int
    idle_in_transaction: int

    def build_settings(self) -> dict[str, str]:
        """Return the limits as server settings."""
        return {
            "statement_timeout": f"{self.statement}s",
            "lock_timeout": f"{self.lock}s",
            "idle_in_transaction_session_timeout": f"{self.idle_in_transaction}s",
        }


LIMITS: Mapping[Role, Limits] = {
    # A person waits for the answer, and a proxy in front gives up after 60 s.
    Role.REQUEST: Limits(statement=30, lock=10, idle_in_transaction=60),
    # One statement merges a sheet of 100,000 people. Some jobs hold a lock in a transaction that is idle as long as
    # the job runs.
    Role.JOB: Limits(statement=3600, lock=60, idle_in_transaction=7200),
    Role.QUEUE: Limits(statement=30, lock=10, idle_in_transaction=60),
    Role.LISTEN: Limits(statement=10, lock=10, idle_in_transaction=60),
    Role.REPORT: Limits(statement=3600, lock=10, idle_in_transaction=600),
    Role.COMMAND: Limits(statement=0, lock=60, idle_in_transaction=600),
    # A migration that cannot get its lock fails: while it waits, every request behind it waits too.
    Role.MIGRATION: Limits(statement=0, lock=5, idle_in_transaction=0),
}

SERVER_KEEPALIVE: Mapping[str, str] = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25s",
    "client_connection_check_interval": "10s",
}
"""Settings with which the server notices that this machine is gone, and frees its locks and transactions. Without them
it takes two hours. PostgreSQL ignores those of TCP on a local socket."""

APPLICATION_NAME = "xuezu"


class DatabaseAway(ConnectionError):
    """The watch has found that the database does not answer: no connection is tried."""


class _PoolerConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection through a pooler in transaction mode: each of its transactions runs on any connection to the server.

    - A setting of the session would reach other clients. Each transaction begins with its own settings, in the same
      message as its BEGIN.
    - A prepared statement would be missing on the next connection, or be another client's (pgbouncer before 1.21). The
      driver keeps only the types of a statement, and sends its text with each execution, in one message. The driver's
      own way to do without prepared statements asks for the types each time, which takes a second round trip.
      PostgreSQL plans each execution, as it also does for the first five of a prepared statement.
    """

    __slots__ = ("_transaction_settings",)

    def begin_with(self, settings: Mapping[str, str]) -> None:
        """Begin each transaction with these settings."""
        self._transaction_settings = "".join(f" SET LOCAL {name} = '{value}';" for name, value in settings.items())
        # Otherwise the driver switches JIT off and on around its look-up of a type, on two connections perhaps.
        vars_of_driver: Any = super()
        capabilities = vars_of_driver._server_caps
        asyncpg.Connection._server_caps.__set__(self, capabilities._replace(jit=False))

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 — asyncpg's
        if not args and query.startswith("BEGIN"):
            query += self._transaction_settings
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    def _get_unique_id(self, prefix: str) -> str:
        # A statement without a name is replaced by the next one, so it cannot outlive its use.
        return "" if prefix == "stmt" else str(super()._get_unique_id(prefix))

    async def _get_statement(self, query: str, *args: Any, **options: Any) -> "PreparedStatementState":
        statement = await super()._get_statement(query, *args, **options)
        statement.mark_unprepared()  # its text is sent with the execution
        return statement

    async def _prepare(self, query: str, **options: Any) -> "PreparedStatement":
        return await super()._prepare(query, **options | {"use_cache": True})


class _TracedPoolerConnection(TracedConnection, _PoolerConnection):
    """The same with a span for each statement."""

    __slots__ = ()


class Database:
    """The database of a process, and its open connections."""

    def __init__(
        self,
        request_address: DatabaseAddress,
        session_address: DatabaseAddress,
        *,
        has_pooler: bool = False,
        application_name: str = APPLICATION_NAME,
        default_target: str = "read-write",
    ) -> None:
        """`default_target` is the `target_session_attrs` of several hosts without one."""
        self._request_address = request_address
        self._session_address = session_address
        self._has_pooler = has_pooler
        self._application_name = application_name
        self._default_target = default_target
        self._open: weakref.WeakSet[asyncpg.Connection] = weakref.WeakSet()
        self._first_host: dict[tuple[tuple[str, int], ...], int] = {}
        self.is_away = False
        """Whether `connect` fails at once. `app.database.watch` sets it."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the database of the settings, without a connection. Raises ConfigurationError."""
        assert settings.database_url is not None
        return cls(
            read_database_url(settings.database_url.get_secret_value()),
            read_database_url(settings.session_url, "XUEZU_DIRECT_URL"),
            has_pooler=settings.transaction_pooler,
            application_name=build_application_name(settings),
        )

    @classmethod
    def from_replica_settings(cls, settings: Settings) -> Self:
        """Return the standby of the settings, without a connection. Raises ConfigurationError."""
        assert settings.replica_url is not None
        address = read_database_url(settings.replica_url.get_secret_value(), "XUEZU_REPLICA_URL")
        name = build_application_name(settings)
        return cls(address, address, application_name=name, default_target="standby")

    @classmethod
    def from_url(cls, database_url: str) -> Self:
        """Return the database of a URL, without a connection. Raises ConfigurationError."""
        address = read_database_url(database_url)
        return cls(address, address)

    def __str__(self) -> str:
        """Return the hosts and the database, for a message."""
        return str(self._session_address)

    def uses_pooler(self, role: Role) -> bool:
        """Return whether the connections of this role go through a transaction pooler."""
        return self._has_pooler and role is Role.REQUEST

    @property
    def needs_primary(self) -> bool:
        """Return whether the addresses ask for a server that can be written."""
        return self._get_target(self._session_address) in {"read-write", "primary"}

    async def connect(
        self, role: Role, *, target: str | None = None, while_away: bool = False, **options: Any
    ) -> asyncpg.Connection:
        """Open a connection. `target` takes the place of the address's `target_session_attrs`; `options` are asyncpg's.

        With `while_away` a connection is tried also where the watch has found that the server does not answer.

        Raises ConnectionError if no server can be reached, asyncpg's errors if it refuses the connection, and
        ConfigurationError if a file that the URL names cannot be read.
        """
        if self.is_away and not while_away:
            raise DatabaseAway("the database does not answer")
        address = self._request_address if role is Role.REQUEST else self._session_address
        server_settings = {"application_name": self._application_name, "timezone": "UTC"}
        limits = LIMITS[role]
        if self.uses_pooler(role):
            # pgbouncer refuses settings. The driver's own limit is for statements outside a transaction.
            options |= {"connection_class": _PoolerConnection, "command_timeout": limits.statement}
        else:
            server_settings |= {**SERVER_KEEPALIVE, **limits.build_settings(), **address.options}
        if get_tracer() is not None:
            options["connection_class"] = _TracedPoolerConnection if self.uses_pooler(role) else TracedConnection
        target = target or self._get_target(address)
        connection = await self._connect_first(address, target, server_settings=server_settings, **options)
        if self.uses_pooler(role):
            connection.begin_with(limits.build_settings())
        self._open.add(connection)
        return connection

    def create_pool(self, role: Role, **options: Any) -> asyncpg.Pool:
        """Return asyncpg's pool of connections of this role, inside a running event loop. `options` are the pool's."""

        async def open_connection(_: None, **options: Any) -> asyncpg.Connection:
            return await self.connect(role, **options)

        return asyncpg.create_pool(connect=open_connection, **options)

    def abort_connections(self, *, but: asyncpg.Connection | None = None) -> int:
        """Abort all open connections except one, without a message to the server, and return their number.

        A statement that runs fails with asyncpg's ConnectionDoesNotExistError, a later one with its InterfaceError.
        """
        found = [each for each in self._open if each is not but and not each.is_closed()]
        for connection in found:
            connection.terminate()
        return len(found)

    def _get_target(self, address: DatabaseAddress) -> str:
        # Several hosts without a target are a primary and its standbys, of which only the primary can be written.
        return address.target or (self._default_target if len(address.hosts) > 1 else "any")

    async def _connect_first(self, address: DatabaseAddress, target: str, **options: Any) -> asyncpg.Connection:
        """Open a connection to the first host that can be used, beginning with the one that was used last."""
        if not address.hosts:
            return await _connect_host(address, None, None, target, **options)
        targets = ["standby", "any"] if target == "prefer-standby" else [target]
        first = self._first_host.get(address.hosts, 0)
        order = [*range(first, len(address.hosts)), *range(first)]
        if address.in_random_order:
            random.shuffle(order)
        failure: Exception | None = None
        for wanted in targets:
            for number in order:
                host, port = address.hosts[number]
                try:
                    connection = await _connect_host(address, host or None, port, wanted, **options)
                except (
                    ConnectionError,
                    asyncpg.CannotConnectNowError,
                    asyncpg.TargetServerAttributeNotMatched,
                ) as error:
                    failure = error
                else:
                    self._first_host[address.hosts] = number
                    return connection
        assert failure is not None
        raise failure


_TRY_NEXT_HOST = (ConnectionError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)


async def _connect_host(
    address: DatabaseAddress, host: str | None, port: int | None, target: str, **options: Any
) -> asyncpg.Connection:
    """Open a connection to one host. Raises ConnectionError where it cannot be reached in time."""
    try:
        connection = await asyncpg.connect(
            f"postgresql://?{urlencode(address.tls)}" if address.tls else None,
            host=host,
            port=port,
            user=address.user,
            password=address.password,
            passfile=address.passfile,
            database=address.database,
            ssl=_build_tls_context(address.tls),
            target_session_attrs=target,
            timeout=address.connect_seconds,
            **options,
        )
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise ConfigurationError(
            "The TLS parameters in the URL of the database cannot be used: sslmode=verify-ca and verify-full need "
            "`sslrootcert`, the file of the certificate authority."
        ) from error
    except OSError as error:  # TimeoutError too
        # During a restart of the server its socket file can be missing or its host unresolvable: both mean refused.
        unreadable = _find_unreadable_file(address.tls)
        if unreadable is not None:
            raise ConfigurationError(
                f"The file of `{unreadable}` in the URL of the database cannot be read: mend its path or its rights."
            ) from error
        raise ConnectionError(error.errno, _describe(error)) from error
    _set_keepalive(connection, address.keepalive)
    return connection


def _describe(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}"
    return error.strerror or type(error).__name__


def _build_tls_context(tls: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return the context for the certificate authorities of the operating system, which the driver does not know, or
    None where it builds the context itself."""
    if tls.get("sslrootcert") != SYSTEM_ROOTS:
        return None
    context = ssl.create_default_context()
    if "sslcert" in tls:
        context.load_cert_chain(tls["sslcert"], tls.get("sslkey"), tls.get("sslpassword"))
    return context


def _find_unreadable_file(tls: Mapping[str, str]) -> str | None:
    """Return the name of a parameter whose file cannot be read, or None."""
    for name in TLS_FILES:
        if name in tls and tls[name] != SYSTEM_ROOTS:
            try:
                Path(tls[name]).open("rb").close()
            except OSError:
                return name
    return None


_KEEPALIVE_OPTIONS = (
    # The names of Linux; macOS has another for the first, and none for the last.
    (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), "idle"),
    (("TCP_KEEPINTVL",), "interval"),
    (("TCP_KEEPCNT",), "count"),
    (("TCP_USER_TIMEOUT",), "user_timeout"),
)


def _set_keepalive(connection: asyncpg.Connection, keepalive: Keepalive) -> None:
    """Let the operating system give the connection up when its peer is silent."""
    opened: socket.socket = connection._transport.get_extra_info("socket")
    if opened.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive.enabled))
    for names, attribute in _KEEPALIVE_OPTIONS:
        value = getattr(keepalive, attribute)
        option = next((found for name in names if (found := getattr(socket, name, None)) is not None), None)
        if value and option is not None and (keepalive.enabled or attribute == "user_timeout"):
            opened.setsockopt(socket.IPPROTO_TCP, option, value)


def build_application_name(settings: Settings) -> str:
    """Return the `application_name` of this process's connections. It shows which processes know the next index key."""
    key = settings.parse_next_index_key()
    if key is None:
        return APPLICATION_NAME
    from app.core.cipher import build_key_check  # imports FastAPI, which is slow

    return f"{APPLICATION_NAME}, next index key {build_key_check(key).hex()[:16]}"
