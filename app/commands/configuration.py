"""The settings for a command: with secrets and with a database, or an error that explains what is wrong."""

import asyncio

from pydantic import SecretStr, ValidationError

from app.core.data_dir import unwritable_directory
from app.core.settings import CannotStart, ConfigurationError, Settings
from app.database import migration
from app.embedded import require_embedded


def read_plain_settings() -> Settings:
    """Return the settings of the environment, with or without secrets. Raises ConfigurationError."""
    try:
        return Settings()
    except ValidationError as error:
        # The value can be a secret: the error names only the setting and the rule.
        found = error.errors(include_url=False, include_input=False, include_context=False)
        wrong = "; ".join(
            f"XUEZU_{str(item['loc'][0]).upper()}: {item['msg'][0].lower()}{item['msg'][1:]}" for item in found
        )
        raise ConfigurationError(f"A setting cannot be used: {wrong} (README.md lists what each may be).") from error


def read_settings() -> Settings:
    """Return the settings of the environment with their secrets. Raises CannotStart."""
    settings = read_plain_settings()
    try:
        return settings.with_secrets()
    except OSError as error:
        raise unwritable_directory(settings.data_dir, error) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The development secrets in {settings.data_dir / 'secrets.json'} are damaged: put the file back, or "
            "remove the data directory to start without data (its data cannot be read without these secrets)."
        ) from error


def with_database(settings: Settings) -> Settings:
    """Return the settings with a database: without XUEZU_DATABASE_URL, that of a running embedded server.

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
        settings.database_url = SecretStr(server.url())
    return settings


def read_settings_and_database() -> Settings:
    """Return the settings with their secrets and a reachable database at this version's revision.

    Raises CannotStart.
    """
    settings = with_database(read_settings())
    assert settings.database_url is not None
    asyncio.run(migration.require_head(settings.database_url.get_secret_value()))
    return settings
