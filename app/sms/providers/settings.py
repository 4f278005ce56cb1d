"""The settings of the SMS providers. Those of a provider are read only if `XUEZU_SMS_PROVIDER` names it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.sms.messages import Template

_TEMPLATES = "The provider's id of each message: `sign-in=SMS_1,change-phone=SMS_2,…`, one for each name."


def _parse_templates(templates: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in templates.split(","))
    return {name.strip(): given.strip() for name, _, given in pairs}


class _WithTemplates(BaseSettings):
    templates: Annotated[str, Field(description=_TEMPLATES)]

    @field_validator("templates")
    @classmethod
    def _require_all_templates(cls, templates: str) -> str:
        found = _parse_templates(templates)
        missing = [template for template in Template if not found.get(template)]
        if missing:
            raise ValueError(f"gives no id for {', '.join(missing)}")
        return templates

    def parse_templates(self) -> Mapping[str, str]:
        """Return the provider's ids by the names of the messages."""
        return _parse_templates(self.templates)


class AliyunSettings(_WithTemplates):
    """Settings of Alibaba Cloud SMS."""

    model_config = SettingsConfigDict(env_prefix="XUEZU_SMS_ALIYUN_", extra="ignore")

    key_id: Annotated[str, Field(min_length=1, description="AccessKey ID of a RAM user that may call `SendSms`.")]
    key_secret: Annotated[SecretStr, Field(min_length=1, description="Its AccessKey secret.")]
    sign_name: Annotated[str, Field(min_length=1, description="The approved sender (短信签名), without brackets.")]
    url: Annotated[str, Field(pattern="^https?://", description="The endpoint.")] = "https://dysmsapi.aliyuncs.com"


class TencentSettings(_WithTemplates):
    """Settings of Tencent Cloud SMS."""

    model_config = SettingsConfigDict(env_prefix="XUEZU_SMS_TENCENT_", extra="ignore")

    secret_id: Annotated[str, Field(min_length=1, description="SecretId of a CAM user that may call `sms:SendSms`.")]
    secret_key: Annotated[SecretStr, Field(min_length=1, description="Its SecretKey.")]
    app_id: Annotated[str, Field(min_length=1, description="The SDK AppID (应用 ID) of the SMS application.")]
    sign_name: Annotated[str, Field(min_length=1, description="The approved sender (短信签名), without brackets.")]
    region: Annotated[str, Field(min_length=1, description="The region.")] = "ap-guangzhou"
    url: Annotated[str, Field(pattern="^https?://", description="The endpoint.")] = "https://sms.tencentcloudapi.com"


class HookSettings(BaseSettings):
    """Settings of a gateway of the operator's own, behind a URL."""

    model_config = SettingsConfigDict(env_prefix="XUEZU_SMS_HOOK_", extra="ignore")

    url: Annotated[str, Field(pattern="^https?://", description="The URL that receives each message.")]
    secret: Annotated[
        SecretStr, Field(min_length=16, description="The secret of the signature: `whsec_` and base64, or any text.")
    ]


ALL: tuple[type[BaseSettings], ...] = (AliyunSettings, TencentSettings, HookSettings)
