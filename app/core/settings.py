"""Every setting of the service, read from `XUEZU_…` environment variables (README lists them; a test checks that)."""

import base64
import binascii
import json
import os
import re
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.database_url import (
    DatabaseAddress,
    DatabaseUrlParameterRefused,
    MalformedDatabaseUrl,
    parse_database_url,
    replace_password,
)
from app.core.networks import Networks, parse_network


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Provider(StrEnum):
    """A provider that not every network can reach; `simulated` behaves like the real one, with its delays."""

    SIMULATED = "simulated"
    NONE = "none"


class CannotStart(Exception):
    """The reason why a command cannot do its work: one sentence with the remedy, shown unchanged."""


class ConfigurationError(CannotStart):
    """A setting is missing or unusable; the text names it and says what to do."""


def read_database_url(database_url: str, setting: str = "XUEZU_DATABASE_URL") -> DatabaseAddress:
    """Return the parts of the URL of this setting. Raises ConfigurationError, whose text contains no part of the URL
    but the name of a parameter."""
    try:
        return parse_database_url(database_url)
    except MalformedDatabaseUrl:
        raise ConfigurationError(
            f"{setting} is no address: write postgresql://user@host:5432/database, "
            "and the password as it is in XUEZU_DATABASE_PASSWORD."
        ) from None
    except DatabaseUrlParameterRefused as refused:
        raise ConfigurationError(
            f"{setting} has a parameter that cannot be used: `{refused.name}` {refused.reason} (docs/OPERATIONS.md "
            "lists the parameters)."
        ) from None


def read_setting_file(variable: str) -> str | None:
    """Return the content of the file that the environment variable `…_FILE` of this setting names, or None if it is not
    set.

    A relative path is looked for in $CREDENTIALS_DIRECTORY, where systemd puts the credentials of a unit, otherwise in
    the working directory. White space around the content is removed. Raises ConfigurationError, which contains no
    content.
    """
    name = os.environ.get(f"{variable}_FILE")
    if not name:
        return None
    if os.environ.get(variable):
        raise ConfigurationError(f"{variable} and {variable}_FILE are both set: remove one of them.")
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{variable}_FILE names a file that cannot be read ({type(error).__name__}): {path}."
        ) from None


def list_secrets(kind: type[BaseSettings]) -> list[str]:
    """Return the names of the settings of this kind that are secret."""
    return [name for name, field in kind.model_fields.items() if "SecretStr" in str(field.annotation)]


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets from the files that `XUEZU_…_FILE` name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        return read_setting_file(f"XUEZU_{field_name.upper()}"), field_name, False

    def __call__(self) -> dict[str, object]:
        found = {name: read_setting_file(f"XUEZU_{name.upper()}") for name in list_secrets(self.settings_cls)}
        return {name: content for name, content in found.items() if content is not None}


