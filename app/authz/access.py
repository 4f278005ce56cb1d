"""Authorization: the one mechanism that authorizes every route.

A route declares its requirement as a parameter and gets a typed scope. An operation takes the scope, never a bare id:

    scope: Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]    a user with this permission in the org
    scope: SignedIn                                              any signed-in user
    scope: AsOwner                                               a user with the app or the console
    scope: AsOperator                                            a platform operator, with a security key
    scope: Annotated[ServiceScope, Service("point-events:write")]   a service client with that scope
    dependencies=[Public]                                        every caller, without a sign-in

One statement reads the session, the org and the roles from the database. Roles never come from a token's claims, so
the next call of an ended session, a disabled account or a removed admin is refused. A token has the scopes that its
person granted to its client, and each rule needs one, which is compared in memory (`AccessRule.get_scope`). A role in
an org of a whole province or the nation counts only while the session has a valid proof of a security key (S16).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import Depends, Path, Request, params
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.audit_log.entries import Actor
from app.authz import person_address
from app.authz.caller import (
    CLIENT_STATEMENT,
    OPERATOR_STATEMENT,
    ORG_STATEMENT,
    SESSION_STATEMENT,
    OperatorRow,
    OrgRow,
    SessionRow,
)
from app.authz.cookies import accepts_session_cookie, read_cookie_token
from app.authz.errors import OrgClosed, RealNameRequired, ScopeMissing, StepUpNeeded, UserNeeded
from app.authz.permissions import ADMINS, CLOSED_ORG_PERMISSIONS, OWN_ROLES, ROLES, SCOPE_OF, Permission, Role
from app.authz.scopes import OWN_SCOPES, Scope
from app.authz.step_up import KEY_PROOF_LIFETIME, is_key_required
from app.authz.tokens import VERIFIER, AccessToken
from app.core.networks import parse_address
from app.database.db import POOL, READS
from app.idempotency.replay import replay_or_claim
from app.web.errors import Forbidden, NotFound, Unauthorized
from app.web.request_state import get_request_state


@dataclass(frozen=True, slots=True)
class UserScope:
    """A signed-in user."""

    user_id: UUID
    session_id: UUID
    client_id: str
    methods: tuple[str, ...]
    verified_name: str | None
    party_member: bool
    actor: Actor
    key_proved: bool = False
    """Whether the session has a valid proof of a security key."""
    scopes: frozenset[str] = OWN_SCOPES
    """The scopes of the access token."""

    def require_real_name(self) -> str:
        """Return the verified name. Raises RealNameRequired without one (S1)."""
        if self.verified_name is None:
            raise RealNameRequired
        return self.verified_name


@dataclass(frozen=True, slots=True)
class OperatorScope:
    """A platform operator whose session has a valid proof of a security key."""

    user: UserScope

    @property
    def actor(self) -> Actor:
        return self.user.actor


class OrgCard(NamedTuple):
    """The fields of an org that every user with the permission `org:read` can see."""

    id: UUID
    name: str
    region_code: str
    kind: str
    status: str
    version: int
    created_at: datetime
    closed_at: datetime | None
    main_admin_id: UUID | None
    superior_id: UUID | None


_CARD = slice(OrgRow._fields.index("id"), OrgRow._fields.index("superior_id") + 1)
assert tuple(OrgRow._fields)[_CARD] == OrgCard._fields


@dataclass(frozen=True, slots=True)
class OrgScope:
    """A signed-in user who has the required permission in this org."""

    user: UserScope
    org: OrgCard
    roles: frozenset[Role]

    @property
    def org_id(self) -> UUID:
        return self.org.id

    @property
    def actor(self) -> Actor:
        return self.user.actor


@dataclass(frozen=True, slots=True)
class ServiceScope:
    """A service client that has the required scope."""

    client_id: str
    scopes: frozenset[str]
    actor: Actor


bearer = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    description="An access token of POST /oauth/token (RFC 6750). Paste one to try the calls here.",
    auto_error=False,
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def _read_token(request: Request, credentials: Credentials) -> AccessToken:
    if accepts_session_cookie(request):
        return read_cookie_token(request)
    if credentials is None:
        raise Unauthorized
    verifier = VERIFIER.get(request)
    token = await verifier.verify(credentials.credentials)
    if person_address.HEADER in request.headers and request.method not in READS:
        client = await CLIENT_STATEMENT.fetch_row(POOL.get(request), client_id=token.client_id)
        if client is not None and person_address.is_app_back_end(token.client_id, client.kind):
            person_address.adopt_person_address(request)
    return token


VerifiedToken = Annotated[AccessToken, Depends(_read_token)]


def find_client_address(request: Request) -> str | None:
    """Return the caller's network address (`middleware.caller_address`); None if unknown."""
    client = request.client
    return parse_address(client.host) if client else None


