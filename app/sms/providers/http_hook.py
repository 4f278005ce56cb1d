"""A gateway of the operator's own behind a URL: each message is a POST of JSON, signed as Standard Webhooks says.

    {"phone": "+8613900000000", "template": "sign-in", "parameters": {"code": "123456"}, "text": "【学组】…"}

`webhook-id` identifies the message, `webhook-timestamp` is the Unix time, and `webhook-signature` is `v1,` and the
base64 of the HMAC-SHA256 of `id.timestamp.body`. The receiver answers 2xx when it has taken the message; else with a
JSON object whose `cause` is one of `Cause`.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from uuid import uuid4

import orjson

from app.core.phones import to_international
from app.core.settings import ConfigurationError
from app.provider_calls.client import create_client
from app.provider_calls.settings import read_provider_settings
from app.sms.gateway import Cause, NotSent
from app.sms.messages import Message
from app.sms.providers.http_client import post
from app.sms.providers.settings import HookSettings

_CODES = frozenset(Cause)


class HookGateway:
    """Sends messages to the URL of the settings."""

    def __init__(self, settings: HookSettings) -> None:
        self._url = settings.url
        self._key = read_secret(settings.secret.get_secret_value())
        self._client = create_client("")

    async def send(self, phone: str, message: Message) -> None:
        body = orjson.dumps(
            {
                "phone": to_international(phone),
                "template": message.template,
                "parameters": dict(message.values),
                "text": message.text,
            }
        )
        message_id, now = f"sms_{uuid4().hex}", int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(self._key, message_id, now, body),
        }
        status, _, answer = await post(self._client, self._url, content=body, headers=headers)
        if not 200 <= status < 300:
            given = answer.get("cause")
            cause = Cause(given) if isinstance(given, str) and given in _CODES else _find_cause(status)
            raise NotSent(cause, str(status))

    async def close(self) -> None:
        await self._client.aclose()


def _find_cause(status: int) -> Cause:
    if status == 429:
        return Cause.OVERLOADED
    return Cause.UNREACHABLE if status >= 500 else Cause.MISCONFIGURED


def read_secret(secret: str) -> bytes:
    """Return the key of a secret: the base64 after `whsec_`, or else the text itself."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def sign(key: bytes, message_id: str, now: int, body: bytes) -> str:
    """Return the header `webhook-signature`."""
    signed = hmac.new(key, b".".join((message_id.encode(), str(now).encode(), body)), hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"


MAX_AGE_SECONDS = 300
"""How old a signed call may be, and how far in the future."""


def is_hook_signed(headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a call to the service is signed with the secret of the settings, and new (Standard Webhooks). A
    call may have several signatures. False also where no gateway of the operator's own is configured."""
    try:
        key = read_secret(read_provider_settings(HookSettings).secret.get_secret_value())
        sent_at = int(headers.get("webhook-timestamp", ""))
    except (ConfigurationError, ValueError):
        return False
    if abs(time.time() - sent_at) > MAX_AGE_SECONDS:
        return False
    expected = sign(key, headers.get("webhook-id", ""), sent_at, body)
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in given)
