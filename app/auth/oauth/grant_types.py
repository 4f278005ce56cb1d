"""The grant types of the token endpoint, and the grant types that each kind of client may use."""

from enum import StrEnum


class GrantType(StrEnum):
    PHONE_CODE = "urn:xuezu:params:oauth:grant-type:phone-code"
    REAL_NAME = "urn:xuezu:params:oauth:grant-type:real-name"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
    REFRESH_TOKEN = "refresh_token"
    CLIENT_CREDENTIALS = "client_credentials"


GRANTS: dict[str, frozenset[GrantType]] = {
    "app": frozenset({GrantType.PHONE_CODE, GrantType.REAL_NAME, GrantType.REFRESH_TOKEN}),
    # The pages of the console sign people in inside the service. No other program gets tokens with the console's id.
    "console": frozenset(),
    "device": frozenset({GrantType.DEVICE_CODE, GrantType.REFRESH_TOKEN}),
    "service": frozenset({GrantType.CLIENT_CREDENTIALS}),
}
