"""What the frame around a page shows: who is signed in, in which org, and which page this is."""

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


@dataclass(frozen=True, slots=True)
class Crumb:
    """An org on the way down to the one that is looked at."""

    id: UUID
    name: str


async def over_org(db: Readable, scope: OrgScope, here: str) -> dict[str, Any]:
    """The frame of a page about an org that is one's own or stands below one's own.

    `org` is the org that the viewer works in, the nearest of theirs above `subject`; `crumbs` lead down to it from
    the highest of theirs.
    """
    if not scope.roles.isdisjoint(_ADMINS):
        frame = in_org(scope, here)
    else:
        frame = {"user": scope.user, "org": scope.org, "here": here, "is_admin": False, "is_main_admin": False}
    above = await list_superiors(db, scope.org_id) if scope.org.superior_id else []
    crumbs: Sequence[Crumb] = []
    if above:
        mine = {one.id: one for one in await list_user_orgs(db, scope.user.user_id) if _ADMINS & set(one.roles)}
        own = [place for place, one in enumerate(above) if one.id in mine]
        if own:
            crumbs = [Crumb(one.id, one.name) for one in reversed(above[: own[-1] + 1])]
            if not frame["is_admin"]:
                nearest = mine[above[own[0]].id]
                frame |= {"org": nearest, "is_admin": True, "is_main_admin": Role.MAIN_ADMIN in nearest.roles}
    return {**frame, "subject": scope.org, "crumbs": crumbs}
