"""Tencent Cloud Faceid (慧眼人脸核身, version 2018-03-01): `DetectAuth` and `GetDetectInfoEnhanced`.

The protocol has no notification. The result is asked for when the person comes back, and from time to time by the
worker.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

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
from app.identity.providers.settings import TencentFaceSettings
from app.provider_calls.client import Unanswered, create_client
from app.provider_calls.tencent import Caller, call_tencent, find_error_code

VERSION = "2018-03-01"
# https://cloud.tencent.com/document/product/1007/31321
_PREFIXES = {
    "AuthFailure": Cause.MISCONFIGURED,
    "UnauthorizedOperation": Cause.MISCONFIGURED,
    "InvalidParameter": Cause.MISCONFIGURED,
    "InvalidParameterValue": Cause.MISCONFIGURED,
    "MissingParameter": Cause.MISCONFIGURED,
    "UnsupportedOperation": Cause.MISCONFIGURED,
    "ResourceUnavailable": Cause.MISCONFIGURED,
    "LimitExceeded": Cause.OVERLOADED,
    "RequestLimitExceeded": Cause.OVERLOADED,
    "InternalError": Cause.UNREACHABLE,
}
"""The cause of the codes that begin so."""


class TencentIdentity:
    """Tencent Cloud as a provider."""

    method = "tencent"

    def __init__(self, settings: TencentFaceSettings) -> None:
        secret = settings.secret_key.get_secret_value()
        self._caller = Caller(settings.secret_id, secret, "faceid", VERSION, settings.region)
        self._rule_id = settings.rule_id
        self._client = create_client(settings.url)

    async def begin(self, attempt: Attempt) -> Started:
        parameters = {
            "RuleId": self._rule_id,
            "IdCard": attempt.id_number,
            "Name": attempt.name,
            "RedirectUrl": attempt.return_url,
            "Extra": attempt.id.hex,
        }
        response = await self._call("DetectAuth", parameters)
        token, url = response.get("BizToken"), response.get("Url")
        if not isinstance(token, str) or not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise IdentityFailed(Cause.UNKNOWN, "no-biz-token")
        return Started(token, url)

    async def fetch_result(self, token: str) -> Result:
        parameters = {"BizToken": token, "RuleId": self._rule_id, "InfoType": "1"}
        text = (await self._call("GetDetectInfoEnhanced", parameters)).get("Text")
        found: Mapping[str, Any] = text if isinstance(text, dict) else {}
        code = found.get("ErrCode")
        if not isinstance(code, int):  # null: the person has not come to an end
            return Result(Outcome.PENDING)
        if code != 0:
            return Result(Outcome.FAILED)
        name, id_number = found.get("Name"), found.get("IdCard")
        if not isinstance(name, str) or not isinstance(id_number, str):
            raise IdentityFailed(Cause.UNKNOWN, "no-person")
        return Result(Outcome.PASSED, name, id_number)

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        _refuse()

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, action: str, parameters: Mapping[str, object]) -> Mapping[str, object]:
        try:
            response = await call_tencent(self._client, self._caller, action, parameters)
        except Unanswered as error:
            raise IdentityFailed(Cause.UNREACHABLE, error.code) from None
        code = find_error_code(response)
        if code is not None:
            raise IdentityFailed(_PREFIXES.get(code.partition(".")[0], Cause.UNKNOWN), code[:100])
        if not response:
            raise IdentityFailed(Cause.UNREACHABLE, "no-response")
        return response


def _refuse() -> NoReturn:
    raise BadNotification
