"""Loading the gateway that the settings name."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.cipher import Cipher
from app.core.plugins import SMS_PROVIDERS, load_plugin
from app.core.settings import Settings
from app.provider_calls.settings import read_provider_settings
from app.sms.gateway import Fallback, MakeGateway, SmsGateway
from app.sms.providers.settings import AliyunSettings, HookSettings, TencentSettings


def load_sms_provider(settings: Settings) -> MakeGateway | None:
    """Return the factory of the gateway that the settings name, of several providers where they name several. Return
    None if they name none; then no user can sign in by phone.

    Raises CannotStart if a provider is not installed, or lacks a setting.
    """
    names = settings.list_sms_providers()
    if not names:
        return None
    factories = {name: _load(name) for name in names}

    def make(*services: Any) -> SmsGateway:
        gateways = {name: factory(*services) for name, factory in factories.items()}
        return next(iter(gateways.values())) if len(gateways) == 1 else Fallback(gateways)

    return make


@asynccontextmanager
async def open_gateway(settings: Settings, engine: AsyncEngine, cipher: Cipher) -> AsyncIterator[SmsGateway | None]:
    """Open the gateway that the settings name, None if they name none, and close it at the end of the block. Raises
    CannotStart if a provider is not installed, or lacks a setting."""
    make_gateway = load_sms_provider(settings)
    gateway = make_gateway and make_gateway(settings, engine, cipher)
    try:
        yield gateway
    finally:
        if gateway is not None:
            await gateway.close()


def _load(name: str) -> MakeGateway:
    built_in = _BUILT_IN.get(name)
    if built_in is not None:
        return built_in()
    factory: MakeGateway = load_plugin(SMS_PROVIDERS, name, needed_for=f"XUEZU_SMS_PROVIDER={name}")
    return factory


def _load_aliyun() -> MakeGateway:
    from app.sms.providers.aliyun import AliyunGateway

    return partial(_make, AliyunGateway, read_provider_settings(AliyunSettings))


def _load_tencent() -> MakeGateway:
    from app.sms.providers.tencent import TencentGateway

    return partial(_make, TencentGateway, read_provider_settings(TencentSettings))


def _load_hook() -> MakeGateway:
    from app.sms.providers.http_hook import HookGateway

    return partial(_make, HookGateway, read_provider_settings(HookSettings))


def _make(kind: Callable[[Any], SmsGateway], own_settings: Any, *_: Any) -> SmsGateway:
    return kind(own_settings)


# A provider is imported when it is named: httpx takes longer to import than most commands run.
_BUILT_IN: dict[str, Callable[[], MakeGateway]] = {
    "aliyun": _load_aliyun,
    "tencent": _load_tencent,
    "hook": _load_hook,
}
