"""The permissions in an org: one table of permissions and the roles that have them."""

from collections.abc import Collection
from enum import StrEnum

from app.authz.scopes import OWN_SCOPES, Scope


class Role(StrEnum):
    """A role of a user in an org."""

    MAIN_ADMIN = "main_admin"
    ADMIN = "admin"
    MEMBER = "member"
    SUPERIOR_ADMIN = "superior_admin"  # an admin of a superior at any level


class Permission(StrEnum):
    ORG_READ = "org:read"
    ORG_WRITE = "org:write"
    ORG_CLOSE = "org:close"
    ORG_REOPEN = "org:reopen"
    UNITS_READ = "units:read"
    UNITS_WRITE = "units:write"
    ADMINS_READ = "admins:read"
    ADMINS_WRITE = "admins:write"
    ADMINS_RESIGN = "admins:resign"
    CHANGES_READ = "changes:read"
    CHANGES_WRITE = "changes:write"
    TRANSFERS_READ = "transfers:read"
    TRANSFERS_ASK = "transfers:ask"
    TRANSFERS_DECIDE = "transfers:decide"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    CERTIFICATION_READ = "certification:read"
    CERTIFICATION_WRITE = "certification:write"
    SUBORDINATES_READ = "subordinates:read"
    REPORTS_READ = "reports:read"
    OWN_REPORTS_READ = "own-reports:read"  # the org's own figures in full, by unit
    RANKINGS_READ = "rankings:read"
    AUDIT_READ = "audit:read"
    EXPORTS_READ = "exports:read"  # own exports; each also requires the permission for its content


ADMINS = frozenset({Role.MAIN_ADMIN, Role.ADMIN})
_INSIDERS = ADMINS | {Role.MEMBER}
_VIEWERS = _INSIDERS | {Role.SUPERIOR_ADMIN}

OWN_ROLES = (Role.MAIN_ADMIN, Role.ADMIN, Role.MEMBER)

# permission: (roles that may see the resource, all others get 404; roles with the permission, the remaining get 403)
ROLES: dict[Permission, tuple[frozenset[Role], frozenset[Role]]] = {
    Permission.ORG_READ: (_VIEWERS, _VIEWERS),
    Permission.ORG_WRITE: (_VIEWERS, ADMINS),
    Permission.ORG_CLOSE: (_VIEWERS, ADMINS),
    Permission.ORG_REOPEN: (ADMINS, ADMINS),
    Permission.UNITS_READ: (ADMINS, ADMINS),
    Permission.UNITS_WRITE: (ADMINS, ADMINS),
    Permission.ADMINS_READ: (ADMINS, ADMINS),
    Permission.ADMINS_WRITE: (ADMINS, frozenset({Role.MAIN_ADMIN})),
    Permission.ADMINS_RESIGN: (ADMINS, ADMINS),
    Permission.CHANGES_READ: (ADMINS, ADMINS),
    Permission.CHANGES_WRITE: (ADMINS, ADMINS),
    Permission.TRANSFERS_READ: (ADMINS, ADMINS),
    Permission.TRANSFERS_ASK: (ADMINS, frozenset({Role.MAIN_ADMIN})),
    Permission.TRANSFERS_DECIDE: (ADMINS, ADMINS),
    Permission.MEMBERS_READ: (ADMINS, ADMINS),
    Permission.MEMBERS_WRITE: (ADMINS, ADMINS),
    Permission.CERTIFICATION_READ: (ADMINS, ADMINS),
    Permission.CERTIFICATION_WRITE: (_VIEWERS, ADMINS),
    Permission.SUBORDINATES_READ: (_VIEWERS, ADMINS | {Role.SUPERIOR_ADMIN}),
    Permission.REPORTS_READ: (_VIEWERS, ADMINS | {Role.SUPERIOR_ADMIN}),
    Permission.OWN_REPORTS_READ: (ADMINS, ADMINS),
    Permission.RANKINGS_READ: (_INSIDERS, _INSIDERS),
    Permission.AUDIT_READ: (ADMINS, ADMINS),
    Permission.EXPORTS_READ: (_VIEWERS, _VIEWERS),
}


SCOPE_OF: dict[Permission, Scope] = {
    Permission.ORG_READ: Scope.ORGS_READ,
    Permission.ORG_WRITE: Scope.ORGS_WRITE,
    Permission.ORG_CLOSE: Scope.ORGS_WRITE,
    Permission.ORG_REOPEN: Scope.ORGS_WRITE,
    Permission.UNITS_READ: Scope.ORGS_READ,
    Permission.UNITS_WRITE: Scope.ORGS_WRITE,
    Permission.ADMINS_READ: Scope.ORGS_READ,
    Permission.ADMINS_WRITE: Scope.ORGS_WRITE,
    Permission.ADMINS_RESIGN: Scope.ORGS_WRITE,
    Permission.CHANGES_READ: Scope.ORGS_READ,
    Permission.CHANGES_WRITE: Scope.ORGS_WRITE,
    Permission.TRANSFERS_READ: Scope.ORGS_READ,
    Permission.TRANSFERS_ASK: Scope.ORGS_WRITE,
    Permission.TRANSFERS_DECIDE: Scope.ORGS_WRITE,
    Permission.MEMBERS_READ: Scope.MEMBERS_READ,
    Permission.MEMBERS_WRITE: Scope.MEMBERS_WRITE,
    Permission.CERTIFICATION_READ: Scope.ORGS_READ,
    Permission.CERTIFICATION_WRITE: Scope.ORGS_WRITE,
    Permission.SUBORDINATES_READ: Scope.ORGS_READ,
    Permission.REPORTS_READ: Scope.REPORTS_READ,
    Permission.OWN_REPORTS_READ: Scope.REPORTS_READ,
    Permission.RANKINGS_READ: Scope.REPORTS_READ,
    Permission.AUDIT_READ: Scope.AUDIT_READ,
    Permission.EXPORTS_READ: Scope.ORGS_READ,
}
"""The scope that an access token needs beside the role of its user."""


# A closed org stays readable as history.
CLOSED_ORG_PERMISSIONS = frozenset(
    {
        Permission.ORG_READ,
        Permission.ORG_CLOSE,  # a repeated call of the main admin
        Permission.ORG_REOPEN,
        Permission.UNITS_READ,
        Permission.ADMINS_READ,
        Permission.CHANGES_READ,
        Permission.CERTIFICATION_READ,
        Permission.TRANSFERS_READ,
        Permission.AUDIT_READ,
        Permission.REPORTS_READ,
        Permission.OWN_REPORTS_READ,
        Permission.EXPORTS_READ,
    }
)


def list_permissions(roles: frozenset[Role], *, closed: bool, scopes: Collection[str] = OWN_SCOPES) -> list[Permission]:
    """Return the permissions that these roles together have in an open or a closed org, as far as the scopes of an
    access token cover them."""
    allowed = CLOSED_ORG_PERMISSIONS if closed else ROLES
    return [permission for permission in allowed if roles & ROLES[permission][1] and SCOPE_OF[permission] in scopes]
