"""The frame around a page: the user, the org and the current page."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.authz.access import OperatorScope, OrgCard, OrgScope, UserScope
from app.authz.permissions import Role
from app.certification.queries import list_superiors
from app.console.frame.templates import Context
from app.database.db import Readable
from app.orgs.queries import UserOrgRow, list_user_orgs

_ADMINS = {Role.MAIN_ADMIN, Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Frame:
    """The menu of a page. `here` is the current page; `org` is the org whose pages the menu lists."""

    user: UserScope
    here: str
    org: OrgCard | UserOrgRow | None = None
    is_admin: bool = False
    is_main_admin: bool = False
    is_operator: bool = False
    """Whether the menu links to the pages of the platform operators."""


class FrameContext(Context):
    """A page in the frame."""

    frame: Frame

    @property
    def user(self) -> UserScope:
        return self.frame.user

    @property
    def here(self) -> str:
        return self.frame.here

    @property
    def org(self) -> OrgCard | UserOrgRow | None:
        return self.frame.org

    @property
    def is_admin(self) -> bool:
        return self.frame.is_admin

    @property
    def is_main_admin(self) -> bool:
        return self.frame.is_main_admin

    @property
    def is_operator(self) -> bool:
        return self.frame.is_operator


def build_user_frame(scope: UserScope, here: str = "home", *, is_operator: bool = False) -> Frame:
    """Return the frame of a page without an org."""
    return Frame(scope, here, is_operator=is_operator)


def build_operator_frame(scope: OperatorScope) -> Frame:
    """Return the frame of a page of the platform operators."""
    return Frame(scope.user, "operators", is_operator=True)


def build_org_frame(scope: OrgScope, here: str) -> Frame:
    """Return the frame of an org's page."""
    return Frame(scope.user, here, scope.org, not scope.roles.isdisjoint(_ADMINS), Role.MAIN_ADMIN in scope.roles)


@dataclass(frozen=True, slots=True)
class Crumb:
    """One org on the path from the caller's own org down to the viewed one."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Subject:
    """An org in the caller's subtree, with the `crumbs` from the caller's highest own org down to it."""

    org: OrgCard
    crumbs: Sequence[Crumb]


class SubjectContext(FrameContext):
    """A page about one org: the caller's own org, or an org in its subtree. `org` is the nearest org at or above it
    that the caller administers."""

    viewed: Subject

    @property
    def subject(self) -> OrgCard:
        return self.viewed.org

    @property
    def crumbs(self) -> Sequence[Crumb]:
        return self.viewed.crumbs


async def load_subject(db: Readable, scope: OrgScope, here: str) -> tuple[Frame, Subject]:
    """Return the frame and the subject of a page about an org in the caller's subtree."""
    frame = build_org_frame(scope, here)
    superiors = await list_superiors(db, scope.org_id) if scope.org.superior_id else []
    if not superiors:
        return frame, Subject(scope.org, ())
    own_orgs = {own.id: own for own in await list_user_orgs(db, scope.user.user_id) if _ADMINS & set(own.roles)}
    own_positions = [position for position, superior in enumerate(superiors) if superior.id in own_orgs]
    if not own_positions:
        return frame, Subject(scope.org, ())
    if not frame.is_admin:
        nearest = own_orgs[superiors[own_positions[0]].id]
        frame = Frame(scope.user, here, nearest, is_admin=True, is_main_admin=Role.MAIN_ADMIN in nearest.roles)
    above = reversed(superiors[: own_positions[-1] + 1])
    return frame, Subject(scope.org, [Crumb(superior.id, superior.name) for superior in above])
