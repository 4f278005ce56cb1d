"""The phone's calls: reading a scan, matching the number, approving or refusing."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from app.auth.device_flow.scans import approve_sign_in, find_scan, refuse_sign_in, scan_code
from app.auth.device_flow.schemas import ApprovalPut, ScanCreate, ScanOut
from app.auth.errors import AlreadyScanned, CodeExpired, NotOnThisClient, ScanDecided, WrongNumber
from app.authz.access import AsOwner
from app.authz.errors import ForeignOrigin
from app.authz.origin import SameOrigin
from app.database.db import Readable, ReadDb, TransactionalRoute, WriteDb
from app.web.errors import NotFound, Problem, TooManyRequests, build_problem_response, problems
from app.web.locations import set_location

router = APIRouter(route_class=TransactionalRoute, tags=["sign-in"], dependencies=[SameOrigin])

ScanId = Annotated[UUID, Path(description="The scan.")]


@router.post(
    "/v1/scans",
    status_code=201,
    summary="Scan the code of a client",
    response_model=ScanOut,
    responses=problems(NotFound, AlreadyScanned, CodeExpired, NotOnThisClient, ForeignOrigin, TooManyRequests),
)
async def create_scan(
    request: Request, response: Response, db: WriteDb, scope: AsOwner, body: ScanCreate
) -> ScanOut | JSONResponse:
    """The app reports that the person has scanned a QR code, or has typed the code beside it. The answer shows which
    client requests the sign-in, as the service saw it: program, browser, address and time. The person compares these
    with the screen.

    From now on the code belongs to this user and this phone. Next, ask the person for what `proof` names, then approve
    with it or refuse.
    """
    found = await scan_code(db, scope, body.code)
    if isinstance(found, Problem):
        return build_problem_response(request, found)
    set_location(response, f"/v1/scans/{found.id}")
    return ScanOut.model_validate(found)


@router.get("/v1/scans/{scan_id}", summary="Read a scan", responses=problems(ForeignOrigin))
async def read_scan(db: ReadDb, scope: AsOwner, scan_id: ScanId) -> ScanOut:
    """Read whether the scan still waits for a decision. The call changes nothing.

    Only the phone that has scanned the code can read the scan. For any other phone the answer is 404.
    """
    return await _get_scan(db, scope, scan_id)


@router.put(
    "/v1/scans/{scan_id}/approval",
    summary="Let the client sign in",
    response_model=ScanOut,
    responses=problems(NotFound, CodeExpired, ForeignOrigin, ScanDecided, WrongNumber),
)
async def approve_scan(
    request: Request, db: WriteDb, scope: AsOwner, scan_id: ScanId, body: ApprovalPut
) -> ScanOut | JSONResponse:
    """Approve the sign-in with the `proof` of the scan: the number that the console shows, or the last four letters of
    the code on the screen of another client. The client gets its tokens with its next poll, and is signed in as this
    person.

    A wrong proof is 409 `wrong-number` and can be corrected. The third one refuses the sign-in: then scan a new code.
    """
    wrong = await approve_sign_in(db, scope, scan_id, number=body.number, user_code_end=body.user_code_end)
    if wrong is not None:
        return build_problem_response(request, wrong)
    return await _get_scan(db, scope, scan_id)


@router.put(
    "/v1/scans/{scan_id}/refusal",
    summary="Refuse the client",
    response_model=ScanOut,
    responses=problems(NotFound, CodeExpired, ForeignOrigin, ScanDecided),
)
async def put_refusal(request: Request, db: WriteDb, scope: AsOwner, scan_id: ScanId) -> ScanOut | JSONResponse:
    """The person refuses the sign-in, for example because a stranger shows the code. The client is notified at once,
    and its code cannot be used any more.

    Nothing else changes. After a refusal by mistake, sign in with a new code.
    """
    undecidable = await refuse_sign_in(db, scope, scan_id)
    if undecidable is not None:
        return build_problem_response(request, undecidable)
    return await _get_scan(db, scope, scan_id)


async def _get_scan(db: Readable, scope: AsOwner, scan_id: UUID) -> ScanOut:
    row = await find_scan(db, scope, scan_id)
    if row is None:
        raise NotFound
    return ScanOut.model_validate(row)
