"""The choice of a region on the phone."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import SignedIn
from app.console.frame.forms import Form
from app.console.frame.regions import RegionChoices, find_region_choices
from app.console.frame.templates import render_page
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)

_ADDRESS = "/phone/regions"


@router.get("/regions")
async def find_regions(
    request: Request,
    scope: SignedIn,
    region: Annotated[str, Query(max_length=50)] = "",
    after: Annotated[str, Query(max_length=12)] = "",
) -> Response:
    """Show the regions that match the typed text, after the one with the code `after`."""
    return render_page(request, find_region_choices(_ADDRESS, region, after=after))


def find_phone_region_choices(form: Form) -> RegionChoices:
    """Return the regions that a form on the phone shows: those of its typed text, and its chosen one."""
    return find_region_choices(_ADDRESS, form.get("region", ""), form.get("region_code", ""))
