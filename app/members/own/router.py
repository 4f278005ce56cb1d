"""A user's own rows, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from app.authz.access import SignedIn
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.own import operations, queries
from app.members.own.schemas import BlockedOrgOut, MembershipOut
from app.members.removals.errors import AdminMustResign
from app.web.errors import problems

router = APIRouter(prefix="/v1/me", route_class=TransactionalRoute, tags=["me"])


@router.get("/memberships", summary="Where I am")
async def list_my_memberships(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[MembershipOut]:
    """The directories in which the caller is: the org, the units with their paths, and what the org has written about
    the caller. Show it to the person, who may ask the org for a change.

    A row is listed while it is active through the caller's account. A row that has the caller's phone under another
    name is not. The call changes nothing.
    """
    return await queries.list_memberships(db, user.user_id, paging)


@router.get("/blocked-orgs", summary="Orgs that I have blocked")
async def list_my_blocked_orgs(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[BlockedOrgOut]:
    """The orgs whose directories may not link the caller. The call changes nothing."""
    return await queries.list_blocked_orgs(db, user.user_id, paging)


@router.put("/blocked-orgs/{org_id}", summary="Block an org", status_code=204, responses=problems(AdminMustResign))
async def block_org(user: SignedIn, org_id: UUID, db: WriteDb) -> None:
    """The caller wants to be left alone by an org that has their phone in its directory. The org keeps its row, which
    is not activated any more and is not activated again while the block lasts; requests of the caller to the org end.

    Asking the org to join or to be linked lifts the block. An admin of the org resigns first. The account and its
    points do not change.
    """
    await operations.block_org(db, user, org_id)


@router.delete("/blocked-orgs/{org_id}", summary="Lift a block", status_code=204)
async def unblock_org(user: SignedIn, org_id: UUID, db: WriteDb, cipher: CipherDep) -> None:
    """The org may link the caller again: a row of its directory with the caller's phone and name is active at once."""
    await operations.unblock_org(db, cipher, user, org_id)
