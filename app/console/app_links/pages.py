"""What a browser shows that opens a link of the app: what the link is, and how the app opens it.

On a phone with the app the operating system hands these addresses to the app (a universal link), which reads them
itself. The pages read nothing from the database and say nothing about the code or the token in the address.
"""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from app.authz.access import Public
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page
from app.core.app_links import JOIN_ORG_PATH, JOIN_PATH, SCAN_PATH
from app.core.services import SETTINGS

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])


class AppLinkPage(Context, template="app_links/app_link.html"):
    """`kind` names what the link is; `opens` is the address that opens it in the app or shows where to get the app."""

    kind: str
    opens: str | None


@router.get(SCAN_PATH)
async def show_scan_link(request: Request) -> Response:
    """Show what to do with the code of a sign-in."""
    return _show(request, "scan")


@router.get(JOIN_PATH)
async def show_invitation_link(request: Request) -> Response:
    """Show what to do with an invitation to be certified."""
    return _show(request, "join")


@router.get(JOIN_ORG_PATH)
async def show_join_link(request: Request) -> Response:
    """Show what to do with a link to join an org."""
    return _show(request, "join-org")


def _show(request: Request, kind: str) -> Response:
    settings = SETTINGS.get(request)
    query = f"?{request.url.query}" if request.url.query else ""
    address = quote(f"{settings.issuer}{request.url.path}{query}", safe="")
    opens = settings.app_link and settings.app_link.replace("{link}", address)
    return render_page(request, AppLinkPage(kind=kind, opens=opens))
