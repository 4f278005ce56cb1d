"""Exports of reports over HTTP. Progress, download and deletion are in `app.exports`."""

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
from app.reports.export import OVERVIEW, OWN_OVERVIEW, OWN_TREND, RANKING, TREND, UNITS, build_question
from app.reports.export_schemas import OverviewExport, RankingExport, ReportExport, TrendExport, UnitsExport
from app.reports.rankings import require_unit
from app.reports.router import Reader, get_requester
from app.web.errors import problems

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])


@router.post(
    "/reports/overview/exports", summary="Export the overview", status_code=202, responses=problems(TooManyExports)
)
async def create_overview_export(
    request: Request, scope: Reader, body: OverviewExport, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Export the overview, with all direct subordinates, to a file. The answer comes at once: read the address in
    `Location` until the state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
    kind = OWN_OVERVIEW if get_requester(request, scope).is_own_admin else OVERVIEW
    return await _export(request, scope, kind, body, db, cipher, response)


@router.post("/reports/trend/exports", summary="Export the trend", status_code=202, responses=problems(TooManyExports))
async def create_trend_export(
    request: Request, scope: Reader, body: TrendExport, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Export the trend to a file; an xlsx has a chart too. The answer comes at once: read the address in
    `Location` until the state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
    kind = OWN_TREND if get_requester(request, scope).is_own_admin else TREND
    return await _export(request, scope, kind, body, db, cipher, response)


@router.post("/reports/units/exports", summary="Export the units", status_code=202, responses=problems(TooManyExports))
async def create_units_export(
    request: Request,
    scope: Annotated[OrgScope, Can(Permission.UNITS_READ)],
    body: UnitsExport,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> ExportOut:
    """Export the figures of the units to a file; only the admins of the org itself can. Read the address in
    `Location` until the state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
    return await _export(request, scope, UNITS, body, db, cipher, response)


@router.post("/rankings/exports", summary="Export the ranking", status_code=202, responses=problems(TooManyExports))
async def create_ranking_export(
    request: Request,
    scope: Annotated[OrgScope, Can(Permission.RANKINGS_READ)],
    body: RankingExport,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> ExportOut:
    """Export the whole ranking to a file. The answer comes at once: read the address in `Location` until the
    state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
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
    question = build_question(body, get_requester(request, scope))
    export = await create_export(db, cipher, scope, kind, body.format, question)
    response.headers["Location"] = f"/v1/orgs/{scope.org_id}/exports/{export.id}"
    return export
