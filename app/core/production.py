"""What a service of real people needs before it starts."""

from collections.abc import Iterator

from app.core.settings import ConfigurationError, Provider, Settings, read_database_url

DEFAULT_PASSWORDS = frozenset({"xuezu", "postgres", "password", "123456"})


def require_production_settings(settings: Settings) -> None:
    """Raise ConfigurationError, with every fault, if the environment is production and a setting is not fit for it."""
    if settings.development:
        return
    faults = list(_find_faults(settings))
    if faults:
        raise ConfigurationError(f"XUEZU_ENV=production cannot start: {'; '.join(faults)}.")


def _find_faults(settings: Settings) -> Iterator[str]:
    names = settings.list_sms_providers()
    if not names:
        yield "no user could sign in, because XUEZU_SMS_PROVIDER names no provider"
    if Provider.SIMULATED in names:
        yield "XUEZU_SMS_PROVIDER=simulated sends no message"
    if Provider.SIMULATED in settings.list_identity_providers():
        yield "XUEZU_IDENTITY_PROVIDER=simulated accepts every name"
    if not settings.issuer.startswith("https://"):
        yield "XUEZU_PUBLIC_URL must be the https:// address that browsers and phones use"
    for url in (settings.database_url, settings.direct_url):
        if url is not None and read_database_url(url.get_secret_value()).password in DEFAULT_PASSWORDS:
            yield "the database has a default password: set one of its own, and XUEZU_DATABASE_PASSWORD"
            break
