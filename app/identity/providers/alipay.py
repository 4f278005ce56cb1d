"""Alipay's identity verification (支付宝身份验证): `alipay.user.certify.open.initialize`, `…certify` and `…query`.

The service names the person to Alipay (initialize), the person proves on Alipay's page (certify) that they are the one,
and the service asks for the result (query). Requests are signed with RSA2. Only what Alipay has signed is read of an
answer. A notification (`alipay.user.certify.open.notify.completed`) is signed too, and says that there is a result.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

import orjson

from app.core.calendar import SHANGHAI
from app.identity.provider import (
    Attempt,
    BadNotification,
    Cause,
    IdentityFailed,
    Notification,
    Outcome,
    Result,
    Started,
)
from app.identity.providers.alipay_keys import AlipayKeys
from app.identity.providers.settings import AlipaySettings
from app.provider_calls.client import Unanswered, create_client, post

INITIALIZE = "alipay.user.certify.open.initialize"
CERTIFY = "alipay.user.certify.open.certify"
QUERY = "alipay.user.certify.open.query"
_OK = "10000"
# https://opendocs.alipay.com/common/02km9f
CAUSES = {
    "20000": Cause.UNREACHABLE,
    "20001": Cause.MISCONFIGURED,
    "40001": Cause.MISCONFIGURED,
    "40002": Cause.MISCONFIGURED,
    "40003": Cause.MISCONFIGURED,
    "40005": Cause.OVERLOADED,
    "40006": Cause.MISCONFIGURED,
}
"""The cause of each code. 40004, a refusal of the service itself, has none of its own."""
_UNSIGNED = "unsigned"


class AlipayIdentity:
    """Alipay as a provider. `notify_url` is the address of its notifications."""

    method = "alipay"

    def __init__(self, settings: AlipaySettings, keys: AlipayKeys, notify_url: str) -> None:
        self._settings = settings
        self._keys = keys
        self._notify_url = notify_url
        self._client = create_client("")

    async def begin(self, attempt: Attempt) -> Started:
        person = {
            "identity_type": "CERT_INFO",
            "cert_type": "IDENTITY_CARD",
            "cert_name": attempt.name,
            "cert_no": attempt.id_number,
        }
        answer = await self._call(
            INITIALIZE,
            {
                "outer_order_no": attempt.id.hex,
                "biz_code": self._settings.biz_code,
                "identity_param": person,
                "merchant_config": {"return_url": attempt.return_url},
            },
            notify_url=self._notify_url,
        )
        token = answer.get("certify_id")
        if not isinstance(token, str) or not token:
            raise IdentityFailed(Cause.UNKNOWN, "no-certify-id")
        content = orjson.dumps({"certify_id": token}).decode()
        query = self._sign(self._build_common(CERTIFY, return_url=attempt.return_url) | {"biz_content": content})
        return Started(token, f"{self._settings.url}?{urlencode(query)}")

    async def fetch_result(self, token: str) -> Result:
        answer = await self._call(QUERY, {"certify_id": token})
        name, id_number = _read_person(answer.get("identity_info"))
        if answer.get("passed") in ("T", ["T"]):
            return Result(Outcome.PASSED, name, id_number)
        # `F` alone also means that the person has not come to an end yet.
        return Result(Outcome.FAILED if answer.get("fail_reason") else Outcome.PENDING)

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100)
        except ValueError:
            raise BadNotification from None
        fields = dict(pairs)
        if len(fields) != len(pairs) or fields.get("app_id") != self._settings.app_id:
            raise BadNotification
        signature = fields.pop("sign", "")
        # Notifications of payments are signed without `sign_type`, messages of products with it.
        without_type = {name: value for name, value in fields.items() if name != "sign_type"}
        if fields.get("sign_type") != "RSA2" or not any(
            self._keys.is_signed(build_signed_text(signed).encode(), signature) for signed in (without_type, fields)
        ):
            raise BadNotification
        token = fields.get("certify_id") or _read_object(fields.get("biz_content")).get("certify_id")
        if not isinstance(token, str) or not token:
            raise BadNotification
        return Notification(token)

    async def close(self) -> None:
        await self._client.aclose()

    def _build_common(self, method: str, **urls: str) -> dict[str, str]:
        common = {
            "app_id": self._settings.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{datetime.now(SHANGHAI):%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
        }
        if self._keys.app_cert_sn is not None and self._keys.root_cert_sn is not None:
            common |= {"app_cert_sn": self._keys.app_cert_sn, "alipay_root_cert_sn": self._keys.root_cert_sn}
        return common | urls

    def _sign(self, fields: dict[str, str]) -> dict[str, str]:
        return fields | {"sign": self._keys.sign(build_signed_text(fields))}

    async def _call(self, method: str, content: Mapping[str, object], **urls: str) -> Mapping[str, object]:
        """Call a method and return its answer. Raises IdentityFailed, also where Alipay has not signed the answer."""
        biz_content = orjson.dumps(content).decode()
        fields = self._sign(self._build_common(method, **urls) | {"biz_content": biz_content})
        del fields["biz_content"]  # the name and the number go in the body: an address is logged on its way
        try:
            answer = await post(self._client, self._settings.url, params=fields, data={"biz_content": biz_content})
        except Unanswered as error:
            raise IdentityFailed(Cause.UNREACHABLE, error.code) from None
        found = self._read_answer(method, answer.content)
        code = str(found.get("code", "none"))
        if code != _OK:
            raise IdentityFailed(CAUSES.get(code, Cause.UNKNOWN), str(found.get("sub_code") or code)[:100])
        return found

    def _read_answer(self, method: str, content: bytes) -> Mapping[str, object]:
        """Return the signed part of an answer. The signature is over its characters as they came.

        An error before Alipay knows the application (`error_response`) is not signed. Of it only the code is read.
        """
        try:
            text = content.decode()
            whole = json.loads(text)
        except ValueError:
            raise IdentityFailed(Cause.UNREACHABLE, "no-json") from None
        if not isinstance(whole, dict):
            raise IdentityFailed(Cause.UNREACHABLE, "no-json")
        name = f"{method.replace('.', '_')}_response"
        signed = _cut_value(text, name)
        signature = whole.get("sign")
        if signed is None or not isinstance(signature, str):
            match whole.get("error_response") or whole.get(name):
                case {"code": str(code), **others} if code != _OK:
                    raise IdentityFailed(CAUSES.get(code, Cause.UNKNOWN), str(others.get("sub_code") or code)[:100])
            raise IdentityFailed(Cause.UNTRUSTED, _UNSIGNED)
        own = self._keys.alipay_cert_sn
        if own is not None and whole.get("alipay_cert_sn") != own:
            raise IdentityFailed(Cause.MISCONFIGURED, "alipay-cert-changed")
        if not self._keys.is_signed(signed.encode(), signature):
            raise IdentityFailed(Cause.UNTRUSTED, "wrong-signature")
        return _read_object(signed)


def build_signed_text(fields: Mapping[str, str]) -> str:
    """Return what is signed of a request or a notification: its filled fields, sorted by name."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value)


def _cut_value(text: str, name: str) -> str | None:
    """Return the characters of the object that an answer has under this name, None if it has none."""
    begin = text.find(f'"{name}"')
    if begin < 0:
        return None
    begin = text.find("{", begin)
    try:
        _, end = json.JSONDecoder().raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    return text[begin:end]


def _read_object(text: str | None) -> Mapping[str, object]:
    try:
        found = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _read_person(text: object) -> tuple[str | None, str | None]:
    """Return the name and the number that Alipay has seen, where the contract includes them."""
    seen = _read_object(text if isinstance(text, str) else None)
    name, id_number = seen.get("cert_name") or seen.get("name"), seen.get("cert_no")
    return name if isinstance(name, str) else None, id_number if isinstance(id_number, str) else None
