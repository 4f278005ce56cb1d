"""Alibaba Cloud SMS (短信服务, Dysmsapi 2017-05-25): the call `SendSms`, signed by version 3 (ACS3-HMAC-SHA256)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit
from uuid import uuid4

import orjson

from app.core.phones import to_international
from app.provider_calls.client import create_client
from app.sms.gateway import Cause, NotSent
from app.sms.messages import Message
from app.sms.providers.http_client import post
from app.sms.providers.settings import AliyunSettings

VERSION = "2017-05-25"
_ALGORITHM = "ACS3-HMAC-SHA256"

# https://help.aliyun.com/zh/sms/developer-reference/api-error-codes
CAUSES = {
    "isv.BUSINESS_LIMIT_CONTROL": Cause.LIMITED,
    "isv.DAY_LIMIT_CONTROL": Cause.OVERLOADED,
    "isv.MONTH_LIMIT_CONTROL": Cause.OVERLOADED,
    "isv.BLACK_KEY_CONTROL_LIMIT": Cause.BLOCKED,
    "isv.MOBILE_NUMBER_ILLEGAL": Cause.INVALID_PHONE,
    "isv.MOBILE_COUNT_OVER_LIMIT": Cause.INVALID_PHONE,
    "isv.AMOUNT_NOT_ENOUGH": Cause.MISCONFIGURED,
    "isv.OUT_OF_SERVICE": Cause.MISCONFIGURED,
    "isv.ACCOUNT_NOT_EXISTS": Cause.MISCONFIGURED,
    "isv.ACCOUNT_ABNORMAL": Cause.MISCONFIGURED,
    "isv.SMS_SIGNATURE_ILLEGAL": Cause.MISCONFIGURED,
    "isv.SMS_TEMPLATE_ILLEGAL": Cause.MISCONFIGURED,
    "isv.SMS_SIGN_ILLEGAL": Cause.MISCONFIGURED,
    "isv.TEMPLATE_MISSING_PARAMETERS": Cause.MISCONFIGURED,
    "isv.TEMPLATE_PARAMS_ILLEGAL": Cause.MISCONFIGURED,
    "isv.INVALID_PARAMETERS": Cause.MISCONFIGURED,
    "isv.PRODUCT_UN_SUBSCRIPT": Cause.MISCONFIGURED,
    "isp.RAM_PERMISSION_DENY": Cause.MISCONFIGURED,
    "isp.SYSTEM_ERROR": Cause.UNREACHABLE,
    "isp.UNKNOWN_ERR_CODE": Cause.UNREACHABLE,
    "SignatureDoesNotMatch": Cause.MISCONFIGURED,
    "InvalidAccessKeyId.NotFound": Cause.MISCONFIGURED,
    "InvalidAccessKeyId.Inactive": Cause.MISCONFIGURED,
    "Forbidden.RAM": Cause.MISCONFIGURED,
    "Throttling": Cause.OVERLOADED,
    "Throttling.User": Cause.OVERLOADED,
    "ServiceUnavailable": Cause.UNREACHABLE,
}


class AliyunGateway:
    """Sends messages with Alibaba Cloud SMS."""

    def __init__(self, settings: AliyunSettings) -> None:
        self._settings = settings
        self._templates = settings.parse_templates()
        self._client = create_client(settings.url)

    async def send(self, phone: str, message: Message) -> None:
        query = {
            "PhoneNumbers": to_international(phone).removeprefix("+86").removeprefix("+"),
            "SignName": self._settings.sign_name,
            "TemplateCode": self._templates[message.template],
            "OutId": message.template,  # the receipt names it again
            "TemplateParam": orjson.dumps(dict(message.values)).decode(),
        }
        headers = {
            "host": urlsplit(self._settings.url).netloc,
            "x-acs-action": "SendSms",
            "x-acs-version": VERSION,
            "x-acs-date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": uuid4().hex,
            "x-acs-content-sha256": hashlib.sha256().hexdigest(),
        }
        secret = self._settings.key_secret.get_secret_value()
        headers["authorization"] = sign(self._settings.key_id, secret, query, headers)
        answer = (await post(self._client, f"/?{encode_query(query)}", headers=headers)).body
        code = str(answer.get("Code", "none"))
        if code != "OK":
            raise NotSent(CAUSES.get(code, Cause.UNKNOWN), code)

    async def close(self) -> None:
        await self._client.aclose()


def encode_query(query: Mapping[str, str]) -> str:
    """Return the canonical query string: sorted by name, encoded by RFC 3986."""
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))


def sign(key_id: str, secret: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the header `Authorization` of a POST to `/` with no body."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    request = "\n".join(("POST", "/", encode_query(query), lines, names, headers["x-acs-content-sha256"]))
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"
