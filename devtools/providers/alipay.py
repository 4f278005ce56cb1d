"""The simulated Alipay. It signs its notifications and sends them to the same callback as the real provider."""

import hmac
from collections.abc import Mapping

from app.auth.errors import BadSignature
from app.auth.verification.alipay import Consent
from app.core.cipher import Cipher
from app.core.settings import Settings


class SimulatedAlipay:
    """A simulated Alipay. Like the real provider it signs the text `name=value&…`, sorted by name."""

    def __init__(self, settings: Settings, cipher: Cipher) -> None:
        self._issuer = settings.issuer
        self._key = cipher.index("simulated-alipay", "signing key")

    def build_redirect_url(self, reference: str) -> str:
        return f"{self._issuer}/simulator/alipay/{reference}"

    def build_notification(self, reference: str, name: str | None, id_number: str | None) -> dict[str, str]:
        """Return the signed form that reports a consent or, if the name and the ID number are None, a refusal."""
        fields = {"out_request_no": reference, "passed": "F" if id_number is None else "T", "sign_type": "HMAC"}
        if name is not None and id_number is not None:
            fields |= {"cert_name": name, "cert_no": id_number}
        return fields | {"sign": self._sign(fields)}

    def read_notification(self, notification: Mapping[str, str]) -> Consent:
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
