"""Routes that correct the preview of an import (S9)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports import queries, row_queries
from app.members.imports.edits import operations, summaries, unit_queries
from app.members.imports.edits.schemas import ImportRowUpdate, RowSummaryOut, UnitChoicesUpdate, UnknownUnitOut
from app.members.imports.errors import ImportNotReady, ImportRowEdited, TooManyNewUnits
from app.members.imports.schemas import ImportOut, ImportRowOut
from app.orgs.errors import UnknownUnit
from app.web.errors import problems

router = APIRouter(prefix="/v1/orgs/{org_id}/imports/{import_id}", route_class=TransactionalRoute, tags=["imports"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
RowId = Annotated[int, Path(ge=1, le=2**31 - 1, description="`id` of the row.")]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.patch(
    "/rows/{row_id}",
    summary="Correct a row of the preview",
    responses=problems(ImportNotReady, ImportRowEdited, TooManyNewUnits),
)
async def edit_row(
    scope: Writer, import_id: UUID, row_id: RowId, body: ImportRowUpdate, db: WriteDb, cipher: CipherDep
) -> ImportRowOut:
    """Correct the name, phone or unit of a row, for example of a refused one, without a new upload. The import is
    checked again at once, and the answer is the row with its new outcome.

    The import has a new preview then: read its counts and its number before the confirmation. Nothing is written to the
    directory.
    """
    await operations.edit_row(db, cipher, scope, import_id, row_id, body)
    return await row_queries.get_row(db, cipher, scope.org_id, import_id, row_id)


@router.get("/summary", summary="Summarize the rows")
async def read_summary(scope: Reader, import_id: UUID, db: ReadDb) -> RowSummaryOut:
    """Count the rows of the import by outcome, and the refused ones by cause. Where the cause is the unit that a row
    names, it comes with the units of the most rows. Nothing is changed.

    Read it first, then the rows of a cause with `GET …/rows?problem=`. Rows are stored for thirty days.
    """
    await queries.get_import(db, scope.org_id, import_id)
    return await summaries.summarize_rows(db, scope.org_id, import_id)


@router.get("/units", summary="List unknown units")
async def list_unknown_units(
    scope: Reader, import_id: UUID, db: ReadDb, paging: Annotated[Paging, paged_by(int, str)]
) -> Page[UnknownUnitOut]:
    """List the units that the sheet names and the org does not have, those with the most rows first, each with the
    existing unit of the most similar name. Nothing is changed.

    Choose what to do with them with `PUT …/units`.
    """
    await queries.get_import(db, scope.org_id, import_id)
    return await unit_queries.list_unknown_units(db, scope.org_id, import_id, paging)


@router.put(
    "/units", summary="Choose about unknown units", responses=problems(ImportNotReady, TooManyNewUnits, UnknownUnit)
)
async def choose_units(
    scope: Writer, import_id: UUID, body: UnitChoicesUpdate, db: WriteDb, cipher: CipherDep
) -> ImportOut:
    """Choose for units that the org does not have: create them, use an existing unit instead, or leave their rows out.
    `all` chooses for all of them, `others` for those without a choice. The import is checked again at once and has a
    new preview.

    Nothing is written to the directory.
    """
    await operations.choose_units(db, cipher, scope, import_id, body)
    return await queries.get_import(db, scope.org_id, import_id)
