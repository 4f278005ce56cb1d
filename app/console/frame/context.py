"""The context of the frame around a page: the user, the org and the current page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.authz.access import OrgScope, UserScope
from app.authz.permissions import Role
from app.certification.queries import list_superiors
from app.database.db import Readable
from app.orgs.queries import list_user_orgs

_ADMINS = {Role.MAIN_ADMIN, Role.ADMIN}


def build_user_context(scope: UserScope, current: str = "home") -> dict[str, Any]:
    """Return the context of a page without an org."""
    return {"user": scope, "org": None, "here": current, "is_admin": False, "is_main_admin": False}


def build_org_context(scope: OrgScope, current: str) -> dict[str, Any]:
    """Return the context of an org's page."""
    return {
        "user": scope.user,
        "org": scope.org,
        "here": current,
        "is_admin": not scope.roles.isdisjoint(_ADMINS),
        "is_main_admin": Role.MAIN_ADMIN in scope.roles,
    }


@dataclass(frozen=True, slots=True)
class Crumb:
    """One org on the path from the caller's own org down to the viewed one."""

    id: UUID
    name: str


async def load_subject_context(db: Readable, scope: OrgScope, current: str) -> dict[str, Any]:
    """Return the context of a page about the caller's own org or an org in its subtree.

    `subject` is the viewed org. `org` is the caller's nearest own org at or above it. `crumbs` lead from the caller's
    highest own org down to `subject`.
    """
    if not scope.roles.isdisjoint(_ADMINS):
        frame = build_org_context(scope, current)
    else:
        frame = {"user": scope.user, "org": scope.org, "here": current, "is_admin": False, "is_main_admin": False}
    superiors = await list_superiors(db, scope.org_id) if scope.org.superior_id else []
    crumbs: Sequence[Crumb] = []
    if superiors:
        own_orgs = {own.id: own for own in await list_user_orgs(db, scope.user.user_id) if _ADMINS & set(own.roles)}
        own_positions = [position for position, superior in enumerate(superiors) if superior.id in own_orgs]
        if own_positions:
            crumbs = [Crumb(superior.id, superior.name) for superior in reversed(superiors[: own_positions[-1] + 1])]
            if not frame["is_admin"]:
                nearest = own_orgs[superiors[own_positions[0]].id]
                frame |= {"org": nearest, "is_admin": True, "is_main_admin": Role.MAIN_ADMIN in nearest.roles}
    return {**frame, "subject": scope.org, "crumbs": crumbs}
