"""Scanning a console's code: the device, the number to match, approve or refuse."""

from typing import Annotated
from urllib.parse import SplitResult, parse_qs, urlsplit
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.auth.device_flow.scans import ScanRow, approve_sign_in, find_scan, refuse_sign_in, scan_code
from app.authz.access import SignedIn
from app.authz.scopes import DESCRIPTIONS
from app.console.frame.forms import PageForm, catch_problem
from app.console.frame.page_route import is_plain_path
from app.console.frame.templates import ProblemContext, render_page
from app.core.app_links import JOIN_ORG_PATH, JOIN_PATH, SCAN_PATH
from app.core.i18n import gettext
from app.database.db import Readable, ReadDb, WriteDb
from app.web.errors import NotFound, Problem
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)

ScanId = Annotated[UUID, Path()]
_PAGES = {SCAN_PATH: "/phone/scan", JOIN_PATH: "/phone/join", JOIN_ORG_PATH: "/phone/join-org"}
"""The phone's page for each link that the app opens."""


class ScannerPage(ProblemContext, template="phone/scan.html"):
    code: str


class ScanPage(ProblemContext, template="phone/approve.html"):
    scan: ScanRow

    @property
    def scope_texts(self) -> dict[str, str]:
        """Return what each scope allows, in the reader's language."""
        return {scope: gettext(text) for scope, text in DESCRIPTIONS.items()}


@router.get("/scan")
async def show_scanner(request: Request, scope: SignedIn, code: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Show the form for a code or for the link in the QR code."""
    return render_page(request, ScannerPage(code=code))


@router.post("/scans")
async def begin_scan(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Bind the code to this phone."""
    given = form.get("code", "").strip()[:500]
    page = _find_page(given)
    if page is not None and not page.startswith("/phone/scan"):
        return Response(status_code=303, headers={"Location": page})
    outcome = await catch_problem(db, scan_code(db, scope, _extract_code(given)))
    if isinstance(outcome, Problem):
        return render_page(request, ScannerPage(code=given, problem=outcome))
    return Response(status_code=303, headers={"Location": f"/phone/scans/{outcome.id}"})


@router.get("/open")
async def open_link(scope: SignedIn, link: Annotated[str, Query(max_length=1000)] = "") -> Response:
    """Lead to the page of a link, as the app does when the operating system opens the link with it."""
    return Response(status_code=303, headers={"Location": _find_page(link) or PhoneRoute.home})


def _find_page(link: str) -> str | None:
    """Return the phone's page for a link of the app; None if it is no such link."""
    address = _split_address(link)
    page = _PAGES.get(address.path)
    found = page and f"{page}?{address.query}"
    return found if found and is_plain_path(found) else None


def _split_address(given: str) -> SplitResult:
    """Return the parts of a link; those of an empty one if it is no link, for example `http://[`."""
    try:
        return urlsplit(given)
    except ValueError:
        return urlsplit("")


def _extract_code(given: str) -> str:
    """Return the code of a pasted link, or the typed text."""
    if "://" not in given:
        return given
    found = parse_qs(_split_address(given).query).get("code", [""])
    return found[0]


@router.get("/scans/{scan_id}")
async def show_scan(request: Request, db: ReadDb, scope: SignedIn, scan_id: ScanId) -> Response:
    """Show the device that requests to sign in."""
    return await _show(request, db, scope, scan_id, None)


@router.post("/scans/{scan_id}/approval")
async def approve_scan(request: Request, db: WriteDb, scope: SignedIn, scan_id: ScanId, form: PageForm) -> Response:
    """Approve the sign-in with the number that the console shows, or with the end of the code on another screen."""
    given = form.get("number", "").strip()
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 3 else 0
    end = form.get("user_code_end", "")[:20]
    wrong = await catch_problem(db, approve_sign_in(db, scope, scan_id, number=number, user_code_end=end))
    return await _show(request, db, scope, scan_id, wrong)


@router.post("/scans/{scan_id}/refusal")
async def refuse_scan(request: Request, db: WriteDb, scope: SignedIn, scan_id: ScanId) -> Response:
    """Refuse the sign-in."""
    wrong = await catch_problem(db, refuse_sign_in(db, scope, scan_id))
    return await _show(request, db, scope, scan_id, wrong)


async def _show(request: Request, db: Readable, scope: SignedIn, scan_id: UUID, problem: Problem | None) -> Response:
    row = await find_scan(db, scope, scan_id)
    if row is None:
        raise NotFound
    return render_page(request, ScanPage(scan=row, problem=problem))
