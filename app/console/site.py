"""The routes of all pages, for the app."""

from fastapi import APIRouter, Request, Response

from app.authz.access import Public
from app.authz.cookies import is_secure
from app.console.account import memberships, security
from app.console.app_links import pages as app_links
from app.console.app_links import stop_pages, verification_pages
from app.console.audit import pages as audit
from app.console.certification import (
    application_decisions,
    applications,
    hierarchy,
    invitations,
    mergers,
    promotions,
    subordinates,
    superiors,
    transfers,
)
from app.console.directory import (
    group_transfers,
    join_links,
    joins,
    links,
    moves,
    people,
    person_transfers,
    pickers,
    removals,
    removed,
    selection,
    units,
)
from app.console.directory import pages as directory
from app.console.exports import pages as exports
from app.console.frame import assets
from app.console.frame.formats import LANGUAGE
from app.console.frame.forms import PageForm
from app.console.frame.page_route import is_plain_path
from app.console.frame.route import ConsoleRoute
from app.console.home import pages as home
from app.console.imports import changes as import_changes
from app.console.imports import confirmations as import_confirmations
from app.console.imports import history as import_history
from app.console.imports import pages as imports
from app.console.imports import readings as import_readings
from app.console.imports import reversals as import_reversals
from app.console.imports import row_edits as import_row_edits
from app.console.imports import rows as import_rows
from app.console.imports import states as import_states
from app.console.imports import units as import_units
from app.console.messages import pages as messages
from app.console.operators import accounts, clients, offers, phone_returns, recoveries, reviews
from app.console.operators import pages as operators
from app.console.reports import pages as reports
from app.console.settings import admins, changes, decisions, invited, names
from app.console.sign_in import pages as sign_in
from app.web.errors import NotFound

_YEAR = 365 * 86_400

rest = APIRouter(route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])


@rest.post("/console/language")
async def choose_language(request: Request, form: PageForm) -> Response:
    """Set the language to Chinese or English, and go back to the page."""
    back = form.get("back", "")
    ours = back.startswith(("/console/", "/phone/", "/open/")) and is_plain_path(back)
    response = Response(status_code=303, headers={"Location": back if ours else ConsoleRoute.home})
    language = "en" if form.get("language") == "en" else "zh"
    response.set_cookie(
        LANGUAGE, language, max_age=_YEAR, path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )
    return response


@rest.get("/console")
async def find_home() -> Response:
    """Redirect to the first page, for people who type the address without its last slash."""
    return Response(status_code=308, headers={"Location": "/console/"})


@rest.get("/console/{path:path}")
async def refuse_unknown_address(path: str) -> Response:
    """Show a page for every unknown address of the console. Raises NotFound."""
    raise NotFound


routers: tuple[APIRouter, ...] = (
    app_links.router,
    stop_pages.router,
    verification_pages.router,
    *(assets.router, sign_in.router, sign_in.signed_in_router, home.router, home.glance_router),
    *(memberships.router, security.router),
    *(directory.router, people.router, selection.router, units.router, moves.router, pickers.router, hierarchy.router),
    *(import_history.router, imports.router, import_states.router, import_readings.router, import_units.router),
    *(import_rows.router, import_row_edits.router, import_changes.router, import_confirmations.router),
    import_reversals.router,
    *(reports.router, audit.router),
    *(
        person_transfers.router,
        group_transfers.router,
        links.router,
        joins.router,
        join_links.router,
        removals.router,
        messages.router,
        removed.router,
        exports.router,
    ),
    *(changes.router, admins.router, decisions.router, names.router, promotions.router, invited.router),
    *(superiors.router, applications.router, application_decisions.router, invitations.router, subordinates.router),
    *(transfers.router, mergers.router),
    *(operators.router, reviews.router, recoveries.router, offers.router),
    *(accounts.router, phone_returns.router, clients.router),
    rest,
)
"""The console's routes; what matches nothing comes last."""
