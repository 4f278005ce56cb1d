"""A user's own rows, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from app.authz.access import SignedIn
from app.database.db import ReadDb, TransactionalRoute
from app.database.paging import Page, Paging, paged_by
from app.members.own import queries
from app.members.own.schemas import MembershipOut

router = APIRouter(prefix="/v1/me", route_class=TransactionalRoute, tags=["me"])


@router.get("/memberships", summary="Where I am")
async def list_my_memberships(
    user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[MembershipOut]:
    """The directories in which the caller is: the org, the units with their paths, and what the org has written about
    the caller. Show it to the person, who may ask the org for a change.

    A row is listed while it is active through the caller's account. A row that has the caller's phone under another
    name is not. Nothing is changed.
    """
    return await queries.list_memberships(db, user.user_id, paging)
