"""What the frame around a page shows: who is signed in, in which org, and which page this is."""

from typing import Any

from app.auth.access import OrgScope, UserScope
from app.auth.permissions import Role

_ADMINS = {Role.MAIN_ADMIN, Role.ADMIN}


def at_home(scope: UserScope, here: str = "home") -> dict[str, Any]:
    """The frame of a page that is about no org."""
    return {"user": scope, "org": None, "here": here, "is_admin": False, "is_main_admin": False}


def in_org(scope: OrgScope, here: str) -> dict[str, Any]:
    """The frame of an org's page."""
    return {
        "user": scope.user,
        "org": scope.org,
        "here": here,
        "is_admin": not scope.roles.isdisjoint(_ADMINS),
        "is_main_admin": Role.MAIN_ADMIN in scope.roles,
    }
