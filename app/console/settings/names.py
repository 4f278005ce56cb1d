"""Naming help while a name is typed (S3): what would refuse it, what is only advised, and a shorter proposal."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import part
from app.database.db import ReadDb
from app.orgs import names
from app.orgs.advice import advice_out, list_name_advice
from app.orgs.names import Kind

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)


@router.get("/name-check")
async def check_name(
    request: Request,
    db: ReadDb,
    scope: Annotated[OrgScope, Can(Permission.ORG_WRITE)],
    new_name: Annotated[str, Query(max_length=1000)] = "",
    of: Literal["", "new"] = "",
) -> Response:
    """For the org itself, whose own name is kept as it is; or for a new org of its kind and region."""
    name, org = new_name.strip()[:100], scope.org
    mine = not of
    errors = names.list_name_errors(name, Kind(org.kind), present_name=org.name if mine else None) if name else []
    advice = []
    if name and not errors:
        advice = advice_out(await list_name_advice(db, name, org.region_code, org_id=org.id if mine else None))
    return part(request, "settings/naming_help.html", errors=errors, advice=advice, asked=bool(name))
