"""The scopes of access tokens (RFC 6749 §3.3), each with its description.

A client gets the scopes that it was registered with, and a person sees them before they approve its sign-in. The app
and the console have all scopes of a person, also the two that no other client can be registered with (`RESERVED`).
Which scope an operation needs follows from its permission (`app.authz.permissions.SCOPE_OF`) or its access rule.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from app.core.i18n import gettext_in, gettext_noop


class Scope(StrEnum):
    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    ORGS_READ = "orgs:read"
    ORGS_WRITE = "orgs:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    REPORTS_READ = "reports:read"
    AUDIT_READ = "audit:read"
    ACCOUNT_MANAGE = "account:manage"
    OPERATOR = "operator"
    POINT_EVENTS_WRITE = "point-events:write"


DESCRIPTIONS: Mapping[Scope, str] = {
    Scope.ACCOUNT_READ: gettext_noop("查看您的账号、所在组织、积分、待办与消息"),
    Scope.ACCOUNT_WRITE: gettext_noop("以您的名义提出申请、答复邀请"),
    Scope.ORGS_READ: gettext_noop("查看您管理的组织及其支部、管理员与认证"),
    Scope.ORGS_WRITE: gettext_noop("创建和修改组织，办理认证与变更"),
    Scope.MEMBERS_READ: gettext_noop("查看您管理的组织的人员"),
    Scope.MEMBERS_WRITE: gettext_noop("添加、修改和移出人员，导入名单"),
    Scope.REPORTS_READ: gettext_noop("查看报表与排名"),
    Scope.AUDIT_READ: gettext_noop("查看操作记录"),
    Scope.ACCOUNT_MANAGE: gettext_noop("管理您的手机号、安全密钥、登录与账号"),
    Scope.OPERATOR: gettext_noop("平台管理员的操作"),
    Scope.POINT_EVENTS_WRITE: gettext_noop("报送积分"),
}

RegistrableScope = Literal[
    "account:read",
    "account:write",
    "orgs:read",
    "orgs:write",
    "members:read",
    "members:write",
    "reports:read",
    "audit:read",
    "point-events:write",
]
"""The scopes that a client can be registered with."""
RESERVED = frozenset({Scope.ACCOUNT_MANAGE, Scope.OPERATOR})
"""The scopes that only the app and the console have: with them a stolen token would become a stolen account."""
SERVICE_SCOPES = frozenset({Scope.POINT_EVENTS_WRITE})
"""The scopes of services, which act for no person."""
OWN_SCOPES: frozenset[str] = frozenset(DESCRIPTIONS.keys() - SERVICE_SCOPES)
"""All scopes of a person: those of the app and of the console."""
DEVICE_SCOPES: frozenset[str] = OWN_SCOPES - RESERVED
"""The scopes that a program can be registered with that signs people in by scan."""


def describe_scopes() -> dict[str, str]:
    """Return the scopes that a client can be registered with, with their descriptions in English."""
    return {scope: gettext_in("en", text) for scope, text in DESCRIPTIONS.items() if scope not in RESERVED}
