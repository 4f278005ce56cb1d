"""Real-name verification by Alipay: the small interface that the real provider fills, and the test provider.

The person is sent to the provider's page, consents there, and the provider notifies us with a signed form. The test
provider does the same from inside: its page is `/simulator/alipay/{reference}`, and what it tells us arrives over the
same signed callback and is checked the same way.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.auth.errors import BadSignature
from app.core.cipher import Cipher
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


class SimulatedAlipay:
    """The test provider. Like the real one it signs `name=value&…` in the order of the names."""

    def __init__(self, settings: Settings, cipher: Cipher) -> None:
        self._issuer = settings.issuer
        self._key = cipher.index("simulated-alipay", "signing key")

    def redirect_url(self, reference: str) -> str:
        return f"{self._issuer}/simulator/alipay/{reference}"

    def notification(self, reference: str, name: str | None, id_number: str | None) -> dict[str, str]:
        """The signed form that tells of a consent, or without name and number of a refusal."""
        fields = {"out_request_no": reference, "passed": "F" if id_number is None else "T", "sign_type": "HMAC"}
        if name is not None and id_number is not None:
            fields |= {"cert_name": name, "cert_no": id_number}
        return fields | {"sign": self._sign(fields)}

    def read(self, notification: Mapping[str, str]) -> Consent:
        fields = dict(notification)
        signed = fields.pop("sign", "")
        if not hmac.compare_digest(signed.encode(), self._sign(fields).encode()):
            raise BadSignature
        passed = fields.get("passed") == "T"
        return Consent(
            fields["out_request_no"],
            fields.get("cert_name") if passed else None,
            fields.get("cert_no") if passed else None,
        )

    def _sign(self, fields: Mapping[str, str]) -> str:
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()


def alipay_provider(settings: Settings, cipher: Cipher) -> SimulatedAlipay | None:
    """The provider that the settings name; None where there is none and only ID cards verify."""
    return SimulatedAlipay(settings, cipher) if settings.alipay_provider is Provider.SIMULATED else None
