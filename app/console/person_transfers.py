"""People go from org to org with both sides' consent (S20): asked here, accepted or refused there."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from app.auth.access import Can, OrgScope
from app.auth.permissions import Permission
from app.cipher import Cipher, CipherDep
from app.console.confirmations import PAGE_CHANGED, Confirmation, ask, confirm
from app.console.forms import Form, PageForm, checked, refusal_of
from app.console.notices import done
from app.console.people import UNITS
from app.console.rendering import page, part, words_of
from app.console.route import ConsoleRoute
from app.console.standing import in_org
from app.db import Db
from app.errors import NotFound, Problem
from app.members.queries import get_member
from app.members.transfers import operations, queries
from app.members.transfers.schemas import PersonTransferAcceptance, PersonTransferCreate, PersonTransferOut
from app.orgs.regions import search_regions
from app.orgs.unit_queries import list_units_by_path
from app.paging import Paging, paged_by

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
TransferId = Annotated[UUID, Path()]
MemberId = Annotated[UUID, Path()]
_REGIONS = 12


@router.get("/person-transfers")
async def show_person_transfers(
    request: Request, db: Db, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """People on their way out of the org and into it, and those who were."""
    transfers = await queries.list_person_transfers(db, scope.org_id, paging, None)
    return page(request, "person_transfers.html", **in_org(scope, "person-transfers"), transfers=transfers)


@router.get("/person-transfers/regions")
async def find_regions(request: Request, scope: Writer, region: Annotated[str, Query(max_length=50)] = "") -> Response:
    """Regions to choose from, as they are typed."""
    found = search_regions(region.strip(), _REGIONS) if region.strip() else []
    return part(request, "phone/regions.html", regions=found, chosen="")


@router.get("/members/{member_id}/transfers/new")
async def show_new_transfer(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId
) -> Response:
    """Which org they go to, by its full name and region."""
    return await _show_form(request, db, cipher, scope, member_id, Form([]))


@router.post("/members/{member_id}/transfers")
async def ask_transfer(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Asks the other org to take them."""
    body = checked(PersonTransferCreate, form.given("org_name", "region_code"))
    if isinstance(body, ValidationError):
        return await _show_form(request, db, cipher, scope, member_id, form, wrong=True)
    outcome = await refusal_of(db, operations.create_person_transfer(db, scope, member_id, body))
    if isinstance(outcome, Problem):
        return await _show_form(request, db, cipher, scope, member_id, form, problem=outcome)
    return done(request, words_of(request)("已提出，等待对方接受"), PAGE_CHANGED)


@router.get("/person-transfers/{transfer_id}/acceptance")
async def show_acceptance(request: Request, db: Db, scope: Writer, transfer_id: TransferId) -> Response:
    """Where they will stand."""
    return await _show_acceptance(request, db, scope, transfer_id, Form([]), None)


@router.post("/person-transfers/{transfer_id}/acceptance")
async def accept(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, transfer_id: TransferId, form: PageForm
) -> Response:
    """Takes them in."""
    body = checked(PersonTransferAcceptance, {"unit_ids": form.all("unit_id")})
    if isinstance(body, ValidationError):
        raise NotFound
    accepting = operations.accept_person_transfer(db, cipher, scope, transfer_id, body.unit_ids)
    outcome = await refusal_of(db, accepting)
    if isinstance(outcome, Problem):
        return await _show_acceptance(request, db, scope, transfer_id, form, outcome)
    return done(request, words_of(request)("已接收，此人现在本组织的通讯录中"), PAGE_CHANGED)


@router.get("/person-transfers/{transfer_id}/refusal")
async def show_refusal(request: Request, db: Db, scope: Writer, transfer_id: TransferId) -> Response:
    """Asks for the reason."""
    await _of_direction(db, scope, transfer_id, "in")
    return ask(request, _refusal(request, scope, transfer_id))


@router.post("/person-transfers/{transfer_id}/refusal")
async def refuse(request: Request, db: Db, scope: Writer, transfer_id: TransferId, form: PageForm) -> Response:
    """Refuses, with a reason that the other org's admins read."""
    asked = _refusal(request, scope, transfer_id)
    said = words_of(request)("已拒绝，理由已告知对方")
    return await confirm(
        request, db, asked, form, lambda reason: operations.refuse_person_transfer(db, scope, transfer_id, reason), said
    )


@router.get("/person-transfers/{transfer_id}/withdrawal")
async def show_withdrawal(request: Request, db: Db, scope: Writer, transfer_id: TransferId) -> Response:
    """What withdrawing does."""
    await _of_direction(db, scope, transfer_id, "out")
    return ask(request, _withdrawal(request, scope, transfer_id))


@router.post("/person-transfers/{transfer_id}/withdrawal")
async def withdraw(request: Request, db: Db, scope: Writer, transfer_id: TransferId, form: PageForm) -> Response:
    """Takes back what this org asked."""
    asked = _withdrawal(request, scope, transfer_id)
    said = words_of(request)("申请已撤回")
    return await confirm(
        request, db, asked, form, lambda _: operations.withdraw_person_transfer(db, scope, transfer_id), said
    )


async def _of_direction(db: Db, scope: OrgScope, transfer_id: UUID, direction: str) -> PersonTransferOut:
    one = await queries.get_person_transfer(db, scope.org_id, transfer_id)
    if one.direction != direction:
        raise NotFound
    return one


async def _show_form(
    request: Request,
    db: Db,
    cipher: Cipher,
    scope: OrgScope,
    member_id: UUID,
    form: Form,
    *,
    problem: Problem | None = None,
    wrong: bool = False,
) -> Response:
    region = form.get("region", "").strip()
    shown: dict[str, Any] = {
        **in_org(scope, "members"),
        "member": await get_member(db, cipher, scope.org_id, member_id),
        "form": form,
        "problem": problem,
        "wrong": wrong,
        "regions": search_regions(region, _REGIONS) if region else [],
        "chosen": form.get("region_code", ""),
    }
    status = problem.status if problem else 422 if wrong else 200
    return part(request, "new_person_transfer.html", status, **shown)


async def _show_acceptance(
    request: Request, db: Db, scope: OrgScope, transfer_id: UUID, form: Form, problem: Problem | None
) -> Response:
    one = await _of_direction(db, scope, transfer_id, "in")
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    shown = {**in_org(scope, "person-transfers"), "one": one, "units": units, "form": form, "problem": problem}
    return part(request, "person_transfer_acceptance.html", problem.status if problem else 200, **shown)


def _refusal(request: Request, scope: OrgScope, transfer_id: UUID) -> Confirmation:
    words = words_of(request)
    return Confirmation(
        title=words("拒绝接收"),
        says=words("此人留在原来的组织。对方的管理员会看到理由，并可以重新申请。"),
        button=words("拒绝"),
        to=f"/console/orgs/{scope.org_id}/person-transfers/{transfer_id}/refusal",
        reason=words("拒绝的理由"),
    )


def _withdrawal(request: Request, scope: OrgScope, transfer_id: UUID) -> Confirmation:
    words = words_of(request)
    return Confirmation(
        title=words("撤回申请"),
        says=words("撤回后一切保持不变；需要时可以重新申请。"),
        button=words("撤回"),
        to=f"/console/orgs/{scope.org_id}/person-transfers/{transfer_id}/withdrawal",
        danger=False,
    )
