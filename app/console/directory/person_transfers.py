"""People go from org to org with both sides' consent (S20): asked here, accepted or refused there."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.directory.people import UNITS
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, confirmed
from app.console.frame.forms import Form, Outcome, PageForm, checked, refusal_of, show_form
from app.console.frame.notices import done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import page, part
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging, paged_by
from app.members.queries import get_member
from app.members.transfers import operations, queries
from app.members.transfers.errors import PersonTransferDecided
from app.members.transfers.schemas import PersonTransferAcceptance, PersonTransferCreate, PersonTransferOut
from app.orgs.regions import search_regions
from app.orgs.unit_queries import list_units_by_path
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
TransferId = Annotated[UUID, Path()]
MemberId = Annotated[UUID, Path()]
_REGIONS = 12


@router.get("/person-transfers")
async def show_person_transfers(
    request: Request, db: ReadDb, scope: Reader, paging: Annotated[Paging, paged_by(UUID)]
) -> Response:
    """People on their way out of the org and into it, and those who were."""
    transfers = await queries.list_person_transfers(db, scope.org_id, paging, None)
    return page(request, "directory/person_transfers.html", **in_org(scope, "person-transfers"), transfers=transfers)


@router.get("/person-transfers/regions")
async def find_regions(request: Request, scope: Writer, region: Annotated[str, Query(max_length=50)] = "") -> Response:
    """Regions to choose from, as they are typed."""
    found = search_regions(region.strip(), _REGIONS) if region.strip() else []
    return part(request, "frame/regions.html", regions=found, chosen="")


@router.get("/members/{member_id}/transfers/new")
async def show_new_transfer(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, member_id: MemberId
) -> Response:
    """Which org they go to, by its full name and region."""
    return await _show_form(request, db, cipher, scope, member_id, Form([]))


@router.post("/members/{member_id}/transfers")
async def ask_transfer(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Asks the other org to take them."""
    body = checked(PersonTransferCreate, form.given("org_name", "region_code"))
    if isinstance(body, ValidationError):
        return await _show_form(request, db, cipher, scope, member_id, form, body)
    outcome = await refusal_of(db, operations.create_person_transfer(db, scope, member_id, body))
    if isinstance(outcome, Problem):
        return await _show_form(request, db, cipher, scope, member_id, form, outcome)
    return done(request, gettext("已提出，等待对方接受"), PAGE_CHANGED)


@router.get("/person-transfers/{transfer_id}/acceptance")
async def show_acceptance(request: Request, db: ReadDb, scope: Writer, transfer_id: TransferId) -> Response:
    """Where they will stand."""
    return await _show_acceptance(request, db, scope, transfer_id, Form([]))


@router.post("/person-transfers/{transfer_id}/acceptance")
async def accept(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, transfer_id: TransferId, form: PageForm
) -> Response:
    """Takes them in."""
    body = checked(PersonTransferAcceptance, {"unit_ids": form.all("unit_id")})
    if isinstance(body, ValidationError):
        raise NotFound
    accepting = operations.accept_person_transfer(db, cipher, scope, transfer_id, body.unit_ids)
    outcome = await refusal_of(db, accepting)
    if isinstance(outcome, Problem):
        return await _show_acceptance(request, db, scope, transfer_id, form, outcome)
    return done(request, gettext("已接收，此人已列入本组织通讯录"), PAGE_CHANGED)


@confirmed(router, "/person-transfers/{transfer_id}/refusal")
async def refuse(request: Request, db: ReadableDb, scope: Writer, transfer_id: TransferId) -> Confirmation:
    """Refuses, the person's name having been typed, with a reason that the other org's admins read."""
    name = await _who_waits(db, scope, transfer_id, "in")
    return Confirmation(
        title=gettext("拒绝接收 {name}", name=name),
        says=gettext("此人留在原来的组织。对方的管理员会看到理由，并可以重新申请。"),
        button=gettext("拒绝"),
        act=lambda db, reason: operations.refuse_person_transfer(db, scope, transfer_id, reason),
        said=gettext("已拒绝，理由已告知对方"),
        name=name,
        reason=gettext("拒绝的理由"),
    )


@confirmed(router, "/person-transfers/{transfer_id}/withdrawal")
async def withdraw(request: Request, db: ReadableDb, scope: Writer, transfer_id: TransferId) -> Confirmation:
    """Takes back what this org asked, the person's name having been typed."""
    name = await _who_waits(db, scope, transfer_id, "out")
    return Confirmation(
        title=gettext("撤回 {name} 的转移申请", name=name),
        says=gettext("撤回后一切保持不变；需要时可以重新申请。"),
        button=gettext("撤回"),
        act=lambda db, _: operations.withdraw_person_transfer(db, scope, transfer_id),
        said=gettext("申请已撤回"),
        name=name,
    )


async def _of_direction(db: Readable, scope: OrgScope, transfer_id: UUID, direction: str) -> PersonTransferOut:
    one = await queries.get_person_transfer(db, scope.org_id, transfer_id)
    if one.direction != direction:
        raise NotFound
    return one


async def _who_waits(db: Readable, scope: OrgScope, transfer_id: UUID, direction: str) -> str:
    """Whom it is about. Raises NotFound; PersonTransferDecided, since their name is told only while it waits."""
    one = await _of_direction(db, scope, transfer_id, direction)
    if one.name is None:
        raise PersonTransferDecided
    return one.name


async def _show_form(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    member_id: UUID,
    form: Form,
    outcome: Outcome = None,
) -> Response:
    region = form.get("region", "").strip()
    shown: dict[str, Any] = {
        **in_org(scope, "members"),
        "member": await get_member(db, cipher, scope.org_id, member_id),
        "regions": search_regions(region, _REGIONS) if region else [],
        "chosen": form.get("region_code", ""),
    }
    return show_form(request, "directory/new_person_transfer.html", form, outcome, **shown)


async def _show_acceptance(
    request: Request, db: Readable, scope: OrgScope, transfer_id: UUID, form: Form, outcome: Outcome = None
) -> Response:
    one = await _of_direction(db, scope, transfer_id, "in")
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    shown = {**in_org(scope, "person-transfers"), "one": one, "units": units}
    return show_form(request, "directory/person_transfer_acceptance.html", form, outcome, **shown)
