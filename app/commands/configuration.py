"""The settings for a command, with secrets and with a database. The error for an unusable setting explains it."""

import asyncio
import difflib
import os
from collections.abc import Iterable, Iterator

import typer
from pydantic import SecretStr, ValidationError

from app.core.data_dir import build_directory_error
from app.core.production import require_production_settings
from app.core.settings import CannotStart, ConfigurationError, Settings, list_secrets
from app.database import migration
from app.embedded import require_embedded
from app.identity.providers.settings import ALL as IDENTITY_SETTINGS
from app.provider_calls.settings import list_variables
from app.sms.providers.settings import ALL as SMS_SETTINGS


def read_plain_settings() -> Settings:
    """Return the settings of the environment. Secrets may be missing. Print a sentence about each unknown setting to
    stderr.

    Raises ConfigurationError.
    """
    if "XUEZU_ALIPAY_PROVIDER" in os.environ:
        raise ConfigurationError(
            "XUEZU_ALIPAY_PROVIDER is now XUEZU_IDENTITY_PROVIDER, with the names of one or more providers: set it and "
            "remove the old name (docs/PROVIDERS.md)."
        )
    for line in describe_unknown_settings(os.environ):
        typer.echo(f"xuezu: {line}", err=True)
    try:
        return Settings()
    except ValidationError as error:
        # The value can be a secret: the error names only the setting and the rule.
        found = error.errors(include_url=False, include_input=False, include_context=False)
        wrong = "; ".join(
            f"XUEZU_{str(item['loc'][0]).upper()}: {item['msg'][0].lower()}{item['msg'][1:]}" for item in found
        )
        raise ConfigurationError(f"A setting cannot be used: {wrong} (README.md lists what each may be).") from error


def describe_unknown_settings(names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence about each environment variable in `names` that begins with XUEZU and is not a setting.

    If a setting has a similar name, the sentence suggests that setting.
    """
    known = {f"XUEZU_{name.upper()}" for name in Settings.model_fields}
    known |= {f"XUEZU_{name.upper()}_FILE" for name in list_secrets(Settings)}
    for variable in (variable for kind in (*SMS_SETTINGS, *IDENTITY_SETTINGS) for variable in list_variables(kind)):
        known |= {variable, f"{variable}_FILE"}
    for name in sorted(names):
        if name.upper().startswith("XUEZU") and name.upper() not in known and name not in _OTHERS:
            near = difflib.get_close_matches(name.upper(), known, 1, 0.6)
            yield f"{name} is no setting and has no effect" + (f": is {near[0]} meant?" if near else ".")


_OTHERS = {
    "XUEZU_PROOF",
    "XUEZU_REQUIRE_BROWSER",
    "XUEZU_REQUIRE_NGINX",
    "XUEZU_REQUIRE_PGBOUNCER",
    "XUEZU_REQUIRE_PROMETHEUS",
    "XUEZU_TEST_POOLER",
    "XUEZU_SEED",
    "XUEZU_RUNS",
    "XUEZU_ROUNDS",
    "XUEZU_RANDOM_EDITS",
}
"""Variables of the tests."""


def read_settings() -> Settings:
    """Return the settings of the environment with their secrets. Raises CannotStart."""
    settings = read_plain_settings()
    try:
        return settings.complete_secrets()
    except OSError as error:
        raise build_directory_error(settings.data_dir, error) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The development secrets in {settings.data_dir / 'secrets.json'} are damaged: put the file back, or "
            "remove the data directory to start without data (its data cannot be read without these secrets)."
        ) from error


def read_service_settings() -> Settings:
    """Return the settings of the environment with their secrets, for a process that serves people. Raises CannotStart,
    in production also for a setting that is fit for development only."""
    settings = read_settings()
    require_production_settings(settings)
    return settings


def complete_database_url(settings: Settings) -> Settings:
    """Return the settings with the URL of a database: the setting XUEZU_DATABASE_URL, or otherwise the URL of the
    embedded server, which must be running.

    Raises CannotStart.
    """
    if settings.database_url is None:
        require_embedded()
        from app.embedded import postgres

        server = postgres.find_running(settings.data_dir / "postgres")
        if server is None:
            raise CannotStart(
                "No database: set XUEZU_DATABASE_URL, or start everything with `make run`, whose database this finds."
            )
        settings.database_url = SecretStr(server.build_url())
    return settings


def read_settings_and_database(*, with_all_data_keys: bool = True) -> Settings:
    """Return the settings with their secrets and the URL of a database.

    The database is reachable, this version can run on its schema, and the settings have the keys with which
    its data are encrypted. If `with_all_data_keys` is False, some data keys may be missing. Raises CannotStart.
    """
    from app.blind_index.key_checks import require_keys

    settings = complete_database_url(read_settings())
    asyncio.run(migration.require_compatible_database(settings.session_url))
    asyncio.run(require_keys(settings, with_all_data_keys=with_all_data_keys))
    return settings
