"""The directory of an org."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.auth.access import Can, OrgScope, Permission
from app.cipher import CipherDep
from app.console.rendering import is_partial, page
from app.console.sign_in import ConsoleRoute
from app.console.standing import in_org
from app.db import Db
from app.members.queries import MemberFilter, list_members
from app.paging import Paging, paged_by

router = APIRouter(prefix="/console/orgs/{org_id}/members", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]


@router.get("")
async def show_members(
    request: Request, db: Db, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """The org's people, phones masked."""
    found = await list_members(db, cipher, scope.org_id, MemberFilter(), paging)
    template = "members_table.html" if is_partial(request) else "members.html"
    return page(request, template, **in_org(scope, "members"), members=found)
