"""Loading the providers that the settings name."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from app.core.cipher import Cipher
from app.core.plugins import IDENTITY_PROVIDERS, load_plugin
from app.core.settings import CannotStart, Settings
from app.identity.provider import IdentityProvider, IdentityProviders, MakeIdentityProvider
from app.provider_calls.settings import read_provider_settings

_METHOD = re.compile(r"[a-z][a-z0-9-]{1,39}")


def load_identity_providers(settings: Settings) -> Mapping[str, MakeIdentityProvider]:
    """Return the factories of the providers that the settings name, by their names. Where they name none, users verify
    by ID card only.

    Raises CannotStart if a provider is not installed, or lacks a setting.
    """
    return {name: _load(name) for name in settings.list_identity_providers()}


@asynccontextmanager
async def open_identity_providers(settings: Settings, cipher: Cipher) -> AsyncIterator[IdentityProviders]:
    """Open the providers that the settings name, and close them at the end of the block. Raises CannotStart if a
    provider is not installed, lacks a setting, or has the method of another one."""
    providers: dict[str, IdentityProvider] = {}
    async with AsyncExitStack() as stack:
        for name, factory in load_identity_providers(settings).items():
            provider = factory(settings, cipher)
            stack.push_async_callback(provider.close)
            if not _METHOD.fullmatch(provider.method) or provider.method in {*providers, "id-card"}:
                raise CannotStart(
                    f"XUEZU_IDENTITY_PROVIDER={name} offers the method `{provider.method}`, which another provider has "
                    "or which is no name: name only one of them."
                )
            providers[provider.method] = provider
        yield providers


def _load(name: str) -> MakeIdentityProvider:
    built_in = _BUILT_IN.get(name)
    if built_in is not None:
        return built_in()
    factory: MakeIdentityProvider = load_plugin(IDENTITY_PROVIDERS, name, needed_for=f"XUEZU_IDENTITY_PROVIDER={name}")
    return factory


def _load_alipay() -> MakeIdentityProvider:
    from app.identity.providers.alipay import AlipayIdentity
    from app.identity.providers.alipay_keys import load_keys
    from app.identity.providers.settings import AlipaySettings

    own = read_provider_settings(AlipaySettings)
    keys = load_keys(own)

    def make(settings: Settings, _: Cipher) -> IdentityProvider:
        return AlipayIdentity(own, keys, f"{settings.issuer}/v1/verifications/alipay/notifications")

    return make


def _load_tencent() -> MakeIdentityProvider:
    from app.identity.providers.settings import TencentFaceSettings
    from app.identity.providers.tencent import TencentIdentity

    own = read_provider_settings(TencentFaceSettings)

    def make(*_: Any) -> IdentityProvider:
        return TencentIdentity(own)

    return make


# A provider is imported when it is named: httpx takes longer to import than most commands run.
_BUILT_IN: dict[str, Callable[[], MakeIdentityProvider]] = {"alipay": _load_alipay, "tencent": _load_tencent}
