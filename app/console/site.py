"""All pages, as the app takes them."""

from fastapi import APIRouter, Request, Response

from app.authz.access import Public
from app.authz.cookies import is_secure
from app.console.account import security
from app.console.audit import pages as audit
from app.console.certification import (
    applications,
    hierarchy,
    invitations,
    promotions,
    subordinates,
    superiors,
    transfers,
)
from app.console.directory import links, moves, people, person_transfers, removed, selection, units
from app.console.directory import pages as directory
from app.console.exports import pages as exports
from app.console.frame import assets
from app.console.frame.forms import PageForm
from app.console.frame.route import ConsoleRoute
from app.console.frame.words import LANGUAGE
from app.console.home import pages as home
from app.console.imports import pages as imports
from app.console.phone import decisions as phone_decisions
from app.console.phone import inbox as phone_inbox
from app.console.phone import me, orgs, pictures, scans
from app.console.phone import sign_in as phone_sign_in
from app.console.phone.sign_in import PhoneRoute
from app.console.reports import pages as reports
from app.console.settings import admins, changes, decisions, invited, naming
from app.console.sign_in import pages as sign_in
from app.core.errors import NotFound
from app.core.settings import Settings

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
