"""The directories in which the user is, on the phone: request the removal, block an org."""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import SignedIn
from app.console.frame.forms import catch_problem
from app.console.frame.templates import ProblemContext, render_page
from app.core.cipher import CipherDep
from app.database.db import Readable, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.own.operations import block_org, unblock_org
from app.members.own.queries import get_membership, list_blocked_orgs, list_memberships
from app.members.own.schemas import BlockedOrgOut, MembershipOut
from app.members.removals.operations import create_removal_request, withdraw_removal_request
from app.web.errors import NotFound, Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone/memberships", route_class=PhoneRoute, include_in_schema=False)

HOME = "/phone/memberships"
OrgId = Annotated[UUID, Path()]
_FIRST = Paging(50, None)
_ALL = Paging(200, None)


class MembershipsPage(ProblemContext, template="phone/memberships.html"):
    memberships: Page[MembershipOut]
    blocked: Sequence[BlockedOrgOut]


@router.get("")
async def show_memberships(
    request: Request, db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the orgs and units in which the user is."""
    return await _show(request, db, scope.user_id, paging)


@router.post("/{org_id}/removal-request")
async def request_removal(request: Request, db: WriteDb, scope: SignedIn, org_id: OrgId) -> Response:
    """Request that the org removes the user from its directory."""
    return await _run(request, db, scope.user_id, create_removal_request(db, scope, org_id))


@router.post("/{org_id}/removal-request/withdrawal")
async def withdraw_request(request: Request, db: WriteDb, scope: SignedIn, org_id: OrgId) -> Response:
    """Withdraw the removal request. Raises NotFound if none waits."""
    request_id = (await get_membership(db, scope.user_id, org_id)).removal_request_id
    if request_id is None:
        raise NotFound
    return await _run(request, db, scope.user_id, withdraw_removal_request(db, scope, request_id))


@router.post("/{org_id}/block")
async def add_block(request: Request, db: WriteDb, scope: SignedIn, org_id: OrgId) -> Response:
    """Block the org, so that no member row of it can be linked to the user."""
    return await _run(request, db, scope.user_id, block_org(db, scope, org_id))


@router.post("/{org_id}/block/removal")
async def remove_block(request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, org_id: OrgId) -> Response:
    """Remove the block. Rows of the org can be linked to the user again."""
    return await _run(request, db, scope.user_id, unblock_org(db, cipher, scope, org_id))


async def _run(request: Request, db: WriteDb, user_id: UUID, operation: Awaitable[Any]) -> Response:
    outcome = await catch_problem(db, operation)
    if isinstance(outcome, Problem):
        return await _show(request, db, user_id, problem=outcome)
    return Response(status_code=303, headers={"Location": HOME})


async def _show(
    request: Request, db: Readable, user_id: UUID, paging: Paging = _FIRST, problem: Problem | None = None
) -> Response:
    blocked = await list_blocked_orgs(db, user_id, _ALL) if paging.after is None else Page[BlockedOrgOut](items=[])
    page = MembershipsPage(
        memberships=await list_memberships(db, user_id, paging), blocked=blocked.items, problem=problem
    )
    return render_page(request, page)
