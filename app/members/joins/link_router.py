"""Links with which people ask to join, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.core.qr import draw_svg
from app.core.services import SETTINGS
from app.core.text import Token
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.joins import links
from app.members.joins.errors import JoinLinkExpired, JoinLinkUnknown, JoinLinkUsedUp
from app.members.joins.schemas import JoinLinkCard, JoinLinkCreate, JoinLinkOut
from app.orgs.errors import UnknownUnit
from app.orgs.names import Kind
from app.orgs.regions import format_region_path
from app.web.errors import problems
from app.web.locations import set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/orgs/{org_id}/join-links", summary="Create a link to join", status_code=201, responses=problems(UnknownUnit)
)
async def create_join_link(
    request: Request, response: Response, scope: Writer, body: JoinLinkCreate, db: WriteDb, cipher: CipherDep
) -> JoinLinkOut:
    """An admin creates a link and a QR code with which people request to join the directory of the org or of one of
    its units. The link has a time at which it expires, and a number of uses.

    The link alone adds no person: each person sends a join request with it (`POST /v1/me/join-requests`), and an admin
    decides.
    """
    row = await links.create_join_link(db, cipher, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/join-links/{row.id}")
    return links.build_join_link_out(row, cipher, SETTINGS.get(request).issuer)


@router.get("/orgs/{org_id}/join-links", summary="List links to join")
async def list_join_links(
    request: Request, scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[JoinLinkOut]:
    """List the join links of the org and of its units, the newest first, with the number of times that each was used.
    The call changes nothing."""
    found, address = await links.list_join_links(db, scope.org_id, paging), SETTINGS.get(request).issuer
    return Page[JoinLinkOut].from_slice(found.map(lambda row: links.build_join_link_out(row, cipher, address)))


@router.get("/orgs/{org_id}/join-links/{link_id}", summary="Read a link to join of the org")
async def read_own_join_link(
    request: Request, scope: Reader, link_id: UUID, db: ReadDb, cipher: CipherDep
) -> JoinLinkOut:
    """Read one join link of the org or of a unit, with the number of times that it was used. The call changes
    nothing."""
    row = await links.get_join_link(db, scope.org_id, link_id)
    return links.build_join_link_out(row, cipher, SETTINGS.get(request).issuer)


@router.get(
    "/orgs/{org_id}/join-links/{link_id}/qr.svg",
    summary="QR code of a link to join",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "The QR code of the link."}},
)
async def draw_join_link(request: Request, scope: Reader, link_id: UUID, db: ReadDb, cipher: CipherDep) -> Response:
    """Get the join link as a picture of its QR code, to be shown or printed. The call changes nothing."""
    row = await links.get_join_link(db, scope.org_id, link_id)
    picture = await draw_svg(links.build_join_link_out(row, cipher, SETTINGS.get(request).issuer).link)
    return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.delete("/orgs/{org_id}/join-links/{link_id}", summary="Revoke a link to join", status_code=204)
async def revoke_join_link(scope: Writer, link_id: UUID, db: WriteDb) -> None:
    """Revoke a link: no more requests to join can be made with it. Requests that were made with it stay pending."""
    await links.revoke_join_link(db, scope, link_id)


@router.get(
    "/join-links/{token}",
    summary="Read a link to join",
    responses=problems(JoinLinkUnknown, JoinLinkExpired, JoinLinkUsedUp),
)
async def read_join_link(
    _: SignedIn, token: Annotated[Token, Path(description="The token of the link.")], db: ReadDb
) -> JoinLinkCard:
    """Read which org or unit a link leads to, before asking with it. The call changes nothing, and does not
    count as a use of the link.
    """
    row = await links.get_live_join_link(db, token)
    return JoinLinkCard(
        org_id=row.org_id,
        org_name=row.org_name,
        org_kind=Kind(row.org_kind),
        org_region=format_region_path(row.region_code) or row.region_code,
        unit_name=row.unit_name,
        expires_at=row.expires_at,
    )
