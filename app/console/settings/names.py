"""Help while a user types a name (S3): errors, advice and a shorter proposal."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_part
from app.database.db import ReadDb
from app.orgs import names
from app.orgs.advice import build_advice, list_name_advice
from app.orgs.names import Kind
from app.orgs.schemas import AdviceOut
from app.web.errors import Problem

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)


class NamingHelp(Context, template="settings/naming_help.html"):
    errors: Sequence[type[Problem]]
    advice: Sequence[AdviceOut]
    is_typed: bool


@router.get("/name-check")
async def check_name(
    request: Request,
    db: ReadDb,
    scope: Annotated[OrgScope, Can(Permission.ORG_WRITE)],
    new_name: Annotated[str, Query(max_length=1000)] = "",
    of: Literal["", "new"] = "",
) -> Response:
    """Check a name for the org itself, which may keep its present name, or for a new org of its kind and region."""
    name, org = new_name.strip()[:100], scope.org
    is_own = not of
    errors = names.list_name_errors(name, Kind(org.kind), present_name=org.name if is_own else None) if name else []
    advice: list[AdviceOut] = []
    if name and not errors:
        advice = build_advice(await list_name_advice(db, name, org.region_code, org_id=org.id if is_own else None))
    return render_part(request, NamingHelp(errors=errors, advice=advice, is_typed=bool(name)))
