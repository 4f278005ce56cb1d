"""Who may do what: the one mechanism through which every route is authorized.

A route says what it needs as a parameter and gets a typed scope; an operation takes the scope and never a bare id:

    scope: Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]    an org's people, by their role in it
    scope: SignedIn                                              any signed-in user
    scope: AsOperator                                            a platform operator, with a security key
    scope: Annotated[ServiceScope, Service("point-events:write")]   a service client with that scope
    dependencies=[Public]                                        nobody in particular, on purpose

Roles are read from the database with the session and the org in one statement, never from a token's claims, so that
an ended session, a disabled account or a removed admin is refused at the very next call. A role in an org of a whole
province or the nation counts only while a security key is proved in the session (S16).
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
from app.authz.caller import CLIENT, OPERATOR, ORG, SESSION, OperatorRow, OrgRow, SessionRow
from app.authz.cookies import accepts_session_cookie, token_of_cookie
from app.authz.errors import OrgClosed, RealNameRequired, ScopeMissing, StepUpNeeded
from app.authz.permissions import ADMINS, AFTER_CLOSING, OWN_ROLES, ROLES, Permission, Role
from app.authz.step_up import KEY_LASTS, demands_key
from app.authz.tokens import VERIFIER, AccessToken
from app.core.networks import address_of_host
from app.database.db import POOL
from app.idempotency.replay import replay_or_claim
from app.web.errors import Forbidden, NotFound, Unauthorized
from app.web.request_state import request_state


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

    def require_real_name(self) -> str:
        """The verified name; raises RealNameRequired without one (S1)."""
        if self.verified_name is None:
            raise RealNameRequired
        return self.verified_name


@dataclass(frozen=True, slots=True)
class OperatorScope:
    """A platform operator who has proved a security key in this session."""

    user: UserScope

    @property
    def actor(self) -> Actor:
        return self.user.actor


class OrgCard(NamedTuple):
    """What everybody who sees an org sees of it."""

    id: UUID
    name: str
    region_code: str
    kind: str
    status: str
    version: int
    created_at: datetime
    closed_at: datetime | None
    main_admin_id: UUID
    superior_id: UUID | None


_CARD = slice(OrgRow._fields.index("id"), OrgRow._fields.index("superior_id") + 1)
assert tuple(OrgRow._fields)[_CARD] == OrgCard._fields


@dataclass(frozen=True, slots=True)
class OrgScope:
    """A signed-in user who holds a permission in this org."""

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
    """A service client that holds a scope."""

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


async def _token(request: Request, credentials: Credentials) -> AccessToken:
    if accepts_session_cookie(request):
        return token_of_cookie(request)
    if credentials is None:
        raise Unauthorized
    verifier = VERIFIER.of(request)
    return await verifier.verify(credentials.credentials)


VerifiedToken = Annotated[AccessToken, Depends(_token)]


def address_of(request: Request) -> str | None:
    """The caller's address, as the server (behind its trusted proxy) sees it."""
    client = request.client
    return address_of_host(client.host) if client else None


def actor_of(request: Request, *, user_id: UUID | None = None, client_id: str | None = None) -> Actor:
    return Actor(user_id, client_id, address_of(request), request_state(request).request_id)


def _user_scope(request: Request, token: AccessToken, row: SessionRow | OperatorRow | OrgRow) -> UserScope:
    return UserScope(
        user_id=row.user_id,
        session_id=token.session_id,  # type: ignore[arg-type]  # a user's token always has one
        client_id=token.client_id,
        methods=tuple(row.methods),
        verified_name=row.verified_name,
        party_member=row.party_member,
        actor=actor_of(request, user_id=row.user_id),
    )


async def _signed_in(request: Request, token: VerifiedToken) -> UserScope:
    if token.session_id is None:
        raise Unauthorized
    row = await SESSION.fetch_row(POOL.of(request), session_id=token.session_id)
    if row is None:
        raise Unauthorized
    scope = _user_scope(request, token, row)
    request_state(request).user_id = scope.user_id
    await replay_or_claim(request, scope.user_id)
    return scope


SignedIn = Annotated[UserScope, Depends(_signed_in)]


@cache
def _roles(main_admin: bool | None, admin: bool, member: bool, superior_admin: bool) -> frozenset[Role]:
    held = zip((*OWN_ROLES, Role.SUPERIOR_ADMIN), (main_admin, admin, member, superior_admin), strict=True)
    return frozenset(role for role, holds in held if holds)


