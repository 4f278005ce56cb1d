"""All pages, as the app takes them."""

from fastapi import APIRouter, Request, Response

from app.auth.access import Public
from app.auth.session_cookies import is_secure
from app.console import (
    admins,
    applications,
    assets,
    audit,
    changes,
    decisions,
    directory,
    exports,
    hierarchy,
    home,
    imports,
    invitations,
    invited,
    links,
    moves,
    naming,
    people,
    person_transfers,
    promotions,
    removed,
    reports,
    security,
    selection,
    sign_in,
    subordinates,
    superiors,
    transfers,
    units,
)
from app.console.forms import PageForm
from app.console.phone import decisions as phone_decisions
from app.console.phone import inbox as phone_inbox
from app.console.phone import me, orgs, pictures, scans
from app.console.phone import sign_in as phone_sign_in
from app.console.phone.sign_in import PhoneRoute
from app.console.rendering import LANGUAGE
from app.console.route import ConsoleRoute
from app.errors import NotFound
from app.settings import Settings

_YEAR = 365 * 86_400

phone_rest = APIRouter(route_class=PhoneRoute, include_in_schema=False, dependencies=[Public])
rest = APIRouter(route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])


@rest.post("/console/language")
async def choose_language(request: Request, form: PageForm) -> Response:
    """Chinese or English, from here on; back to the page it was chosen on."""
    back = form.get("back", "")
    ours = back.startswith(("/console/", "/phone/")) and "\\" not in back
    response = Response(status_code=303, headers={"Location": back if ours and back.isascii() else "/console/"})
    language = "en" if form.get("language") == "en" else "zh"
    response.set_cookie(
        LANGUAGE, language, max_age=_YEAR, path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )
    return response


@rest.get("/console/{path:path}")
async def find_nothing(path: str) -> Response:
    """Every other address of the console: a page that says so."""
    raise NotFound


@phone_rest.get("/phone/{path:path}")
async def find_nothing_on_the_phone(path: str) -> Response:
    """Every other address of the phone."""
    raise NotFound


def routers(settings: Settings) -> list[APIRouter]:
    """The console's routes, and in development the phone's; what matches nothing comes last."""
    found = [assets.router, sign_in.router, sign_in.signed_in_router, home.router, home.glance_router]
    found += [security.router]
    found += [
        directory.router,
        people.router,
        selection.router,
        units.router,
        moves.router,
        hierarchy.router,
        imports.router,
    ]
    found += [reports.router, audit.router]
    found += [person_transfers.router, links.router, removed.router, exports.router]
    found += [changes.router, admins.router, decisions.router, naming.router, promotions.router, invited.router]
    found += [superiors.router, applications.router, invitations.router, subordinates.router, transfers.router, rest]
    if settings.development:
        found += [phone_sign_in.router, phone_sign_in.signed_in_router, me.router, scans.router, orgs.router]
        found += [phone_inbox.router, phone_decisions.router, pictures.router]
        found += [phone_rest]
    return found
