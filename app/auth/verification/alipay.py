"""Real-name verification by Alipay: the small interface that a provider implements.

The person is sent to the provider's page, consents there, and the provider notifies us with a signed form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.core.cipher import Cipher
from app.core.plugins import IDENTITY_PROVIDERS, load
from app.core.services import Service
from app.core.settings import Provider, Settings


@dataclass(frozen=True, slots=True)
class Consent:
    """What the provider says of one verification; without a name and number the person declined."""

    reference: str
    name: str | None
    id_number: str | None


class AlipayProvider(Protocol):
    def redirect_url(self, reference: str) -> str:
        """Where the person goes to consent."""

    def read(self, notification: Mapping[str, str]) -> Consent:
        """What a notification says; raises BadSignature for one the provider did not write."""


ALIPAY = Service[AlipayProvider | None]("alipay")
MakeAlipay = Callable[[Settings, Cipher], AlipayProvider]


def load_alipay_provider(settings: Settings) -> MakeAlipay | None:
    """The factory of the provider that the settings name; None where there is none and only ID cards verify.

    Raises CannotStart where the provider is not installed.
    """
    name = settings.alipay_provider
    if name is None or name is Provider.NONE:
        return None
    made: MakeAlipay = load(IDENTITY_PROVIDERS, name, needed_for=f"XUEZU_ALIPAY_PROVIDER={name}")
    return made
