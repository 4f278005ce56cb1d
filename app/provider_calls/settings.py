"""The settings of a provider. They are read only if a setting of the service names the provider."""

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from app.core.settings import ConfigurationError, read_setting_file

S = TypeVar("S", bound=BaseSettings)


def list_variables(kind: type[BaseSettings]) -> list[str]:
    """Return the names of the environment variables of these settings."""
    return [f"{kind.model_config['env_prefix']}{name.upper()}" for name in kind.model_fields]


def read_provider_settings(kind: type[S]) -> S:
    """Return the settings of a provider from the environment. A setting can be the content of a file instead, whose
    path is in the variable with `_FILE` at its end.

    Raises ConfigurationError, which contains no value.
    """
    prefix = kind.model_config["env_prefix"]
    try:
        from_files: Any = _read_files(kind)
        return kind(**from_files)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        wrong = "; ".join(
            f"{prefix}{str(item['loc'][0]).upper()}: {item['msg']}" if item["loc"] else item["msg"] for item in found
        )
        raise ConfigurationError(f"The provider needs its settings: {wrong}.") from None


def _read_files(kind: type[BaseSettings]) -> dict[str, str]:
    found = {
        name: read_setting_file(variable)
        for name, variable in zip(kind.model_fields, list_variables(kind), strict=True)
    }
    return {name: content for name, content in found.items() if content is not None}
