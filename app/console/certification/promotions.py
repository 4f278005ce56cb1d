"""Promotions: a unit is offered to become an org of its own (认证, S7, S19)."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.pickers import UnitPicker, load_picker
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, OptionalId, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.phone_fields import read_phone
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.promotions import queries as promotion_queries
from app.promotions.operations import create_promotion, withdraw_promotion
from app.promotions.schemas import PromotionCreate, PromotionOut
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/promotions", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Writer = Annotated[OrgScope, Can(Permission.UNITS_WRITE)]
PromotionId = Annotated[UUID, Path()]


class PromotionsPage(FrameContext, template="certification/promotions.html"):
    promotions: Page[PromotionOut]


class NewPromotion(FormContext, FrameContext, template="certification/new_promotion.html"):
    picker: UnitPicker


@router.get("")
async def show_promotions(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """Show the promotions, newest first."""
    promotions = await promotion_queries.list_promotions(db, cipher, scope.org_id, paging)
    return render_page(request, PromotionsPage(frame=build_org_frame(scope, "certification"), promotions=promotions))


@router.get("/new")
async def show_new_promotion(request: Request, db: ReadDb, scope: Writer, unit: OptionalId = None) -> Response:
    """Show the form with which an admin offers to turn a unit into an org: the unit, the new name and the future main
    admin."""
    form = Form([("unit_id", str(unit))] if unit else [])
    return await _show_form(request, db, scope, form)


@router.post("")
async def submit_promotion(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Offer the promotion to the named person. Nothing changes until the person accepts."""
    fields = {**form.get_filled("unit_id"), "name": form.get("new_name", ""), "to": read_phone(form)}
    body = validate_fields(PromotionCreate, fields)
    outcome: Any = body
    if not isinstance(body, ValidationError):
        outcome = await catch_problem(db, create_promotion(db, cipher, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        return await _show_form(request, db, scope, form, outcome)
    return show_message(request, gettext("已发出，等待对方答复"), PAGE_CHANGED)


@add_confirmation_routes(router, "/{promotion_id}/withdrawal")
async def confirm_withdrawal(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: Writer, promotion_id: PromotionId
) -> Confirmation:
    """Withdraw the promotion. The user types the unit's name to confirm."""
    promotion = await promotion_queries.get_promotion(db, cipher, scope.org_id, promotion_id)
    return Confirmation(
        title=gettext("撤回“{name}”的改设", name=promotion.unit_name),
        explanation=gettext("撤回后支部保持不变，对方不能再接受；需要时可以重新发出。"),
        button=gettext("撤回"),
        operation=lambda db, _: withdraw_promotion(db, scope, promotion_id),
        message=gettext("改设已撤回"),
        name=promotion.unit_name,
    )


async def _show_form(request: Request, db: Readable, scope: OrgScope, form: Form, outcome: Outcome = None) -> Response:
    picker = await load_picker(db, scope.org_id, form.get_all("unit_id"), kind="radio")
    frame = build_org_frame(scope, "certification")
    return render_part(request, NewPromotion(frame=frame, form=form, outcome=outcome, picker=picker))