def _roles_by_key(row: OrgRow) -> frozenset[Role]:
    """The roles that count only while a security key is proved."""
    own = ADMINS if demands_key(row.region_code) else frozenset()
    return own if row.keyless_above in (None, True) else own | {Role.SUPERIOR_ADMIN}


async def resolve_org(request: Request, token: AccessToken, org_id: UUID, permission: Permission) -> OrgScope:
    """Decide on one org: the scope, or NotFound where the caller may not know of it, or Forbidden."""
    if token.session_id is None:
        raise Unauthorized
    row = await ORG.fetch_row(POOL.of(request), session_id=token.session_id, org_id=org_id)
    if row is None:
        raise Unauthorized
    request_state(request).user_id = row.user_id
    roles = _roles(row.main_admin, row.admin, row.member, row.keyless_above is not None)
    sees, may = ROLES[permission]
    if roles.isdisjoint(sees):
        raise NotFound
    if roles.isdisjoint(may):
        raise Forbidden
    if not row.keyed:
        roles -= _roles_by_key(row)
        if not (roles & sees and roles & may):
            raise StepUpNeeded(KEY_LASTS)
    if row.status == "closed" and permission not in AFTER_CLOSING:
        raise OrgClosed
    return OrgScope(user=_user_scope(request, token, row), org=OrgCard._make(tuple(row)[_CARD]), roles=roles)


async def _as_operator(request: Request, token: VerifiedToken) -> OperatorScope:
    if token.session_id is None:
        raise NotFound
    row = await OPERATOR.fetch_row(POOL.of(request), session_id=token.session_id)
    if row is None:
        raise Unauthorized
    request_state(request).user_id = row.user_id
    if not row.operator:
        raise NotFound
    if not row.keyed:
        raise StepUpNeeded(KEY_LASTS)
    scope = _user_scope(request, token, row)
    await replay_or_claim(request, scope.user_id)
    return OperatorScope(scope)


AsOperator = Annotated[OperatorScope, Depends(_as_operator)]


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom a route admits, read off its dependencies by the OpenAPI document and the tests that walk the routes."""

    kind: Literal["public", "user", "org", "operator", "service"]
    needs: str | None = None


_ADMISSIONS: dict[Callable[..., Any], Admission] = {}


def Can(permission: Permission) -> params.Depends:  # noqa: N802 — reads as a sentence in a signature
    """The caller may do this in the org of the path's `org_id`. Gives an OrgScope."""

    async def can(
        request: Request,
        token: VerifiedToken,
        org_id: Annotated[UUID, Path(description="The organisation.")],
    ) -> OrgScope:
        scope = await resolve_org(request, token, org_id, permission)
        await replay_or_claim(request, scope.user.user_id)
        return scope

    _ADMISSIONS[can] = Admission("org", permission)
    return params.Depends(can)


def Service(scope: str) -> params.Depends:  # noqa: N802
    """The caller is a service client (client credentials) that holds this scope. Gives a ServiceScope."""

    async def service(request: Request, token: VerifiedToken) -> ServiceScope:
        if token.session_id is not None:
            raise Forbidden
        client = await CLIENT.fetch_row(POOL.of(request), client_id=token.client_id)
        if client is None:
            raise Unauthorized
        # The token can hold fewer scopes than the client, never more than it holds now.
        scopes = token.scopes & frozenset(client.scopes)
        if scope not in scopes:
            raise ScopeMissing
        return ServiceScope(token.client_id, scopes, actor_of(request, client_id=token.client_id))

    _ADMISSIONS[service] = Admission("service", scope)
    return params.Depends(service)


async def _public() -> None:
    """Nobody is asked who they are."""


Public = Depends(_public)


_ADMISSIONS |= {
    _signed_in: Admission("user"),
    _as_operator: Admission("operator"),
    _public: Admission("public"),
}


def admission_of(dependant: Dependant) -> Admission | None:
    """What a route asks of its caller, found among its dependencies; None where it forgot to ask."""
    for dependency in dependant.dependencies:
        found = _ADMISSIONS.get(dependency.call) if dependency.call else None
        found = found or admission_of(dependency)
        if found is not None:
            return found
    return None
