"""Routes that undo an import (S9)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.errors import ImportEditedSince, ImportNotReversible
from app.members.imports.reversals import operations, queries
from app.members.imports.reversals.schemas import BlockedPersonOut, ReversalOut, ReversalUpdate
from app.web.errors import problems

router = APIRouter(
    prefix="/v1/orgs/{org_id}/imports/{import_id}/reversal", route_class=TransactionalRoute, tags=["imports"]
)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.get("", summary="Preview undoing an import", responses=problems(ImportNotReversible))
async def preview_reversal(scope: Reader, import_id: UUID, db: ReadDb, cipher: CipherDep) -> ReversalOut:
    """Read what undoing the import would do: how many people get back what they had, and how many were edited since and
    stay as they are. Nothing is changed.

    An import can be undone for a day (`reversible_until`).
    """
    return await queries.preview_reversal(db, cipher, scope.org_id, import_id)


@router.get("/blocked-people", summary="List who stays as they are", responses=problems(ImportNotReversible))
async def list_blocked_people(
    scope: Reader, import_id: UUID, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[BlockedPersonOut]:
    """List the people for whom the import cannot be undone, each with the reason. Nothing is changed."""
    return await queries.list_blocked_people(db, cipher, scope.org_id, import_id, paging)


@router.put("", summary="Undo an import", responses=problems(ImportNotReversible, ImportEditedSince))
async def reverse_import(
    scope: Writer, import_id: UUID, body: ReversalUpdate, db: WriteDb, cipher: CipherDep
) -> ReversalOut:
    """Undo an import of the last day as a whole: people whom it added are removed, removed people return, and all
    others get back the name, phone, units and values that they had. Units that it created are removed where they are
    empty.

    Where some people were edited since, the answer is 409 `import-edited-since`: look at them, and send `partial` to
    undo the import for all others.
    """
    return await operations.reverse_import(db, cipher, scope, import_id, partial=body.partial)
