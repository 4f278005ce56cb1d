"""One person of the directory: the drawer, adding by hand, editing, where they stand, the whole phone number."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.auth.access import Can, OrgScope
from app.auth.permissions import Permission
from app.cipher import CipherDep
from app.console.forms import Form, MaybeId, PageForm, checked, fields_of, refusal_of
from app.console.notices import done
from app.console.rendering import part, words_of
from app.console.route import ConsoleRoute
from app.console.standing import in_org
from app.db import Db
from app.errors import NotFound, Problem
from app.members.errors import PhoneExists
from app.members.operations import copy_member, create_member, disclose_phone, remove_member, set_places, update_member
from app.members.queries import get_member
from app.members.schemas import CopyCreate, MemberCreate, MemberUpdate, PlacesUpdate
from app.orgs.unit_queries import list_units_by_path

router = APIRouter(prefix="/console/orgs/{org_id}/members", route_class=ConsoleRoute, include_in_schema=False)

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]
MemberId = Annotated[UUID, Path()]
UNITS = 1000
CHANGED = "members-changed"


@router.get("/new")
async def show_new_member(request: Request, db: Db, scope: Writer, unit: MaybeId = None) -> Response:
    """The form to add a person by hand, in a unit or at the org itself."""
    form = Form([("unit_id", str(unit))] if unit else [])
    return await _show_form(request, db, scope, form, 200)


@router.post("")
async def add_member(request: Request, db: Db, cipher: CipherDep, scope: Writer, form: PageForm) -> Response:
    """Adds a person; a phone that is there already is answered with who has it, and the copy (S8)."""
    fields: dict[str, Any] = {"name": form.get("name", ""), "phone": form.get("phone", "")}
    fields |= {"unit_ids": form.all("unit_id"), "party": form.get("party") == "yes"}
    body = checked(MemberCreate, fields)
    if isinstance(body, ValidationError):
        return await _show_form(request, db, scope, form, 422, wrong=fields_of(body))
    added = await refusal_of(db, create_member(db, cipher, scope, body))
    if isinstance(added, PhoneExists):
        units = await list_units_by_path(db, scope.org_id, "", UNITS)
        there = [unit for unit in units if str(unit.id) in form.all("unit_id")]
        shown = {**in_org(scope, "members"), "member": added.extra.get("member"), "units": there}
        return part(request, "phone_exists.html", 409, **shown)
    if isinstance(added, Problem):
        return await _show_form(request, db, scope, form, added.status, problem=added)
    return done(request, words_of(request)("已添加 {name}", name=added.name), CHANGED)


@router.post("/{member_id}/copies")
async def copy_into_units(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Copies a person into units more (复制到本组织)."""
    for unit in form.all("unit_id"):
        body = checked(CopyCreate, {"unit_id": unit})
        if isinstance(body, ValidationError):
            raise NotFound
        await copy_member(db, cipher, scope, member_id, body.unit_id)
    return done(request, words_of(request)("已复制到所选组织"), CHANGED)


@router.get("/{member_id}")
async def show_member(request: Request, db: Db, cipher: CipherDep, scope: Reader, member_id: MemberId) -> Response:
    """The drawer."""
    return await _show_member(request, db, cipher, scope, member_id)


@router.get("/{member_id}/form")
async def show_edit(request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """The drawer with name, phone and party flag to be edited."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    shown = {**in_org(scope, "members"), "member": member, "form": Form([]), "wrong": (), "problem": None}
    return part(request, "member_form.html", **shown)


@router.post("/{member_id}")
async def edit_member(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Edits a person's row; a phone left empty stays as it is."""
    fields: dict[str, Any] = {**form.given("phone"), "name": form.get("name", ""), "party": form.get("party") == "yes"}
    body = checked(MemberUpdate, fields)
    outcome: Any = body
    if isinstance(body, MemberUpdate):
        outcome = await refusal_of(db, update_member(db, cipher, scope, member_id, body, _version(form)))
    if isinstance(outcome, ValidationError | Problem):
        shown = {
            **in_org(scope, "members"),
            "member": await get_member(db, cipher, scope.org_id, member_id),
            "form": form,
            "wrong": fields_of(outcome) if isinstance(outcome, ValidationError) else (),
            "problem": outcome if isinstance(outcome, Problem) else None,
        }
        return part(request, "member_form.html", outcome.status if isinstance(outcome, Problem) else 422, **shown)
    return _changed(await _show_member(request, db, cipher, scope, member_id))


@router.get("/{member_id}/places")
async def show_places(request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """The drawer with the units to stand in (选择组织)."""
    return await _show_places(request, db, cipher, scope, member_id, None)


@router.post("/{member_id}/places")
async def choose_places(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Sets where a person stands, all in one call (S8)."""
    body = checked(PlacesUpdate, {"unit_ids": form.all("unit_id"), "at_org": "at_org" in form})
    if isinstance(body, ValidationError):
        raise NotFound
    outcome = await refusal_of(db, set_places(db, cipher, scope, member_id, body, _version(form)))
    if isinstance(outcome, Problem):
        return await _show_places(request, db, cipher, scope, member_id, outcome)
    return _changed(await _show_member(request, db, cipher, scope, member_id))


@router.post("/{member_id}/phone-disclosures")
async def show_phone(request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """The whole number, which is audited."""
    phone = await disclose_phone(db, cipher, scope, member_id)
    return part(request, "member_phone.html", phone=phone)


@router.get("/{member_id}/removal")
async def show_removal(request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId) -> Response:
    """What removing does, to be confirmed by the person's name."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    return part(request, "member_removal.html", **in_org(scope, "members"), member=member, problem=None, typed="")


@router.post("/{member_id}/removal")
async def remove(
    request: Request, db: Db, cipher: CipherDep, scope: Writer, member_id: MemberId, form: PageForm
) -> Response:
    """Takes a person out of the directory, their name having been typed."""
    member = await get_member(db, cipher, scope.org_id, member_id)
    typed = form.get("name", "").strip()
    outcome = None
    if typed == member.name:
        outcome = await refusal_of(db, remove_member(db, scope, member_id, None))
        if outcome is None:
            return done(request, words_of(request)("已移除 {name}", name=member.name), CHANGED)
    shown = {**in_org(scope, "members"), "member": member, "problem": outcome, "typed": typed}
    return part(request, "member_removal.html", 422 if outcome is None else outcome.status, **shown)


async def _show_form(
    request: Request,
    db: Db,
    scope: OrgScope,
    form: Form,
    status: int,
    *,
    wrong: set[str] | None = None,
    problem: Problem | None = None,
) -> Response:
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    shown = {**in_org(scope, "members"), "units": units, "form": form, "wrong": wrong or set(), "problem": problem}
    return part(request, "new_member.html", status, **shown)


async def _show_member(request: Request, db: Db, cipher: CipherDep, scope: OrgScope, member_id: UUID) -> Response:
    member = await get_member(db, cipher, scope.org_id, member_id)
    return part(request, "member.html", **in_org(scope, "members"), member=member)


async def _show_places(
    request: Request, db: Db, cipher: CipherDep, scope: OrgScope, member_id: UUID, problem: Problem | None
) -> Response:
    member = await get_member(db, cipher, scope.org_id, member_id)
    units = await list_units_by_path(db, scope.org_id, "", UNITS)
    shown = {**in_org(scope, "members"), "member": member, "units": units, "problem": problem}
    return part(request, "member_places.html", 200 if problem is None else problem.status, **shown)


def _changed(response: Response) -> Response:
    response.headers["HX-Trigger"] = CHANGED
    return response


def _version(form: Form) -> int | None:
    version = form.get("version", "")
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else None
