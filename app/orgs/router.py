"""Orgs, regions and name checks over HTTP."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter

from app.authz.access import Can, OrgScope, Public, SignedIn
from app.authz.permissions import Permission
from app.core.i18n import gettext
from app.core.text import SearchText
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import CursorQuery, ItemList, LimitQuery, Page, Paging, Slice, paged_by, read_paging
from app.fastpath.route import fast_get
from app.orgs import names, queries
from app.orgs.advice import build_advice, list_name_advice
from app.orgs.errors import UnknownRegion
from app.orgs.names import Kind
from app.orgs.queries import OrgFilter, OrgFoundRow
from app.orgs.regions import (
    NATION,
    find_region,
    format_region_path,
    get_region_level,
    get_search_key,
    list_child_regions,
    search_regions,
)
from app.orgs.schemas import (
    MyOrgOut,
    NameCheckCreate,
    NameCheckOut,
    NameErrorOut,
    OrgFoundOut,
    OrgOut,
    RegionCode,
    RegionOut,
)
from app.web.errors import problems
from app.web.etags import REVALIDATED, format_etag

_REGION_CURSOR: TypeAdapter[Any] = TypeAdapter(tuple[int, str])

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)


@router.get("/regions", summary="Find a region", tags=["orgs"], dependencies=[Public])
async def list_regions(
    q: Annotated[
        SearchText | None,
        Query(description="Part of a name, a path, the beginning of a code, or words of a path with a part of a name."),
    ] = None,
    parent: Annotated[
        str, Query(pattern=r"^[0-9]{6}([0-9]{3})?$", description="List what lies directly under it.")
    ] = NATION,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> Page[RegionOut]:
    """Find the code of a region before creating an org: go down the tree level by level (`parent`), or search by name
    (`q`). The call changes nothing.
    """
    paging = read_paging(limit, cursor, _REGION_CURSOR)
    found = list_child_regions(parent) if q is None else search_regions(q)
    rest = [region for region in found if paging.after is None or get_search_key(region) > paging.after]
    page = Slice.cut(rest[: paging.rows], paging, get_search_key)
    return Page[RegionOut].from_slice(page.map(RegionOut.model_validate))


@router.post("/name-checks", summary="Check a name for an org", tags=["orgs"], responses=problems(UnknownRegion))
async def check_name(user: SignedIn, body: NameCheckCreate, db: WriteDb) -> NameCheckOut:
    """Try a name while it is typed. Errors would refuse it when the org is created or renamed; advice would not.

    Nothing is created. A name that passes can still be taken by another org under the same superior.
    """
    if find_region(body.region_code) is None:
        raise UnknownRegion
    errors = [
        NameErrorOut(code=error.slug, title=gettext(error.title), detail=gettext(error.advice))
        for error in names.list_name_errors(body.name, body.kind)
    ]
    advice = await list_name_advice(db, body.name, body.region_code) if not errors else []
    return NameCheckOut(errors=errors, advice=build_advice(advice))


async def _read_filter(
    q: Annotated[
        SearchText | None,
        Query(description="Characters of the name, or its pinyin or initials from their beginning, 中共 apart."),
    ] = None,
    region_code: Annotated[RegionCode | None, Query(description="In this region or one under it.")] = None,
    kind: Annotated[Kind | None, Query(description="`party` or `outside-party`.")] = None,
    status: Annotated[Literal["live", "closed"], Query(description="`live` or `closed`.")] = "live",
) -> OrgFilter:
    return OrgFilter(q, region_code, kind, status)


@router.get("/orgs", summary="Search orgs", tags=["orgs"])
async def search_orgs(
    user: SignedIn,
    db: ReadDb,
    wanted: Annotated[OrgFilter, Depends(_read_filter)],
    paging: Annotated[Paging, paged_by(str, UUID)],
) -> Page[OrgFoundOut]:
    """Find orgs by name, pinyin, initials or region. The caller finds their own orgs, those they administer, and all
    orgs in the subtrees of these, in the order of their names.

    The call changes nothing. An org that the caller may not see is not in the answer. Where admins need a security key,
    the orgs of the subtrees are in the answer only after the session has proved one.
    """
    found = await queries.search_orgs(db, user, wanted, paging)
    return Page[OrgFoundOut].from_slice(found.map(_build_found_org))


def _build_found_org(org: OrgFoundRow) -> OrgFoundOut:
    return OrgFoundOut.model_validate(
        org._asdict() | {"region": format_region_path(org.region_code), "level": get_region_level(org.region_code)}
    )


@fast_get(router, "/orgs/{org_id}", summary="Read an org", tags=["orgs"], responses=REVALIDATED)
async def read_org(scope: Annotated[OrgScope, Can(Permission.ORG_READ)], response: Response) -> OrgOut:
    """Read the card of an org: name, region, kind, state and superior. The org's members, its admins and the admins of
    the orgs above it can read it. Every other caller gets 404.

    The call changes nothing. Send the `ETag` back to edit or close the org.
    """
    response.headers["ETag"] = format_etag(scope.org.version)
    return OrgOut.from_card(scope.org)


@router.get("/me/orgs", summary="My orgs", tags=["me"])
async def list_my_orgs(user: SignedIn, db: ReadDb) -> ItemList[MyOrgOut]:
    """List the orgs of which the caller is an admin or a member, with the caller's roles in each. Read the list after
    the sign-in to let the person choose an org.

    The call changes nothing.
    """
    return ItemList(items=[MyOrgOut.model_validate(row) for row in await queries.list_user_orgs(db, user.user_id)])
