"""Creating, editing and closing an org over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response

from app.admins.errors import ChangeRequestOpen, ChangeRequestStale
from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import RealNameRequired
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import TransactionalRoute, WriteDb
from app.org_lifecycle import closure, operations, release
from app.orgs import queries
from app.orgs.advice import advice_out, levels_advice, name_advice
from app.orgs.errors import (
    NameKindMismatch,
    NameSuffixTyped,
    NameUnshowable,
    OrgHasSubordinates,
    PartyMemberRequired,
    SiblingNameTaken,
    UnknownRegion,
)
from app.orgs.schemas import OrgCreate, OrgCreated, OrgOut, OrgUpdate, OrgUpdated
from app.web.errors import problems
from app.web.etags import EditedMeanwhile, IfMatch, etag

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)

Writer = Annotated[OrgScope, Can(Permission.ORG_WRITE)]
Certifier = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]


@router.post(
    "/orgs",
    status_code=201,
    tags=["orgs"],
    responses=problems(
        RealNameRequired, PartyMemberRequired, UnknownRegion, NameSuffixTyped, NameKindMismatch, NameUnshowable
    ),
)
async def create_org(response: Response, user: SignedIn, body: OrgCreate, db: WriteDb, cipher: CipherDep) -> OrgCreated:
    """Create an org of one's own; the caller becomes its main admin."""
    org_id = await operations.create_org(db, cipher, user, body)
    advice = await name_advice(db, body.name, body.region_code, but=org_id)
    advice += await levels_advice(db, user.user_id)
    card = await queries.get_card(db, org_id)
    response.headers["Location"] = f"/v1/orgs/{org_id}"
    response.headers["ETag"] = etag(card.version)
    return OrgCreated.of(card, advice=advice_out(advice))


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
async def update_org(response: Response, scope: Writer, body: OrgUpdate, version: IfMatch, db: WriteDb) -> OrgUpdated:
    """Edit the org's card. A new name holds at once (200) where there is no superior; otherwise it becomes a change
    request that the superior decides on (202), and the name stays until then."""
    waiting = await operations.update_org(db, scope, body, version)
    if waiting is not None:
        response.status_code = 202
    card = await queries.get_card(db, scope.org_id)
    name = body.name or card.name
    advice = await name_advice(db, name, card.region_code, but=scope.org_id) if body.name is not None else []
    advice += await levels_advice(db, scope.user.user_id) if body.region_code is not None else []
    response.headers["ETag"] = etag(card.version)
    return OrgUpdated.of(card, advice=advice_out(advice), change_request_id=waiting)


@router.put("/orgs/{org_id}/closure", tags=["orgs"], responses=problems(EditedMeanwhile, OrgHasSubordinates))
async def close_org(response: Response, scope: Writer, version: IfMatch, db: WriteDb) -> OrgOut:
    """Close the org for good, once no org stands under it. It leaves its superior, whatever waits for it ends, and
    its history can still be read."""
    await closure.close_org(db, scope, version)
    card = await queries.get_card(db, scope.org_id)
    response.headers["ETag"] = etag(card.version)
    return OrgOut.of(card)


@router.delete("/orgs/{org_id}/subordinates/{subordinate_id}", status_code=204, tags=["certification"])
async def release_subordinate(scope: Certifier, subordinate_id: UUID, db: WriteDb) -> None:
    """Release a direct subordinate: it stands alone again, with everything under it. What it has asked of this org, a
    new name or a hand-over, takes effect now."""
    await release.release_subordinate(db, scope, subordinate_id)
