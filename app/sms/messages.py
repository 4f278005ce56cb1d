"""The messages that the service sends to phones. Chinese providers require that each is a template which they have
approved, so a message is the name of a template with the values of its variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.core.calendar import SHANGHAI


class Template(StrEnum):
    """A message. The settings of a provider map these names to the provider's own ids of templates."""

    SIGN_IN = "sign-in"
    CHANGE_PHONE = "change-phone"
    LEAVE_PHONE = "leave-phone"
    RETURN_PHONE = "return-phone"
    CLOSE_ACCOUNT = "close-account"
    PHONE_CHANGED = "phone-changed"
    KEY_ADDED = "key-added"
    KEYS_RECOVERED = "keys-recovered"
    RECOVERY_BEGUN = "recovery-begun"


TEXTS = {
    Template.SIGN_IN: "{code} 是您的登录验证码，5 分钟内有效。请勿告诉他人。",
    Template.CHANGE_PHONE: "{code} 是您更换手机号的验证码，5 分钟内有效。请勿告诉他人。",
    Template.LEAVE_PHONE: "{code} 是您的账号换到其他手机号的验证码，5 分钟内有效。非本人操作请勿告诉任何人。",
    Template.RETURN_PHONE: "{code} 是恢复您原手机号的验证码，5 分钟内有效。只可告诉为您办理的平台管理员。",
    Template.CLOSE_ACCOUNT: "{code} 是您注销账号的验证码，5 分钟内有效。注销后无法恢复。",
    Template.PHONE_CHANGED: (
        "您的账号已更换手机号，所有设备已退出登录。如非本人操作，请联系平台管理员：7 天内可凭本机验证码恢复。"
    ),
    Template.KEY_ADDED: "您的账号登记了一把新的安全密钥。如非本人操作，请立即退出所有设备并联系平台管理员。",
    Template.KEYS_RECOVERED: "平台管理员已移除您的账号的全部安全密钥。如非本人申请，请立即联系平台管理员。",
    Template.RECOVERY_BEGUN: (
        "有人凭您的实名申请把您的账号换到其他手机号，{time} 生效。如非本人操作，请在此之前打开 {link} 停止。"
    ),
}
"""The text of each template, as it is to be submitted to a provider, with its variables in braces."""
SIGNATURE = "【学组】"
"""The sender, which providers put before the text. It is a setting of the provider's."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one phone: its template, and the values of the template's variables in the order of the text."""

    template: Template
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the whole text, with the sender before it."""
        return SIGNATURE + TEXTS[self.template].format(**self.values)


def write_recovery_notice(effective_at: datetime, link: str) -> Message:
    """Return the message to the present phone of an account that gets another phone at this time by the real name.
    `link` stops it."""
    time = f"{effective_at.astimezone(SHANGHAI):%-m 月 %-d 日 %H:%M}"
    return Message(Template.RECOVERY_BEGUN, {"time": time, "link": link})