_IN_ADDRESS = re.compile(r"[A-Za-z0-9_-]+")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="XUEZU_", extra="ignore")

    env: Annotated[
        Environment,
        Field(description="`development` or `production`; production refuses development secrets."),
    ] = Environment.DEVELOPMENT
    host: Annotated[str, Field(description="Address to listen on.")] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535, description="Port to listen on.")] = 8000
    metrics_port: Annotated[
        int | None,
        Field(ge=1, le=65534, description="Port of `/metrics` for Prometheus. Unset: no metrics are served."),
    ] = None
    metrics_host: Annotated[str, Field(description="Address of this machine on which `/metrics` is served.")] = (
        "localhost"
    )
    otlp_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#@]+$",
            description="Address of a collector of traces by OTLP over HTTP, without `/v1/traces`. Unset: no traces.",
        ),
    ] = None
    trace_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the requests that are traced unless their caller decides.")
    ] = 0.1
    keep_alive_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds until an idle connection is closed: more than those of the proxy in front.",
        ),
    ] = 75
    data_dir: Annotated[
        Path, Field(description="Directory of the embedded PostgreSQL and the development secrets.")
    ] = Path(".data")
    database_url: Annotated[
        SecretStr | None,
        Field(description="`postgresql://…` of a server of one's own (18+); unset: the embedded one."),
    ] = None
    database_password: Annotated[
        SecretStr | None,
        Field(description="The password of the user in the URLs of the database, in any characters, as it is."),
    ] = None
    direct_url: Annotated[
        SecretStr | None,
        Field(
            description="`postgresql://…` of the same database without a pooler in between, for what needs a session: "
            "jobs, migrations, commands, notifications. Unset: XUEZU_DATABASE_URL.",
        ),
    ] = None
    owner_url: Annotated[
        SecretStr | None,
        Field(
            description="`postgresql://…` of the owner of the tables, for `xuezu migrate` and `xuezu points archive`. "
            "Unset: as the service.",
        ),
    ] = None
    backup_dir: Annotated[
        Path | None, Field(description="Directory of `xuezu backup`: the backups and the archived log.")
    ] = None
    backup_url: Annotated[
        SecretStr | None,
        Field(description="`postgresql://…` of a user that may replicate, for `xuezu backup`. Unset: as the service."),
    ] = None
    replica_url: Annotated[
        SecretStr | None,
        Field(
            description="A standby of the database, `postgresql://…`: reports, rankings, lists and exports read there. "
            "Unset: all read from XUEZU_DATABASE_URL."
        ),
    ] = None
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^(https?://[^\s/?#]+/?)?$",
            description="The address that browsers and phones use; also the token issuer. Unset: http://localhost:PORT.",
        ),
    ] = None
    trusted_proxies: Annotated[
        str,
        Field(
            description="`network[,network…]` of the reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are "
            "believed. Unset: no header is believed.",
        ),
    ] = ""
    app_link: Annotated[
        str | None,
        Field(
            pattern=r"^([a-z][a-z0-9+.-]*://[^\s\"'<>]+)?$",
            description="Where the pages of links and QR codes lead: the app's own link or its page in a store. "
            "`{link}` in it becomes the address that was opened. Unset: the phone simulator in development, else none.",
        ),
    ] = None
    database_pool: Annotated[
        # At least one connection for small reads on the driver's pool, and one for everything else.
        int,
        Field(ge=2, le=200, description="Connections a process keeps at most."),
    ] = 20
    transaction_pooler: Annotated[
        bool,
        Field(description="Set where XUEZU_DATABASE_URL is a pgbouncer in transaction mode; needs XUEZU_DIRECT_URL."),
    ] = False
    data_keys: Annotated[
        SecretStr | None,
        Field(description="`id:base64key[,id:base64key…]`, 32-byte AES keys; the first encrypts, all decrypt."),
    ] = None
    index_key: Annotated[
        SecretStr | None,
        Field(description="`base64[,base64…]`: HMAC keys by which phones and ID numbers are found, newest first."),
    ] = None
    next_index_key: Annotated[
        SecretStr | None,
        Field(description="The index key that is to follow: set while `xuezu keys rotate-index` is under way."),
    ] = None
    sms_provider: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9-]+(,[a-z0-9-]+)*$",
            description="SMS gateway: `aliyun`, `tencent`, `hook`, the name of a plug-in, `simulated` or `none`; after "
            "a comma the one that is tried next. Unset: simulated in development, none in production.",
        ),
    ] = None
    sms_receipt_secret: Annotated[
        SecretStr | None,
        Field(
            min_length=20,
            description="The secret in the address to which Alibaba Cloud and Tencent Cloud send delivery receipts. "
            "Unset: none are taken.",
        ),
    ] = None
    identity_provider: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9-]+(,[a-z0-9-]+)*$",
            description="Real names are proved at once by `alipay`, `tencent`, the name of a plug-in, `simulated` or "
            "`none`; after a comma another way. Unset: as for SMS.",
        ),
    ] = None
    max_upload_mb: Annotated[int, Field(ge=1, le=200, description="Largest import sheet, in MB.")] = 20
    withhold_below: Annotated[
        int,
        Field(ge=1, le=1000, description="Report totals of fewer people than this are withheld; 1 withholds none."),
    ] = 3
    log_format: Annotated[
        str | None,
        Field(pattern="^(console|json)$", description="`console` or `json`. Unset: by the environment."),
    ] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _SecretFiles(settings_cls), env_settings

    @model_validator(mode="after")
    def _check_environment(self) -> Self:
        default = Provider.SIMULATED if self.env is Environment.DEVELOPMENT else Provider.NONE
        self.sms_provider = self.sms_provider or default
        self.identity_provider = self.identity_provider or default
        self.log_format = self.log_format or ("console" if self.env is Environment.DEVELOPMENT else "json")
        self.public_url = (self.public_url or f"http://localhost:{self.port}").rstrip("/")
        self.parse_trusted_proxies()
        if self.sms_receipt_secret and not _IN_ADDRESS.fullmatch(self.sms_receipt_secret.get_secret_value()):
            raise ConfigurationError(
                "XUEZU_SMS_RECEIPT_SECRET is part of an address: write it with letters, digits, `-` and `_` only."
            )
        if self.app_link and self.app_link.startswith(("javascript:", "data:", "vbscript:")):
            raise ConfigurationError("XUEZU_APP_LINK is a script: write https://… or the app's own scheme.")
        if not self.app_link:
            self.app_link = f"{self.public_url}/phone/open?link={{link}}" if self.development else None
        self.data_dir = self.data_dir.expanduser().absolute()
        self._complete_database_urls()
        return self

    def _complete_database_urls(self) -> None:
        """Check the URLs of the database and add the password. Raises ConfigurationError, whose text contains no part
        of a URL."""
        if self.replica_url is not None:
            read_database_url(self.replica_url.get_secret_value(), "XUEZU_REPLICA_URL")
        if self.owner_url is not None:
            read_database_url(self.owner_url.get_secret_value(), "XUEZU_OWNER_URL")
        if self.database_url is None:
            if self.direct_url is not None:
                raise ConfigurationError("XUEZU_DIRECT_URL needs XUEZU_DATABASE_URL: the pooler, or the same URL.")
            return
        self.database_url = self._build_database_url(self.database_url, "XUEZU_DATABASE_URL")
        if self.direct_url is not None:
            self.direct_url = self._build_database_url(self.direct_url, "XUEZU_DIRECT_URL")
        if not self.transaction_pooler:
            return
        if self.direct_url is None:
            raise ConfigurationError(
                "XUEZU_TRANSACTION_POOLER=true needs XUEZU_DIRECT_URL, the URL of the database without the pooler: "
                "migrations, jobs and notifications need a session."
            )
        if read_database_url(self.database_url.get_secret_value()).options:
            raise ConfigurationError(
                "XUEZU_DATABASE_URL has `options`, which do not pass through a transaction pooler: write "
                "ALTER ROLE … SET … in the database instead."
            )

    def _build_database_url(self, given: SecretStr, setting: str) -> SecretStr:
        """Return the URL with its password."""
        read_database_url(given.get_secret_value(), setting)
        if self.database_password is None:
            return given
        try:
            return SecretStr(replace_password(given.get_secret_value(), self.database_password.get_secret_value()))
        except MalformedDatabaseUrl:
            raise ConfigurationError(
                f"XUEZU_DATABASE_PASSWORD needs the name of a user in {setting}: write "
                "postgresql://user@host:5432/database."
            ) from None

    @property
    def session_url(self) -> str:
        """Return the URL for connections that need a session of their own: past a pooler, if there is one."""
        url = self.direct_url or self.database_url
        assert url is not None
        return url.get_secret_value()

    @property
    def schema_url(self) -> str:
        """Return the URL for changes of the schema: that of the owner of its tables."""
        return self.session_url if self.owner_url is None else self.owner_url.get_secret_value()

    @property
    def development(self) -> bool:
        return self.env is Environment.DEVELOPMENT

    @property
    def issuer(self) -> str:
        """Return the OAuth issuer (RFC 8414), which is also the `iss` of every token."""
        assert self.public_url is not None
        return self.public_url

    def complete_secrets(self) -> Self:
        """Set the data keys and the index key if they are missing, check that they are well formed, and return the
        settings.

        In development, missing keys are created once and stored in `data_dir/secrets.json`. In production they must be
        configured, and a key from such a file is refused because its id begins with `development`. Raises
        ConfigurationError.
        """
        if self.development:
            stored = _read_development_secrets(self.data_dir)
            self.data_keys = self.data_keys or SecretStr(stored["data_keys"])
            self.index_key = self.index_key or SecretStr(stored["index_key"])
        missing = [name for name in ("data_keys", "index_key") if getattr(self, name) is None]
        if missing:
            names = " and ".join(f"XUEZU_{name.upper()}" for name in missing)
            raise ConfigurationError(
                f"XUEZU_ENV=production needs {names}: make them with `xuezu keys` and keep them in your secret store."
            )
        keys, index_keys = self.parse_data_keys(), [*self.parse_index_keys(), self.parse_next_index_key() or b""]
        if not self.development and (
            any(key_id.startswith("development") for key_id in keys)
            or any(key.startswith(b"development") for key in index_keys)
        ):
            raise ConfigurationError(
                "XUEZU_ENV=production refuses development secrets: make keys of its own with `xuezu keys`."
            )
        return self

    def list_sms_providers(self) -> list[str]:
        """Return the names of the SMS providers, in the order in which they are tried; none for `none`."""
        return _list_providers(self.sms_provider)

    def list_identity_providers(self) -> list[str]:
        """Return the names of the identity providers, in the order in which they are offered; none for `none`."""
        return _list_providers(self.identity_provider)

    def parse_trusted_proxies(self) -> Networks:
        """Return the networks of the trusted proxies. Raises ConfigurationError."""
        given = [item.strip() for item in self.trusted_proxies.split(",")] if self.trusted_proxies.strip() else []
        networks = []
        for item in given:
            try:
                networks.append(parse_network(item))
            except ValueError:
                raise ConfigurationError(
                    f"XUEZU_TRUSTED_PROXIES contains `{item}`, which is no network of proxies: write addresses or "
                    "networks with commas between them, such as 127.0.0.1,10.1.0.0/16."
                ) from None
        return Networks(networks)

    def parse_data_keys(self) -> dict[str, bytes]:
        assert self.data_keys is not None
        keys: dict[str, bytes] = {}
        for item in self.data_keys.get_secret_value().split(","):
            key_id, _, encoded = item.strip().partition(":")
            keys[key_id] = _parse_key(encoded, "XUEZU_DATA_KEYS")
            if not key_id or len(key_id) > 40:
                raise ConfigurationError("XUEZU_DATA_KEYS: each key is written `id:base64`, the id 1 to 40 characters.")
        return keys

    def parse_index_keys(self) -> list[bytes]:
        """Return all index keys, newest first."""
        assert self.index_key is not None
        return [_parse_key(item.strip(), "XUEZU_INDEX_KEY") for item in self.index_key.get_secret_value().split(",")]

    def parse_next_index_key(self) -> bytes | None:
        given = self.next_index_key
        return None if given is None else _parse_key(given.get_secret_value().strip(), "XUEZU_NEXT_INDEX_KEY")


def _list_providers(setting: str | None) -> list[str]:
    names = (setting or Provider.NONE).split(",")
    return [name for name in dict.fromkeys(names) if name != Provider.NONE]


def _parse_key(encoded: str, name: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ConfigurationError(
            f"{name} contains a key that is not the base64 of 32 bytes: make one with `xuezu keys`."
        )
    return key


def make_key(marked: bytes = b"") -> str:
    """Return base64 of 32 random bytes; `marked` replaces the first bytes, to recognize development keys."""
    return base64.b64encode(marked + secrets.token_bytes(32 - len(marked))).decode()


def _read_development_secrets(data_dir: Path) -> dict[str, str]:
    path = data_dir / "secrets.json"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        made = {"data_keys": f"development:{make_key()}", "index_key": make_key(b"development")}
        # The file is written under another name and then linked: two concurrent first starts use the same keys.
        draft = data_dir / f"secrets.{os.getpid()}.json"
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded
