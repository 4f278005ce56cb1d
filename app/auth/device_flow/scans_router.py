"""The phone's side of the scan: see who asks, match the number, approve or refuse."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from app.auth.device_flow.authorizations import approve, find_scan, refuse, scan
from app.auth.device_flow.schemas import ApprovalPut, ScanCreate, ScanOut
from app.auth.errors import AlreadyScanned, CodeExpired, NotOnThisClient, ScanDecided, WrongNumber
from app.authz.access import SignedIn
from app.authz.errors import ForeignOrigin
from app.authz.origin import SameOrigin
from app.database.db import Readable, ReadDb, TransactionalRoute, WriteDb
from app.web.errors import NotFound, Problem, TooManyRequests, problem_response, problems

router = APIRouter(route_class=TransactionalRoute, tags=["sign-in"], dependencies=[SameOrigin])

ScanId = Annotated[UUID, Path(description="The scan.")]


@router.post(
    "/v1/scans",
    status_code=201,
    summary="Scan a console's code",
    response_model=ScanOut,
    responses=problems(NotFound, AlreadyScanned, CodeExpired, NotOnThisClient, ForeignOrigin, TooManyRequests),
)
async def create_scan(request: Request, db: WriteDb, scope: SignedIn, body: ScanCreate) -> ScanOut | JSONResponse:
    """Who asks to be let in, as the service saw it: browser, address, time. Compare it with the screen before you.

    From here on the code is bound to this user and this phone; the console shows the number to match.
    """
    found = await scan(db, scope, body.code)
    return problem_response(request, found) if isinstance(found, Problem) else ScanOut.model_validate(found)


@router.get("/v1/scans/{scan_id}", summary="A scan of this phone", responses=problems(ForeignOrigin))
async def read_scan(db: ReadDb, scope: SignedIn, scan_id: ScanId) -> ScanOut:
    """Its state; a scan by another phone is not there."""
    return await _shown(db, scope, scan_id)


@router.put(
    "/v1/scans/{scan_id}/approval",
    summary="Let the console in",
    response_model=ScanOut,
    responses=problems(NotFound, CodeExpired, ForeignOrigin, ScanDecided, WrongNumber),
)
async def put_approval(
    request: Request, db: WriteDb, scope: SignedIn, scan_id: ScanId, body: ApprovalPut
) -> ScanOut | JSONResponse:
    """With the two digits that the console shows. The third wrong number refuses the sign-in."""
    wrong = await approve(db, scope, scan_id, body.number)
    if wrong is not None:
        return problem_response(request, wrong)
    return await _shown(db, scope, scan_id)


@router.put(
    "/v1/scans/{scan_id}/refusal",
    summary="Turn the console away",
    response_model=ScanOut,
    responses=problems(NotFound, CodeExpired, ForeignOrigin, ScanDecided),
)
async def put_refusal(request: Request, db: WriteDb, scope: SignedIn, scan_id: ScanId) -> ScanOut | JSONResponse:
    """The console is told at once, and its code is good for nothing."""
    undecidable = await refuse(db, scope, scan_id)
    if undecidable is not None:
        return problem_response(request, undecidable)
    return await _shown(db, scope, scan_id)


async def _shown(db: Readable, scope: SignedIn, scan_id: UUID) -> ScanOut:
    row = await find_scan(db, scope, scan_id)
    if row is None:
        raise NotFound
    return ScanOut.model_validate(row)
