"""The simulated Alipay. It signs its notifications and sends them to the same address as the real provider."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from app.core.cipher import Cipher, create_secret
from app.core.settings import Settings
from app.identity.provider import Attempt, BadNotification, Notification, Outcome, Result, Started

_MAX_ANSWERS = 10_000


class SimulatedAlipay:
    """A simulated Alipay: the person consents or declines on its page. The answers are lost when the process ends."""

    method = "alipay"

    def __init__(self, settings: Settings, cipher: Cipher) -> None:
        self._issuer = settings.issuer
        self._key = cipher.index("simulated-alipay", "signing key")
        self._answers: dict[str, bool] = {}

    async def begin(self, attempt: Attempt) -> Started:
        token = create_secret()
        return Started(token, f"{self._issuer}/simulator/alipay/{token}")

    async def fetch_result(self, token: str) -> Result:
        consents = self._answers.get(token)
        if consents is None:
            return Result(Outcome.PENDING)
        return Result(Outcome.PASSED if consents else Outcome.FAILED)

    def answer(self, token: str, *, consents: bool) -> dict[str, str]:
        """Store the person's answer, the first one. Return the signed form that notifies of it."""
        self._answers.setdefault(token, consents)
        while len(self._answers) > _MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        return self.build_notification(token)

    def build_notification(self, token: str) -> dict[str, str]:
        """Return the signed form that says that an attempt has a result."""
        fields = {"certify_id": token, "sign_type": "HMAC"}
        return fields | {"sign": self._sign(fields)}

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        fields = dict(parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True))
        signed = fields.pop("sign", "")
        if not hmac.compare_digest(signed.encode(), self._sign(fields).encode()):
            raise BadNotification
        return Notification(fields["certify_id"])

    async def close(self) -> None:
        """There are no connections."""

    def _sign(self, fields: Mapping[str, str]) -> str:
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()
