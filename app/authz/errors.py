"""Errors that any feature may raise: a closed org, or a caller without a real name, a scope or a security key."""

from datetime import timedelta

from app.authz.step_up import SECURITY_KEY_ACR
from app.core.i18n import gettext_noop
from app.web.errors import BadRequest, Conflict, Forbidden, Problem


class ForeignOrigin(Forbidden):
    slug = "foreign-origin"
    title = gettext_noop("拒绝来自其他网站的请求")
    advice = gettext_noop("请在本服务的页面上操作。")


class StepUpNeeded(Problem):
    """The caller is authenticated, but must prove a security key, or prove it again (RFC 9470)."""

    status, slug = 401, "security-key-needed"
    title = gettext_noop("需要使用安全密钥确认身份")
    advice = gettext_noop(
        "请插入安全密钥完成验证：POST /v1/me/security-key-challenges，然后 PUT /v1/me/security-key-check。"
    )

    def __init__(self, max_age: timedelta) -> None:
        challenge = (
            'Bearer error="insufficient_user_authentication", '
            'error_description="a security key is needed", '
            f'acr_values="{SECURITY_KEY_ACR}", max_age="{int(max_age.total_seconds())}"'
        )
        super().__init__(headers={"WWW-Authenticate": challenge})


class UnreadablePersonAddress(BadRequest):
    """400: the back end of an app names an address that is none. Its own would be limited for all of its people."""

    slug = "unreadable-person-address"
    title = gettext_noop("用户的网络地址无法识别")
    advice = gettext_noop("请求头 Xuezu-Person-Address 应为一个 IPv4 或 IPv6 地址，不带端口。")


class OrgClosed(Conflict):
    slug = "org-closed"
    title = gettext_noop("该学习组织已关闭")
    advice = gettext_noop("已关闭的组织只可查看历史。")


class RealNameRequired(Forbidden):
    slug = "real-name-required"
    title = gettext_noop("需要先完成个人实名认证")
    advice = gettext_noop("请先在“我的信息—个人实名认证”完成认证。")


class UserNeeded(Forbidden):
    """The token is valid but belongs to a service. Only a user can make this call."""

    slug = "user-needed"
    title = gettext_noop("此操作须由用户本人进行")
    advice = gettext_noop("请使用用户的访问令牌；服务的令牌不能代替用户。")


class ScopeMissing(Forbidden):
    """The access token does not have the scope that the call needs (RFC 6750 §3.1)."""

    slug = "insufficient-scope"
    title = gettext_noop("访问令牌没有此权限范围")
    advice = gettext_noop("请平台管理员为该程序登记所需的权限范围，然后重新获取令牌。")

    def __init__(self, scope: str) -> None:
        super().__init__(headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'})
