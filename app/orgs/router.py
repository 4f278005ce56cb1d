"""Orgs, regions and name checks over HTTP."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.admins.errors import ChangeRequestOpen, ChangeRequestStale
from app.auth.access import Can, OrgScope, Public, SignedIn
from app.auth.errors import RealNameRequired
from app.auth.permissions import Permission
from app.certification.errors import SiblingNameTaken
from app.cipher import CipherDep
from app.db import Db, TransactionalRoute
from app.errors import english, problems
from app.etags import EditedMeanwhile, IfMatch, etag
from app.orgs import closing, names, operations, queries
from app.orgs.advice import advice_out, levels_advice, name_advice
from app.orgs.errors import (
    NameKindMismatch,
    NameSuffixTyped,
    NameUnshowable,
    OrgHasSubordinates,
    PartyMemberRequired,
    UnknownRegion,
)
from app.orgs.names import Kind
from app.orgs.queries import OrgFilter
from app.orgs.regions import NATION, find_region, level_of, list_regions_under, path_of, search_regions
from app.orgs.schemas import (
    MyOrgOut,
    NameCheckCreate,
    NameCheckOut,
    NameErrorOut,
    OrgCreate,
    OrgCreated,
    OrgFoundOut,
    OrgOut,
    OrgUpdate,
    OrgUpdated,
    RegionCode,
    RegionOut,
)
from app.paging import Page, Paging, paged_by
from app.text import SearchText

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)

Writer = Annotated[OrgScope, Can(Permission.ORG_WRITE)]


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
    advice = await name_advice(db, body.name, body.region_code) if not errors else []
    return NameCheckOut(errors=errors, advice=advice_out(request, advice))


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
    org_id = await operations.create_org(db, cipher, user, body)
    advice = await name_advice(db, body.name, body.region_code, but=org_id)
    advice += await levels_advice(db, user.user_id)
    card = await queries.get_card(db, org_id)
    response.headers["Location"] = f"/v1/orgs/{org_id}"
    response.headers["ETag"] = etag(card.version)
    return OrgCreated.of(card, advice=advice_out(request, advice))


def _filter(
    q: Annotated[
        SearchText | None,
        Query(description="Characters of the name, or its pinyin or initials from their beginning, 中共 apart."),
    ] = None,
    region_code: Annotated[RegionCode | None, Query(description="In this region or one under it.")] = None,
    kind: Annotated[Kind | None, Query(description="`party` or `outside_party`.")] = None,
    status: Annotated[Literal["live", "closed"], Query(description="`live` or `closed`.")] = "live",
) -> OrgFilter:
    return OrgFilter(q, region_code, kind, status)


@router.get("/orgs", tags=["orgs"])
async def search_orgs(
    user: SignedIn,
    db: Db,
    wanted: Annotated[OrgFilter, Depends(_filter)],
    paging: Annotated[Paging, paged_by(str, UUID)],
) -> Page[OrgFoundOut]:
    """Find orgs by name, pinyin, initials or region, among those the caller may see: their own, those they administer,
    and all orgs below these. By name."""
    rows = await queries.search_orgs(db, user.user_id, wanted, paging)
    shown = [
        OrgFoundOut.model_validate(
            dict(row._mapping) | {"region": path_of(row.region_code), "level": level_of(row.region_code)}
        )
        for row in rows
    ]
    return Page[OrgFoundOut].of(shown, paging, lambda org: (org.name, org.id), OrgFoundOut)


@router.get("/orgs/{org_id}", tags=["orgs"])
async def read_org(scope: Annotated[OrgScope, Can(Permission.ORG_READ)], response: Response) -> OrgOut:
    """An org's card: for its people, its admins and the admins of the orgs above it."""
    response.headers["ETag"] = etag(scope.org.version)
    return OrgOut.of(scope.org)


WAITS: dict[int | str, dict[str, Any]] = {
    202: {"model": OrgUpdated, "description": "The new name waits for the superior's consent."}
}


@router.patch(
    "/orgs/{org_id}",
    tags=["orgs"],
    responses=WAITS
    | problems(
        EditedMeanwhile,
        UnknownRegion,
        NameSuffixTyped,
        NameKindMismatch,
        NameUnshowable,
        SiblingNameTaken,
        ChangeRequestOpen,
        ChangeRequestStale,
    ),
)
async def update_org(
    request: Request, response: Response, scope: Writer, body: OrgUpdate, version: IfMatch, db: Db
) -> OrgUpdated:
    """Edit the org's card. A new name holds at once (200) where there is no superior; otherwise it becomes a change
    request that the superior decides on (202), and the name stays until then (S5)."""
    waiting = await operations.update_org(db, scope, body, version)
    if waiting is not None:
        response.status_code = 202
    card = await queries.get_card(db, scope.org_id)
    name = body.name or card.name
    advice = await name_advice(db, name, card.region_code, but=scope.org_id) if body.name is not None else []
    advice += await levels_advice(db, scope.user.user_id) if body.region_code is not None else []
    response.headers["ETag"] = etag(card.version)
    return OrgUpdated.of(card, advice=advice_out(request, advice), change_request_id=waiting)


@router.put("/orgs/{org_id}/closure", tags=["orgs"], responses=problems(EditedMeanwhile, OrgHasSubordinates))
async def close_org(response: Response, scope: Writer, version: IfMatch, db: Db) -> OrgOut:
    """Close the org for good, once no org stands under it. It leaves its superior, whatever waits for it ends, and
    its history can still be read."""
    await closing.close_org(db, scope, version)
    card = await queries.get_card(db, scope.org_id)
    response.headers["ETag"] = etag(card.version)
    return OrgOut.of(card)


@router.get("/me/orgs", tags=["me"])
async def list_my_orgs(user: SignedIn, db: Db) -> list[MyOrgOut]:
    """The orgs the caller administers or belongs to, with what they are there (S8, S14)."""
    return [MyOrgOut.model_validate(row) for row in await queries.list_my_orgs(db, user.user_id)]
