"""Scanning a console's code: who asks, the number to match, yes or no."""

from typing import Annotated
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.auth.device_flow.authorizations import approve_sign_in, find_scan, refuse_sign_in, scan_code
from app.authz.access import SignedIn
from app.console.frame.forms import PageForm, refusal_of
from app.console.frame.templates import page
from app.database.db import Readable, ReadDb, WriteDb
from app.web.errors import NotFound, Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)

ScanId = Annotated[UUID, Path()]


@router.get("/scan")
async def show_scanner(request: Request, scope: SignedIn, code: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Where a code is put in: typed, or as the link that the QR code says."""
    return page(request, "phone/scan.html", code=code, problem=None)


@router.post("/scans")
async def begin_scan(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Binds the code to this phone."""
    given = form.get("code", "").strip()[:500]
    address = urlsplit(given)
    if address.path == "/phone/join":
        return Response(status_code=303, headers={"Location": f"/phone/join?{address.query}"})
    outcome = await refusal_of(db, scan_code(db, scope, _code_in(given)))
    if isinstance(outcome, Problem):
        return page(request, "phone/scan.html", outcome.status, code=given, problem=outcome)
    return Response(status_code=303, headers={"Location": f"/phone/scans/{outcome.id}"})


def _code_in(given: str) -> str:
    """The code of a pasted link, or what was typed."""
    if "://" not in given:
        return given
    found = parse_qs(urlsplit(given).query).get("code", [""])
    return found[0]


@router.get("/scans/{scan_id}")
async def show_scan(request: Request, db: ReadDb, scope: SignedIn, scan_id: ScanId) -> Response:
    """Who asks to be let in."""
    return await _shown(request, db, scope, scan_id, None)


@router.post("/scans/{scan_id}/approval")
async def approve_scan(request: Request, db: WriteDb, scope: SignedIn, scan_id: ScanId, form: PageForm) -> Response:
    """Lets the console in, with the number it shows."""
    given = form.get("number", "").strip()
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 3 else 0
    wrong = await refusal_of(db, approve_sign_in(db, scope, scan_id, number))
    return await _shown(request, db, scope, scan_id, wrong)


@router.post("/scans/{scan_id}/refusal")
async def refuse_scan(request: Request, db: WriteDb, scope: SignedIn, scan_id: ScanId) -> Response:
    """Turns the console away."""
    wrong = await refusal_of(db, refuse_sign_in(db, scope, scan_id))
    return await _shown(request, db, scope, scan_id, wrong)


async def _shown(request: Request, db: Readable, scope: SignedIn, scan_id: UUID, problem: Problem | None) -> Response:
    row = await find_scan(db, scope, scan_id)
    if row is None:
        raise NotFound
    return page(request, "phone/approve.html", 200 if problem is None else problem.status, scan=row, problem=problem)
