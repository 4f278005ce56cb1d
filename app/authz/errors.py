"""Refusals that any feature may raise: a closed org, or a caller without a real name, a scope or a security key."""

from datetime import timedelta

from app.authz.step_up import SECURITY_KEY_ACR
from app.web.errors import Conflict, Forbidden, Problem


class ForeignOrigin(Forbidden):
    slug = "foreign-origin"
    zh, en = "拒绝来自其他网站的请求", "Requests of other sites are refused"
    advice_zh, advice_en = "请在本服务的页面上操作。", "Use this service's own pages."


class StepUpNeeded(Problem):
    """RFC 9470: the caller is who they are, but has to prove it more strongly, or again."""

    status, slug = 401, "security-key-needed"
    zh, en = "需要使用安全密钥确认身份", "A security key is needed"
    advice_zh = "请插入安全密钥完成验证:POST /v1/me/security-key-challenges,然后 PUT /v1/me/security-key-check(S16)。"
    advice_en = (
        "Prove a security key in this session: POST /v1/me/security-key-challenges, "
        "then PUT /v1/me/security-key-check (S16)."
    )

    def __init__(self, max_age: timedelta) -> None:
        challenge = (
            'Bearer error="insufficient_user_authentication", '
            'error_description="a security key is needed", '
            f'acr_values="{SECURITY_KEY_ACR}", max_age="{int(max_age.total_seconds())}"'
        )
        super().__init__(headers={"WWW-Authenticate": challenge})


class OrgClosed(Conflict):
    slug = "org-closed"
    zh, en = "该学习组织已关闭", "The organisation is closed"
    advice_zh, advice_en = "已关闭的组织只可查看历史。", "A closed organisation can only be read."


class RealNameRequired(Forbidden):
    slug = "real-name-required"
    zh, en = "需要先完成个人实名认证", "Real-name verification needed"
    advice_zh = "请先在“我的信息—个人实名认证”完成认证(S1)。"
    advice_en = "Verify your real name first: POST /v1/me/verifications (S1)."


class ScopeMissing(Forbidden):
    slug = "insufficient-scope"
    zh, en = "服务没有此权限范围", "The service lacks the scope"
    advice_zh, advice_en = (
        "请平台管理员为该服务授予所需范围。",
        "Have the platform operator grant the scope to the client.",
    )
