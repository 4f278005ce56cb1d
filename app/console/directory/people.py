"""One person of the directory: the drawer, adding by hand, editing, where they stand, the whole phone number."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.forms import Form, MaybeId, Outcome, PageForm, checked, refusal_of, show_form
from app.console.frame.notices import Undo, done
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.members.errors import PhoneExists
from app.members.operations import create_member, disclose_phone, remove_member, update_member
from app.members.queries import get_member
from app.members.schemas import CopyCreate, MemberCreate, MemberUnitsPut, MemberUpdate
from app.members.unit_memberships import copy_member, set_units
from app.orgs.unit_queries import list_units_by_path
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/orgs/{org_id}/members", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
MemberId = Annotated[UUID, Path()]
UNITS = 1000
CHANGED = "members-changed"


@router.get("/new")
async def show_new_member(request: Request, db: ReadDb, scope: Writer, unit: MaybeId = None) -> Response:
    """The form to add a person by hand, in a unit or at the org itself."""
    return await _show_form(request, db, scope, Form([("unit_id", str(unit))] if unit else []))


@router.post("")
async def add_member(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Adds a person; a phone that is there already is answered with who has it, and the copy (S8)."""
    fields: dict[str, Any] = {"name": form.get("name", ""), "phone": form.get("phone", "")}
    fields |= {"unit_ids": form.all("unit_id"), "party": form.get("party") == "yes"}
    body = checked(MemberCreate, fields)
    if isinstance(body, ValidationError):
        return await _show_form(request, db, scope, form, body)
    added = await refusal_of(db, create_member(db, cipher, scope, body))
    if isinstance(added, PhoneExists):
        units = await list_units_by_path(db, scope.org_id, "", UNITS)
        there = [unit for unit in units if str(unit.id) in form.all("unit_id")]
        shown = {**in_org(scope, "members"), "member": added.extra.get("member"), "units": there}
        return part(request, "directory/phone_exists.html", 409, **shown)
    if isinstance(added, Problem):
        return await _show_form(request, db, scope, form, added)
    return done(request, gettext("已添加 {name}", name=added.name), CHANGED)


@router.post("/{member_id}/copies")
async def copy_into_units(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Copies a person into units more (复制到本组织)."""
    for unit in form.all("unit_id"):
        body = checked(CopyCreate, {"unit_id": unit})
        if isinstance(body, ValidationError):
            raise NotFound
        await copy_member(db, cipher, scope, member_id, body.unit_id)
    return done(request, gettext("已复制到所选组织"), CHANGED)


@router.get("/{member_id}")
async def show_member(request: Request, db: ReadDb, cipher: CipherDep, scope: Reader, member_id: MemberId) -> Response:
    """The drawer."""
    return await _show_member(request, db, cipher, scope, member_id)


@router.get("/{member_id}/form")
async def show_edit(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """The drawer with name, phone and party flag to be edited."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    return show_form(request, "directory/member_form.html", Form([]), **in_org(scope, "members"), member=member)


@router.post("/{member_id}")
async def edit_member(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Edits a person's row; a phone left empty stays as it is."""
    fields: dict[str, Any] = {**form.given("phone"), "name": form.get("name", ""), "party": form.get("party") == "yes"}
    body = checked(MemberUpdate, fields)
    outcome: Any = body
    if isinstance(body, MemberUpdate):
        outcome = await refusal_of(db, update_member(db, cipher, scope, member_id, body, _version(form)))
    if isinstance(outcome, ValidationError | Problem):
        member = await get_member(db, cipher, scope.org_id, member_id)
        return show_form(
            request, "directory/member_form.html", form, outcome, **in_org(scope, "members"), member=member
        )
    return _changed(await _show_member(request, db, cipher, scope, member_id))


@router.get("/{member_id}/units")
async def show_units(request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """The drawer with the units to stand in (选择组织)."""
    return await _show_units(request, db, cipher, scope, member_id, None)


@router.post("/{member_id}/units")
async def choose_units(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Sets where a person stands, all in one call (S8)."""
    body = checked(MemberUnitsPut, {"unit_ids": form.all("unit_id"), "at_org": "at_org" in form})
    if isinstance(body, ValidationError):
        raise NotFound
    outcome = await refusal_of(db, set_units(db, cipher, scope, member_id, body, _version(form)))
    if isinstance(outcome, Problem):
        return await _show_units(request, db, cipher, scope, member_id, outcome)
    return _changed(await _show_member(request, db, cipher, scope, member_id))


@router.post("/{member_id}/phone-disclosures")
async def show_phone(request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """The whole number, which is audited."""
    phone = await disclose_phone(db, cipher, scope, member_id)
    return part(request, "directory/member_phone.html", phone=phone)


@confirmed(router, "/{member_id}/removal")
async def remove(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: Writer, member_id: MemberId
) -> Confirmation:
    """Takes a person out of the directory, their name having been typed."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    return Confirmation(
        title=gettext("移除 {name}", name=member.name),
        says=gettext(
            "{name} 将从本组织及其所有支部中移除。本人的账号和积分不受影响。30 天内可以在“最近移除”中恢复。",
            name=member.name,
        ),
        button=gettext("移除"),
        act=lambda db, _: remove_member(db, scope, member_id, None),
        said=gettext("已移除 {name}", name=member.name),
        name=member.name,
        changed=CHANGED,
        undo=Undo(f"/console/orgs/{scope.org_id}/removed/{member_id}/restoration"),
    )


async def _show_form(request: Request, db: Readable, scope: OrgScope, form: Form, outcome: Outcome = None) -> Response:
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    return show_form(request, "directory/new_member.html", form, outcome, **in_org(scope, "members"), units=units)


async def _show_member(request: Request, db: Readable, cipher: CipherDep, scope: OrgScope, member_id: UUID) -> Response:
    member = await get_member(db, cipher, scope.org_id, member_id)
    return part(request, "directory/member.html", **in_org(scope, "members"), member=member)


async def _show_units(
    request: Request, db: Readable, cipher: CipherDep, scope: OrgScope, member_id: UUID, problem: Problem | None
) -> Response:
    member = await get_member(db, cipher, scope.org_id, member_id)
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    shown = {**in_org(scope, "members"), "member": member, "units": units, "problem": problem}
    return part(request, "directory/member_units.html", 200 if problem is None else problem.status, **shown)


def _changed(response: Response) -> Response:
    response.headers["HX-Trigger"] = CHANGED
    return response


def _version(form: Form) -> int | None:
    version = form.get("version", "")
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else None
