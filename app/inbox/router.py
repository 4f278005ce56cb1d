"""The inbox over HTTP: one list of the requests that wait for the caller, each with the calls that answer it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from app.authz.access import SignedIn
from app.database.db import ReadDb, TransactionalRoute
from app.database.paging import Paging, paged_by
from app.fastpath.route import fast_get
from app.inbox import queries
from app.inbox.queries import WaitingRequest
from app.inbox.schemas import ActionOut, InboxEntryOut, InboxOut

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["me"])

# The address of an entry by kind. The calls that answer it are sub-resources of this address.
_PATHS = {
    "application": "/v1/orgs/{org_id}/applications/{id}",
    "change-request": "/v1/orgs/{org_id}/change-requests/{id}",
    "recovery": "/v1/orgs/{org_id}/change-requests/{id}",
    "recovery-offer": "/v1/orgs/{org_id}/admin-invitations/{id}",
    "transfer": "/v1/orgs/{org_id}/transfers/{id}",
    "link-request": "/v1/orgs/{org_id}/link-requests/{id}",
    "person-transfer": "/v1/orgs/{org_id}/person-transfers/{id}",
    "group-transfer": "/v1/orgs/{org_id}/group-transfers/{id}",
    "join-request": "/v1/orgs/{org_id}/join-requests/{id}",
    "removal-request": "/v1/orgs/{org_id}/removal-requests/{id}",
    "admin-invitation": "/v1/me/admin-invitations/{id}",
    "promotion": "/v1/me/promotions/{id}",
    "merger": "/v1/orgs/{org_id}/mergers/{id}",
    "closure": "/v1/orgs/{org_id}/closures",
}


@fast_get(router, "/inbox", summary="What waits for me")
async def read_inbox(user: SignedIn, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> InboxOut:
    """Read this to find what the caller has to answer: applications, change requests and transfers to decide for their
    orgs, and invitations and offers to themselves. The newest is first.

    Each entry has the address to read (`href`) and the calls that answer it (`actions`). Nothing is changed: an
    entry leaves the inbox when it is decided, withdrawn or expired.
    """
    found = await queries.list_waiting_requests(db, user, paging)
    counts = await queries.count_waiting_requests(db, user)
    return InboxOut(
        items=[_build_entry(row) for row in found.rows],
        next_cursor=found.next_cursor,
        counts=counts,
        total=sum(counts.values()),
    )


def _build_entry(row: WaitingRequest) -> InboxEntryOut:
    path = _PATHS[row.kind].format(org_id=row.org_id, id=row.id)
    return InboxEntryOut(
        kind=row.kind,
        id=row.id,
        org_id=row.org_id,
        org_name=row.org_name,
        subject=row.subject,
        detail=row.detail,
        at=row.at,
        href=path,
        actions=_build_actions(row, path),
    )


def _build_actions(row: WaitingRequest, path: str) -> dict[str, ActionOut]:
    match row.kind:
        case "recovery" | "recovery-offer":
            return {"withdrawal": ActionOut(method="DELETE", href=path)}
        case "closure":
            closure = f"/v1/orgs/{row.org_id}/closure"
            return {
                "approval": ActionOut(method="PUT", href=closure),
                "refusal": ActionOut(method="DELETE", href=closure),
            }
        case "transfer" if row.step is not None:
            answers = [row.step, "refusal"]
        case (
            "merger"
            | "admin-invitation"
            | "promotion"
            | "link-request"
            | "person-transfer"
            | "group-transfer"
            | "join-request"
            | "removal-request"
        ):
            answers = ["acceptance", "refusal"]
        case _:
            answers = ["approval", "refusal"]
    return {answer: ActionOut(method="PUT", href=f"{path}/{answer}") for answer in answers}
