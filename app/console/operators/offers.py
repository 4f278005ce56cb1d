"""Offers of an operator (S4): a person is to be the main admin of an org in which no admin is left."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from app.admins.queries import get_recovery_offer, list_recovery_offers
from app.admins.recovery_offers import offer_recovery_as_operator, withdraw_recovery_as_operator
from app.admins.schemas import RecoveryOfferCreate, RecoveryOfferOut
from app.authz.access import AsOperator
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.forms import (
    Form,
    FormContext,
    Outcome,
    PageForm,
    catch_problem,
    list_wrong_fields,
    validate_fields,
)
from app.console.frame.notices import show_message
from app.console.frame.phone_fields import read_phone
from app.console.frame.regions import RegionChoices, find_region_choices
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.links.errors import UnknownOrg
from app.members.links.schemas import NamedOrg
from app.orgs.queries import find_org_by_name
from app.web.errors import Problem

AT = "/console/operators/recovery-offers"
router = APIRouter(prefix=AT, route_class=ConsoleRoute, include_in_schema=False)


class OffersPage(FrameContext, template="operators/offers.html"):
    offers: Page[RecoveryOfferOut]


class NewOffer(FormContext, template="operators/new_offer.html"):
    region_choices: RegionChoices


@router.get("")
async def show_offers(
    request: Request, db: ReadDb, cipher: CipherDep, scope: AsOperator, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the offers that operators have made, the newest first."""
    offers = await list_recovery_offers(db, cipher, None, None, paging)
    return render_page(request, OffersPage(frame=build_operator_frame(scope), offers=offers))


@router.get("/regions")
async def find_regions(
    request: Request,
    scope: AsOperator,
    region: Annotated[str, Query(max_length=50)] = "",
    after: Annotated[str, Query(max_length=12)] = "",
) -> Response:
    """Show the regions that match the typed text, after the one with the code `after`."""
    return render_part(request, find_region_choices(request.url.path, region, after=after))


@router.get("/new")
async def show_form(request: Request, scope: AsOperator) -> Response:
    """Show the form that offers a person the office of main admin."""
    return _show_form(request, Form([]))


@router.post("")
async def create_offer(request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, form: PageForm) -> Response:
    """Offer the office of main admin to the user with this phone. The answer does not reveal whether such a user
    exists."""
    org = validate_fields(NamedOrg, form.get_filled("org_name", "region_code"))
    body = validate_fields(RecoveryOfferCreate, {**read_phone(form), **form.get_filled("reason")})
    wrong = {name for each in (org, body) if isinstance(each, ValidationError) for name in _list_wrong(each)}
    if isinstance(org, ValidationError) or isinstance(body, ValidationError):
        return _show_form(request, form, wrong)
    assert org.org_name is not None, "the form has no field for an id"
    assert org.region_code is not None, "the form has no field for an id"
    org_id = await find_org_by_name(db, org.org_name, org.region_code)
    if org_id is None:
        return _show_form(request, form, UnknownOrg())
    offering = offer_recovery_as_operator(db, cipher, scope, org_id, body.phone, body.reason)
    outcome = await catch_problem(db, offering)
    if isinstance(outcome, Problem):
        return _show_form(request, form, outcome)
    return show_message(request, gettext("已提名，等待对方答复"), PAGE_CHANGED)


@add_confirmation_routes(router, "/{offer_id}/withdrawal")
async def confirm_withdrawal(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: AsOperator, offer_id: Annotated[UUID, Path()]
) -> Confirmation:
    """Withdraw an offer that waits. The operator types the org's name to confirm."""
    offer = await get_recovery_offer(db, cipher, None, None, offer_id)
    return Confirmation(
        title=gettext("撤回对“{org}”主管理员的提名", org=offer.org_name),
        explanation=gettext("撤回后对方不能再接受，该组织的管理员不变；需要时可以重新提名。"),
        button=gettext("撤回"),
        operation=lambda db, _: withdraw_recovery_as_operator(db, scope, offer_id),
        message=gettext("提名已撤回"),
        name=offer.org_name,
    )


def _list_wrong(wrong: ValidationError) -> set[str]:
    """Return the names of the wrong fields; `region` if the org is not named by both its name and its region."""
    return list_wrong_fields(wrong) or {"region"}


def _show_form(request: Request, form: Form, outcome: Outcome = None) -> Response:
    choices = find_region_choices(f"{AT}/regions", form.get("region", ""), form.get("region_code", ""))
    return render_part(request, NewOffer(form=form, outcome=outcome, region_choices=choices))