def build_actor(request: Request, *, user_id: UUID | None = None, client_id: str | None = None) -> Actor:
    """Return the actor of the request's audit entries."""
    state = get_request_state(request)
    return Actor(user_id, client_id, find_client_address(request), state.request_id, state.from_proxy)


def _build_user_scope(request: Request, token: AccessToken, row: SessionRow | OperatorRow | OrgRow) -> UserScope:
    return UserScope(
        user_id=row.user_id,
        session_id=token.session_id,  # type: ignore[arg-type]  # a user's token always has one
        client_id=token.client_id,
        methods=tuple(row.methods),
        verified_name=row.verified_name,
        party_member=row.party_member,
        actor=build_actor(request, user_id=row.user_id),
        key_proved=bool(row.key_proved),
        scopes=token.scopes,
    )


async def _resolve_user(request: Request, token: AccessToken, needed: Scope | None) -> UserScope:
    """Authorize the token's user. Raises UserNeeded for a service's token, Unauthorized without a live session,
    ScopeMissing if the token does not have the needed scope."""
    if token.session_id is None:
        raise UserNeeded
    row = await SESSION_STATEMENT.fetch_row(POOL.get(request), session_id=token.session_id)
    if row is None:
        raise Unauthorized
    scope = _build_user_scope(request, token, row)
    get_request_state(request).user_id = scope.user_id
    if needed is not None and needed not in token.scopes:
        raise ScopeMissing(needed)
    await replay_or_claim(request, scope.user_id)
    return scope


async def _authorize_user(request: Request, token: VerifiedToken) -> UserScope:
    return await _resolve_user(request, token, get_user_scope(request.method))


def get_user_scope(method: str) -> Scope:
    """Return the scope that a call of this method needs where the rule is `SignedIn`."""
    return Scope.ACCOUNT_READ if method in READS else Scope.ACCOUNT_WRITE


SignedIn = Annotated[UserScope, Depends(_authorize_user)]
"""A signed-in user; the token has the scope `account:read`, or to write `account:write`."""


@cache
def _collect_roles(main_admin: bool | None, admin: bool, member: bool, superior_admin: bool) -> frozenset[Role]:
    flags = zip((*OWN_ROLES, Role.SUPERIOR_ADMIN), (main_admin, admin, member, superior_admin), strict=True)
    return frozenset(role for role, has_role in flags if has_role)


def _collect_key_roles(row: OrgRow) -> frozenset[Role]:
    """Return the roles that count only while the session has a valid proof of a security key."""
    own = ADMINS if is_key_required(row.region_code) else frozenset()
    return own if row.keyless_superior in (None, True) else own | {Role.SUPERIOR_ADMIN}


async def resolve_org(request: Request, token: AccessToken, org_id: UUID, permission: Permission) -> OrgScope:
    """Authorize the token's user for one permission in one org.

    Raises UserNeeded for a service's token, Unauthorized without a live session, ScopeMissing if the token does not
    have the permission's scope, NotFound if the caller may not know of the org, Forbidden if no role of the caller has
    the permission, StepUpNeeded without a proved key, OrgClosed if a closed org does not allow it.
    """
    if token.session_id is None:
        raise UserNeeded
    row = await ORG_STATEMENT.fetch_row(POOL.get(request), session_id=token.session_id, org_id=org_id)
    if row is None:
        raise Unauthorized
    get_request_state(request).user_id = row.user_id
    if SCOPE_OF[permission] not in token.scopes:
        raise ScopeMissing(SCOPE_OF[permission])
    roles = _collect_roles(row.main_admin, row.admin, row.member, row.keyless_superior is not None)
    readers, allowed = ROLES[permission]
    if roles.isdisjoint(readers):
        raise NotFound
    if roles.isdisjoint(allowed):
        raise Forbidden
    if not row.key_proved:
        roles -= _collect_key_roles(row)
        if not (roles & readers and roles & allowed):
            raise StepUpNeeded(KEY_PROOF_LIFETIME)
    if row.status == "closed" and permission not in CLOSED_ORG_PERMISSIONS:
        raise OrgClosed
    return OrgScope(user=_build_user_scope(request, token, row), org=OrgCard._make(tuple(row)[_CARD]), roles=roles)


