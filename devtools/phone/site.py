"""The phone's routes, templates and script, in the console's frame."""

from fastapi import APIRouter, Response

from app.authz.access import Public
from app.console.frame.assets import add_asset
from app.console.frame.templates import add_templates
from app.web.errors import NotFound
from devtools.phone import (
    data_copies,
    decisions,
    inbox,
    joins,
    links,
    me,
    memberships,
    messages,
    orgs,
    pictures,
    recoveries,
    regions,
    scans,
    security,
    sign_in,
    sign_in_proofs,
)
from devtools.phone.sign_in import PhoneRoute

add_templates("devtools.phone")
add_asset("camera.js", "devtools.phone", "static/camera.js", "text/javascript; charset=utf-8")

rest = APIRouter(route_class=PhoneRoute, include_in_schema=False, dependencies=[Public])


@rest.get("/phone")
async def redirect_to_first_page() -> Response:
    """Redirect to the first page: people type the address without its last slash."""
    return Response(status_code=308, headers={"Location": "/phone/"})


@rest.get("/phone/{path:path}")
async def refuse_unknown_address(path: str) -> Response:
    """Show a page for every unknown address of the phone. Raises NotFound."""
    raise NotFound


routers: tuple[APIRouter, ...] = (
    *(sign_in.router, sign_in.signed_in_router, me.router, security.router, scans.router, orgs.router, regions.router),
    *(data_copies.router, inbox.router, messages.router, joins.router, links.router, memberships.router),
    *(decisions.router, pictures.router, recoveries.router, sign_in_proofs.router),
    rest,
)
"""What matches nothing comes last."""
