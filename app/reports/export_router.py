"""Having a report made into a file; progress, download and deletion are `app.exports`' own."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import TransactionalRoute, WriteDb
from app.exports.errors import TooManyExports
from app.exports.kinds import ExportKind
from app.exports.operations import create_export
from app.exports.schemas import ExportOut
from app.reports.export import OVERVIEW, OWN_OVERVIEW, OWN_TREND, RANKING, TREND, UNITS, question_of
from app.reports.export_schemas import OverviewExport, RankingExport, ReportExport, TrendExport, UnitsExport
from app.reports.rankings import require_unit
from app.reports.router import Reader, asker_of
from app.web.errors import problems

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])


@router.post("/reports/overview/exports", status_code=202, responses=problems(TooManyExports))
async def create_overview_export(
    request: Request, scope: Reader, body: OverviewExport, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Have the overview with all direct subordinates made into a file; `Location` says where to ask how far it is."""
    kind = OWN_OVERVIEW if asker_of(request, scope).inside else OVERVIEW
    return await _export(request, scope, kind, body, db, cipher, response)


@router.post("/reports/trend/exports", status_code=202, responses=problems(TooManyExports))
async def create_trend_export(
    request: Request, scope: Reader, body: TrendExport, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Have the trend made into a file; `Location` says where to ask how far it is."""
    kind = OWN_TREND if asker_of(request, scope).inside else TREND
    return await _export(request, scope, kind, body, db, cipher, response)


@router.post("/reports/units/exports", status_code=202, responses=problems(TooManyExports))
async def create_units_export(
    request: Request,
    scope: Annotated[OrgScope, Can(Permission.UNITS_READ)],
    body: UnitsExport,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> ExportOut:
    """Have the units' figures made into a file, for the own admins; `Location` says where to ask how far it is."""
    return await _export(request, scope, UNITS, body, db, cipher, response)


@router.post("/rankings/exports", status_code=202, responses=problems(TooManyExports))
async def create_ranking_export(
    request: Request,
    scope: Annotated[OrgScope, Can(Permission.RANKINGS_READ)],
    body: RankingExport,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> ExportOut:
    """Have the whole ranking made into a file; `Location` says where to ask how far it is."""
    if body.unit_id is not None:
        await require_unit(db, scope.org_id, body.unit_id)
    return await _export(request, scope, RANKING, body, db, cipher, response)


async def _export(
    request: Request,
    scope: OrgScope,
    kind: ExportKind,
    body: ReportExport,
    db: AsyncConnection,
    cipher: CipherDep,
    response: Response,
) -> ExportOut:
    question = question_of(body, asker_of(request, scope))
    made = await create_export(db, cipher, scope, kind, body.format, question)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/exports/{made.id}"
    return made
