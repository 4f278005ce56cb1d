"""Real-name verification by Alipay: the interface that a provider implements.

The person consents on the provider's page, and the provider sends a signed form to the service.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.core.cipher import Cipher
from app.core.plugins import IDENTITY_PROVIDERS, load_plugin
from app.core.services import Service
from app.core.settings import Provider, Settings


@dataclass(frozen=True, slots=True)
class Consent:
    """The result of one verification by the provider. If `name` and `id_number` are None, the person declined."""

    reference: str
    name: str | None
    id_number: str | None


class AlipayProvider(Protocol):
    def build_redirect_url(self, reference: str) -> str:
        """Return the address of the page on which the person consents."""

    def read_notification(self, notification: Mapping[str, str]) -> Consent:
        """Return the result that a notification contains. Raises BadSignature if the provider did not sign it."""


ALIPAY = Service[AlipayProvider | None]("alipay")
MakeAlipay = Callable[[Settings, Cipher], AlipayProvider]


def load_alipay_provider(settings: Settings) -> MakeAlipay | None:
    """Return the factory of the provider that the settings name, or None if they name none. Without a provider, users
    verify by ID card only.

    Raises CannotStart if the provider is not installed.
    """
    name = settings.alipay_provider
    if name is None or name is Provider.NONE:
        return None
    factory: MakeAlipay = load_plugin(IDENTITY_PROVIDERS, name, needed_for=f"XUEZU_ALIPAY_PROVIDER={name}")
    return factory
