"""Routes that start exports of reports. The routes for progress, download and deletion are in `app.exports`."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.core.services import SETTINGS
from app.database.db import TransactionalRoute, WriteDb
from app.exports.errors import TooManyExports
from app.exports.schemas import ExportOut
from app.reports.export import create_report_export
from app.reports.export_schemas import OverviewExport, RankingExport, TrendExport, UnitsExport
from app.web.errors import problems
from app.web.locations import describe_location, set_location

router = APIRouter(prefix="/v1/orgs/{org_id}", route_class=TransactionalRoute, tags=["reports"])

Reader = Annotated[OrgScope, Can(Permission.REPORTS_READ)]


@router.post(
    "/reports/overview/exports",
    summary="Export the overview",
    status_code=202,
    responses=describe_location(202) | problems(TooManyExports),
)
async def create_overview_export(
    request: Request, scope: Reader, body: OverviewExport, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Export the overview, with all direct subordinates, to a file. The answer comes at once: read the address in
    `Location` until the state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
    export = await create_report_export(db, cipher, scope, SETTINGS.get(request), body)
    return _locate(response, scope, export)


@router.post(
    "/reports/trend/exports",
    summary="Export the trend",
    status_code=202,
    responses=describe_location(202) | problems(TooManyExports),
)
async def create_trend_export(
    request: Request, scope: Reader, body: TrendExport, db: WriteDb, cipher: CipherDep, response: Response
) -> ExportOut:
    """Export the trend to a file; an xlsx has a chart too. The answer comes at once: read the address in
    `Location` until the state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
    export = await create_report_export(db, cipher, scope, SETTINGS.get(request), body)
    return _locate(response, scope, export)


@router.post(
    "/reports/units/exports",
    summary="Export the units",
    status_code=202,
    responses=describe_location(202) | problems(TooManyExports),
)
async def create_units_export(
    request: Request,
    scope: Annotated[OrgScope, Can(Permission.OWN_REPORTS_READ)],
    body: UnitsExport,
    db: WriteDb,
    cipher: CipherDep,
    response: Response,
) -> ExportOut:
    """Export the figures of the units to a file; only the admins of the org itself can. Read the address in
    `Location` until the state is `done`, then download the file.

    Nothing else is changed. With too many exports (409 `too-many-exports`) delete some first.
    """
    export = await create_report_export(db, cipher, scope, SETTINGS.get(request), body)
    return _locate(response, scope, export)


@router.post(
    "/rankings/exports",
    summary="Export the ranking",
    status_code=202,
    responses=describe_location(202) | problems(TooManyExports),
)
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
    export = await create_report_export(db, cipher, scope, SETTINGS.get(request), body)
    return _locate(response, scope, export)


def _locate(response: Response, scope: OrgScope, export: ExportOut) -> ExportOut:
    set_location(response, f"/v1/orgs/{scope.org_id}/exports/{export.id}")
    return export
