"""Tencent Cloud SMS (短信, version 2021-01-11): the call `SendSms`, signed by version 3 (TC3-HMAC-SHA256)."""

from collections.abc import Mapping

from app.core.phones import to_international
from app.provider_calls.client import Unanswered, create_client
from app.provider_calls.tencent import Caller, call_tencent, find_error_code
from app.sms.gateway import Cause, NotSent
from app.sms.messages import Message
from app.sms.providers.settings import TencentSettings

VERSION = "2021-01-11"

# https://cloud.tencent.com/document/product/382/59177
CAUSES = {
    "LimitExceeded.PhoneNumberDailyLimit": Cause.LIMITED,
    "LimitExceeded.PhoneNumberOneHourLimit": Cause.LIMITED,
    "LimitExceeded.PhoneNumberThirtySecondLimit": Cause.LIMITED,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": Cause.LIMITED,
    "LimitExceeded.DeliveryFrequencyLimit": Cause.LIMITED,
    "LimitExceeded.AppDailyLimit": Cause.OVERLOADED,
    "LimitExceeded.AppCountryOrRegionDailyLimit": Cause.OVERLOADED,
    "LimitExceeded.DailyLimit": Cause.OVERLOADED,
    "RequestLimitExceeded": Cause.OVERLOADED,
    "FailedOperation.PhoneNumberInBlacklist": Cause.BLOCKED,
    "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber": Cause.INVALID_PHONE,
    "InvalidParameterValue.IncorrectPhoneNumber": Cause.INVALID_PHONE,
    "UnsupportedOperation.UnsupportedRegion": Cause.INVALID_PHONE,
    "InternalError.Timeout": Cause.UNREACHABLE,
}
_PREFIXES = {
    "AuthFailure": Cause.MISCONFIGURED,
    "UnauthorizedOperation": Cause.MISCONFIGURED,
    "InvalidParameter": Cause.MISCONFIGURED,
    "MissingParameter": Cause.MISCONFIGURED,
    "FailedOperation": Cause.MISCONFIGURED,
    "LimitExceeded": Cause.LIMITED,
    "InternalError": Cause.UNREACHABLE,
}
"""The cause of the other codes that begin so. `FailedOperation` is the balance, the sender or the template."""


class TencentGateway:
    """Sends messages with Tencent Cloud SMS."""

    def __init__(self, settings: TencentSettings) -> None:
        self._settings = settings
        self._templates = settings.parse_templates()
        secret = settings.secret_key.get_secret_value()
        self._caller = Caller(settings.secret_id, secret, "sms", VERSION, settings.region)
        self._client = create_client(settings.url)

    async def send(self, phone: str, message: Message) -> None:
        settings = self._settings
        parameters = {
            "PhoneNumberSet": [to_international(phone)],
            "SmsSdkAppId": settings.app_id,
            "SignName": settings.sign_name,
            "TemplateId": self._templates[message.template],
            "TemplateParamSet": list(message.values.values()),
        }
        try:
            response = await call_tencent(self._client, self._caller, "SendSms", parameters)
        except Unanswered as error:
            raise NotSent(Cause.UNREACHABLE, error.code) from None
        code = read_code(response)
        if code != "Ok":
            cause = CAUSES.get(code) or _PREFIXES.get(code.partition(".")[0], Cause.UNKNOWN)
            raise NotSent(cause, code)

    async def close(self) -> None:
        await self._client.aclose()


def read_code(response: Mapping[str, object]) -> str:
    """Return the code of a response: of its error, else of the status of the one message. `none` if it has none."""
    error = find_error_code(response)
    if error is not None:
        return error
    match response.get("SendStatusSet"):
        case [{"Code": str(code)}, *_]:
            return code
        case _:
            return "none"
