"""The requests that a user makes for themselves, and not for an org: to be linked, to join, to be removed."""

from uuid import UUID

from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import KINDS, Kind
from app.approvals.requests import finish_requests, raise_already_ended
from app.audit_log.entries import Actor
from app.authz.access import UserScope
from app.schema.approvals import State
from app.web.errors import Problem

USER_KINDS = tuple(kind for kind in KINDS if kind.requesting_org is None)


async def withdraw_user_request(
    db: AsyncConnection, user: UserScope, kind: Kind, request_id: UUID, decided: type[Problem]
) -> None:
    """Withdraw the user's own request, with its audit entry. Raises NotFound, `decided` if it has ended."""
    own = (kind.table.id == request_id, kind.requester == user.user_id)
    if not await finish_requests(db, kind, State.WITHDRAWN, *own, actor=user.actor, of_org=None):
        await raise_already_ended(db, kind, *own, decided=decided, expired=decided)


async def withdraw_user_requests(db: AsyncConnection, user_id: UUID, actor: Actor, org_id: UUID | None = None) -> None:
    """Withdraw the user's waiting requests to this org (None: to all orgs), with their audit entries. This also erases
    the names that the requests have stored."""
    for kind in USER_KINDS:
        to_org = true() if org_id is None else kind.named_org == org_id
        own = (kind.requester == user_id, to_org)
        await finish_requests(db, kind, State.WITHDRAWN, *own, actor=actor, of_org=None)
