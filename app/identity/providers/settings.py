"""The settings of the identity providers. Those of a provider are read only if `XUEZU_IDENTITY_PROVIDER` names it."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class AlipaySettings(BaseSettings):
    """Settings of Alipay's identity verification (支付宝身份验证)."""

    model_config = SettingsConfigDict(env_prefix="XUEZU_IDENTITY_ALIPAY_", extra="ignore")

    app_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$", description="The APPID of the application.")]
    private_key: Annotated[
        SecretStr, Field(min_length=1, description="The application's private RSA key: PEM, or its base64.")
    ]
    public_key: Annotated[
        str | None, Field(description="Alipay's public key (支付宝公钥). Not in certificate mode.")
    ] = None
    app_cert: Annotated[
        str | None, Field(description="Certificate mode: the application's certificate (appCertPublicKey), PEM.")
    ] = None
    alipay_cert: Annotated[
        str | None, Field(description="Certificate mode: Alipay's certificate (alipayCertPublicKey_RSA2), PEM.")
    ] = None
    root_cert: Annotated[
        str | None, Field(description="Certificate mode: Alipay's root certificates (alipayRootCert), PEM.")
    ] = None
    biz_code: Annotated[
        Literal["FACE", "CERT_PHOTO", "CERT_PHOTO_FACE", "SMART_FACE"],
        Field(description="The way of proof that the contract has."),
    ] = "FACE"
    url: Annotated[str, Field(pattern="^https?://", description="The gateway.")] = (
        "https://openapi.alipay.com/gateway.do"
    )

    @model_validator(mode="after")
    def _require_one_mode(self) -> Self:
        certificates = [self.app_cert, self.alipay_cert, self.root_cert]
        if (self.public_key is not None) == any(certificates) or any(certificates) != all(certificates):
            raise ValueError(
                "give XUEZU_IDENTITY_ALIPAY_PUBLIC_KEY, or for the certificate mode XUEZU_IDENTITY_ALIPAY_APP_CERT, "
                "XUEZU_IDENTITY_ALIPAY_ALIPAY_CERT and XUEZU_IDENTITY_ALIPAY_ROOT_CERT"
            )
        return self


class TencentFaceSettings(BaseSettings):
    """Settings of Tencent Cloud Faceid (腾讯云慧眼人脸核身)."""

    model_config = SettingsConfigDict(env_prefix="XUEZU_IDENTITY_TENCENT_", extra="ignore")

    secret_id: Annotated[
        str,
        Field(
            min_length=1,
            description="SecretId of a CAM user that may call `DetectAuth` and `GetDetectInfoEnhanced` of faceid.",
        ),
    ]
    secret_key: Annotated[SecretStr, Field(min_length=1, description="Its SecretKey.")]
    rule_id: Annotated[str, Field(min_length=1, max_length=32, description="The RuleId of the approved process.")]
    region: Annotated[str, Field(description="The region; empty for none.")] = ""
    url: Annotated[str, Field(pattern="^https?://", description="The endpoint.")] = "https://faceid.tencentcloudapi.com"


ALL: tuple[type[BaseSettings], ...] = (AlipaySettings, TencentFaceSettings)
