"""Every setting of the service, read from `XUEZU_…` environment variables (README lists them; a test checks that)."""

import base64
import binascii
import json
import os
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.database_url import is_database_url, replace_password


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


MALFORMED_DATABASE_URL = (
    "XUEZU_DATABASE_URL is no address: write postgresql://user@host:5432/database, "
    "and the password as it is in XUEZU_DATABASE_PASSWORD."
)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="XUEZU_", extra="ignore")

    env: Annotated[
        Environment,
        Field(description="`development` or `production`; production refuses development secrets."),
    ] = Environment.DEVELOPMENT
    host: Annotated[str, Field(description="Address to listen on.")] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535, description="Port to listen on.")] = 8000
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
        Field(description="The password of the user in XUEZU_DATABASE_URL, in any characters, as it is."),
    ] = None
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^(https?://[^\s/?#]+/?)?$",
            description="The address that browsers and phones use; also the token issuer. Unset: http://localhost:PORT.",
        ),
    ] = None
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
        Field(description="Set behind a transaction-pooling pgbouncer: turns the statement caches off."),
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
        Provider | None,
        Field(description="SMS gateway: `simulated` or `none`. Unset: simulated in development, none in production."),
    ] = None
    alipay_provider: Annotated[
        Provider | None,
        Field(description="Alipay verification: `simulated` or `none`. Unset: as for SMS."),
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

    @model_validator(mode="after")
    def _check_environment(self) -> Self:
        default = Provider.SIMULATED if self.env is Environment.DEVELOPMENT else Provider.NONE
        self.sms_provider = self.sms_provider or default
        self.alipay_provider = self.alipay_provider or default
        self.log_format = self.log_format or ("console" if self.env is Environment.DEVELOPMENT else "json")
        self.public_url = (self.public_url or f"http://localhost:{self.port}").rstrip("/")
        if self.app_link and self.app_link.startswith(("javascript:", "data:", "vbscript:")):
            raise ConfigurationError("XUEZU_APP_LINK is a script: write https://… or the app's own scheme.")
        if not self.app_link:
            self.app_link = f"{self.public_url}/phone/open?link={{link}}" if self.development else None
        self.data_dir = self.data_dir.expanduser().absolute()
        if self.database_url is not None:
            self.database_url = SecretStr(self._build_database_url(self.database_url.get_secret_value()))
        return self

    def _build_database_url(self, database_url: str) -> str:
        """Return the URL of the database with its password. Raises ConfigurationError, whose text contains no part of
        the URL."""
        try:
            if not is_database_url(database_url):
                raise ConfigurationError(MALFORMED_DATABASE_URL)
            if self.database_password is None:
                return database_url
            return replace_password(database_url, self.database_password.get_secret_value())
        except ValueError:
            raise ConfigurationError(
                "XUEZU_DATABASE_PASSWORD needs the name of a user in XUEZU_DATABASE_URL: write "
                "postgresql://user@host:5432/database."
            ) from None

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
