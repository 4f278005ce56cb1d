"""A unit that has grown is offered to be an org of its own (认证, S7, S19)."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import UNITS
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, confirmed
from app.console.frame.forms import Form, MaybeId, Outcome, PageForm, checked, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.orgs.unit_queries import list_units_by_path
from app.promotions import queries as promotion_queries
from app.promotions.operations import create_promotion, withdraw_promotion
from app.promotions.schemas import PromotionCreate
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/certification/promotions", route_class=ConsoleRoute, include_in_schema=False
)

Reader = Annotated[OrgScope, Can(Permission.UNITS_READ)]
Writer = Annotated[OrgScope, Can(Permission.UNITS_WRITE)]
PromotionId = Annotated[UUID, Path()]


@router.get("")
async def show_promotions(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """The offers, newest first."""
    promotions = await promotion_queries.list_promotions(db, cipher, scope.org_id, paging)
    return page(request, "certification/promotions.html", **in_org(scope, "certification"), promotions=promotions)


@router.get("/new")
async def show_new_promotion(request: Request, db: ReadDb, scope: Writer, unit: MaybeId = None) -> Response:
    """Which unit, under what name, and whose it will be."""
    form = Form([("unit_id", str(unit))] if unit else [])
    return await _show_form(request, db, scope, form)


@router.post("")
async def offer(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Offers it; nothing changes before it is accepted."""
    fields = {**form.given("unit_id"), "name": form.get("new_name", ""), "to": {"phone": form.get("phone", "")}}
    body = checked(PromotionCreate, fields)
    outcome: Any = body
    if not isinstance(body, ValidationError):
        outcome = await refusal_of(db, create_promotion(db, cipher, scope, body))
    if isinstance(outcome, ValidationError | Problem):
        return await _show_form(request, db, scope, form, outcome)
    return done(request, gettext("已发出，等待对方答复"), PAGE_CHANGED)


@confirmed(router, "/{promotion_id}/withdrawal")
async def withdraw(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: Writer, promotion_id: PromotionId
) -> Confirmation:
    """Takes the offer back, the unit's name having been typed."""
    one = await promotion_queries.get_promotion(db, cipher, scope.org_id, promotion_id)
    return Confirmation(
        title=gettext("撤回“{name}”的改设", name=one.unit_name),
        says=gettext("撤回后支部保持不变，对方不能再接受；需要时可以重新发出。"),
        button=gettext("撤回"),
        act=lambda db, _: withdraw_promotion(db, scope, promotion_id),
        said=gettext("改设已撤回"),
        name=one.unit_name,
    )


async def _show_form(request: Request, db: Readable, scope: OrgScope, form: Form, outcome: Outcome = None) -> Response:
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    shown = {**in_org(scope, "certification"), "units": units}
    return show_form(request, "certification/new_promotion.html", form, outcome, **shown)