async def _authorize_operator(request: Request, token: VerifiedToken) -> OperatorScope:
    if token.session_id is None:
        raise NotFound
    row = await OPERATOR_STATEMENT.fetch_row(POOL.get(request), session_id=token.session_id)
    if row is None:
        raise Unauthorized
    get_request_state(request).user_id = row.user_id
    if not row.operator:
        raise NotFound
    if Scope.OPERATOR not in token.scopes:
        raise ScopeMissing(Scope.OPERATOR)
    if not row.key_proved:
        raise StepUpNeeded(KEY_PROOF_LIFETIME)
    scope = _build_user_scope(request, token, row)
    await replay_or_claim(request, scope.user_id)
    return OperatorScope(scope)


AsOperator = Annotated[OperatorScope, Depends(_authorize_operator)]


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Which callers a route accepts. The OpenAPI document and the tests of all routes read it from the dependencies."""

    kind: Literal["public", "user", "org", "operator", "service"]
    needs: str | None = None
    """The permission of an org rule; the scope of a service rule, or of a user rule other than `SignedIn`."""

    def get_scope(self, method: str) -> str | None:
        """Return the scope that the token of a call of this method needs; None if it needs none."""
        match self.kind:
            case "org":
                return SCOPE_OF[Permission(str(self.needs))]
            case "operator":
                return Scope.OPERATOR
            case "user" if self.needs is None:
                return get_user_scope(method)
            case _:
                return None if self.needs == "any" else self.needs


_ACCESS_RULES: dict[Callable[..., Any], AccessRule] = {}


def _require_scope(needed: Scope | None) -> params.Depends:
    async def authorize_user(request: Request, token: VerifiedToken) -> UserScope:
        return await _resolve_user(request, token, needed)

    _ACCESS_RULES[authorize_user] = AccessRule("user", needed or "any")
    return params.Depends(authorize_user)


AsPerson = Annotated[UserScope, _require_scope(None)]
"""A signed-in user, whatever scopes the token has."""
AsOwner = Annotated[UserScope, _require_scope(Scope.ACCOUNT_MANAGE)]
"""A signed-in user with the app or the console, for what decides over the account itself."""
AsFounder = Annotated[UserScope, _require_scope(Scope.ORGS_WRITE)]
"""A signed-in user who creates an org, in which they have no permission yet."""


def Can(permission: Permission) -> params.Depends:  # noqa: N802 — reads as a sentence in a signature
    """Require this permission in the org of the path's `org_id`. The dependency returns an OrgScope."""

    async def authorize_org(
        request: Request,
        token: VerifiedToken,
        org_id: Annotated[UUID, Path(description="The organisation.")],
    ) -> OrgScope:
        scope = await resolve_org(request, token, org_id, permission)
        await replay_or_claim(request, scope.user.user_id)
        return scope

    _ACCESS_RULES[authorize_org] = AccessRule("org", permission)
    return params.Depends(authorize_org)


def Service(scope: str) -> params.Depends:  # noqa: N802 — reads as a sentence in a signature
    """Require a service client (client credentials) with this scope. The dependency returns a ServiceScope."""

    async def authorize_service(request: Request, token: VerifiedToken) -> ServiceScope:
        if token.session_id is not None:
            raise Forbidden
        client = await CLIENT_STATEMENT.fetch_row(POOL.get(request), client_id=token.client_id)
        if client is None:
            raise Unauthorized
        # A token can have fewer scopes than its client. A scope that the client has lost since then does not count.
        scopes = token.scopes & frozenset(client.scopes)
        if scope not in scopes:
            raise ScopeMissing(scope)
        return ServiceScope(token.client_id, scopes, build_actor(request, client_id=token.client_id))

    _ACCESS_RULES[authorize_service] = AccessRule("service", scope)
    return params.Depends(authorize_service)


async def _allow_public() -> None:
    """Accept every caller without authentication."""


Public = Depends(_allow_public)


_ACCESS_RULES |= {
    _authorize_user: AccessRule("user"),
    _authorize_operator: AccessRule("operator"),
    _allow_public: AccessRule("public"),
}


def find_access_rule(dependant: Dependant) -> AccessRule | None:
    """Return the access rule among a route's dependencies; None if the route has no access rule."""
    for dependency in dependant.dependencies:
        found = _ACCESS_RULES.get(dependency.call) if dependency.call else None
        found = found or find_access_rule(dependency)
        if found is not None:
            return found
    return None
