"""Orgs, units, regions and name checks over HTTP."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.auth.access import Can, OrgCard, OrgScope, Permission, Public, RealNameRequired, SignedIn
from app.cipher import CipherDep
from app.db import Db, TransactionalRoute
from app.errors import english, problems
from app.orgs import names, operations, queries
from app.orgs.errors import (
    NameKindMismatch,
    NameSuffixTyped,
    NameUnshowable,
    PartyMemberRequired,
    UnitNameTaken,
    UnknownRegion,
    UnknownUnit,
)
from app.orgs.names import Advice, Kind
from app.orgs.regions import NATION, find_region, level_of, list_regions_under, path_of, search_regions
from app.orgs.schemas import (
    AdviceOut,
    MyOrgOut,
    NameCheckCreate,
    NameCheckOut,
    NameErrorOut,
    OrgCreate,
    OrgCreated,
    OrgOut,
    RegionOut,
    UnitCreate,
    UnitOut,
)
from app.paging import Page, Paging, paged_by
from app.text import SearchText

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)

NAME_EXISTS = Advice(
    "name-exists",
    "该地区已有同名学习组织:如为同一组织,请联系其管理员加入。",
    "An organisation of this name is in this region: if it is yours, ask its admin to let you in.",
)


@router.get("/regions", tags=["orgs"], dependencies=[Public])
async def list_regions(
    q: Annotated[SearchText | None, Query(description="Part of a name, or the beginning of a code.")] = None,
    parent: Annotated[
        str, Query(pattern=r"^[0-9]{6}([0-9]{3})?$", description="List what lies directly under it.")
    ] = NATION,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> list[RegionOut]:
    """Regions to choose from: the tree level by level (`parent`), or a search (`q`)."""
    found = list_regions_under(parent) if q is None else search_regions(q, limit)
    return [RegionOut.model_validate(region) for region in found[:limit]]


@router.post("/name-checks", tags=["orgs"], responses=problems(UnknownRegion))
async def check_name(request: Request, user: SignedIn, body: NameCheckCreate, db: Db) -> NameCheckOut:
    """Try a name without creating anything: errors would refuse it, advice would not (S3)."""
    if find_region(body.region_code) is None:
        raise UnknownRegion
    in_english = english(request)
    errors = [
        NameErrorOut(
            code=error.slug,
            title=error.en if in_english else error.zh,
            detail=error.advice_en if in_english else error.advice_zh,
        )
        for error in names.errors_of(body.name, body.kind)
    ]
    advice = await _advice(db, body.name, body.region_code) if not errors else []
    return NameCheckOut(errors=errors, advice=_advice_out(request, advice))


@router.post(
    "/orgs",
    status_code=201,
    tags=["orgs"],
    responses=problems(
        RealNameRequired, PartyMemberRequired, UnknownRegion, NameSuffixTyped, NameKindMismatch, NameUnshowable
    ),
)
async def create_org(
    request: Request, response: Response, user: SignedIn, body: OrgCreate, db: Db, cipher: CipherDep
) -> OrgCreated:
    """Create an org of one's own; the caller becomes its main admin (S2, S4, S19)."""
    card = await operations.create_org(db, cipher, user, body)
    advice = await _advice(db, body.name, body.region_code, but=card.id)
    response.headers["Location"] = f"/v1/orgs/{card.id}"
    return OrgCreated(**_org_fields(card), advice=_advice_out(request, advice))


@router.get("/orgs/{org_id}", tags=["orgs"])
async def read_org(scope: Annotated[OrgScope, Can(Permission.ORG_READ)], response: Response) -> OrgOut:
    """An org's card: for its people, its admins and the admins of the orgs above it."""
    response.headers["ETag"] = f'"{scope.org.version}"'
    return OrgOut(**_org_fields(scope.org))


@router.get("/me/orgs", tags=["me"])
async def list_my_orgs(user: SignedIn, db: Db) -> list[MyOrgOut]:
    """The orgs the caller administers or belongs to, with what they are there (S8, S14)."""
    return [MyOrgOut.model_validate(row) for row in await queries.list_my_orgs(db, user.user_id)]


@router.get("/orgs/{org_id}/units", tags=["units"])
async def list_units(
    scope: Annotated[OrgScope, Can(Permission.UNITS_READ)],
    db: Db,
    paging: Annotated[Paging, paged_by(str, UUID)],
) -> Page[UnitOut]:
    """The units of the org's own tree, each before those under it."""
    rows = await queries.list_units(db, scope.org_id, paging)
    return Page[UnitOut].of(rows, paging, lambda row: (row.path, row.id), UnitOut)


@router.post("/orgs/{org_id}/units", status_code=201, tags=["units"], responses=problems(UnitNameTaken, UnknownUnit))
async def create_unit(scope: Annotated[OrgScope, Can(Permission.UNITS_WRITE)], body: UnitCreate, db: Db) -> UnitOut:
    """Add a unit (党总支, 党支部, 部门) to the org's own tree (S7, S10)."""
    row = await operations.create_unit(db, scope, body)
    path = await queries.get_unit_path(db, scope.org_id, row.id)
    return UnitOut(id=row.id, parent_id=row.parent_id, name=row.name, kind=row.kind, path=path)


def _org_fields(card: OrgCard) -> dict[str, object]:
    return {
        "id": card.id,
        "name": card.name,
        "region_code": card.region_code,
        "kind": Kind(card.kind),
        "status": card.status,
        "version": card.version,
        "created_at": card.created_at,
        "closed_at": card.closed_at,
        "main_admin_id": card.main_admin_id,
        "superior_id": card.superior_id,
        "level": level_of(card.region_code),
        "region": path_of(card.region_code),
    }


async def _advice(db: Db, name: str, region_code: str, but: UUID | None = None) -> list[Advice]:
    advice = names.advice_of(name)
    if await queries.org_name_exists(db, name, region_code, but):
        advice.append(NAME_EXISTS)
    return advice


def _advice_out(request: Request, advice: Sequence[Advice]) -> list[AdviceOut]:
    in_english = english(request)
    return [
        AdviceOut(code=item.code, title=item.en if in_english else item.zh, proposed_name=item.proposed_name)
        for item in advice
    ]
