"""Transfers of an org to another superior, over HTTP (S20): request, release, acceptance."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.certification import transfer_queries, transfers
from app.certification.errors import (
    AlreadyCertified,
    InvitationExpired,
    InvitationUnknown,
    InvitationUsedUp,
    NoSuperior,
    PreviewStale,
    SameSuperior,
    TransferDecided,
    TransferNotReleased,
    TransferOpen,
    WouldCloseCircle,
)
from app.certification.schemas import RefusalCreate, TransferCreate, TransferDecision, TransferDetailOut, TransferOut
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.orgs.errors import SiblingNameTaken
from app.web.errors import problems
from app.web.locations import set_location

router = APIRouter(prefix="/v1/orgs/{org_id}/transfers", route_class=TransactionalRoute, tags=["certification"])

Reader = Annotated[OrgScope, Can(Permission.TRANSFERS_READ)]
Requester = Annotated[OrgScope, Can(Permission.TRANSFERS_ASK)]
Decider = Annotated[OrgScope, Can(Permission.TRANSFERS_DECIDE)]


@router.post(
    "",
    summary="Ask for a transfer to another superior",
    status_code=201,
    responses=problems(
        RealNameRequired,
        InvitationUnknown,
        InvitationExpired,
        InvitationUsedUp,
        NoSuperior,
        SameSuperior,
        WouldCloseCircle,
        SiblingNameTaken,
        TransferOpen,
    ),
)
async def create_transfer(
    request: Request, response: Response, scope: Requester, body: TransferCreate, db: WriteDb
) -> TransferDetailOut:
    """The main admin requests a transfer of this org and its whole subtree to the org that made the invitation. The
    present superior must then release the org, and the new superior must accept it. Until then nothing moves.

    An org without a superior applies for certification instead. An org can have one pending transfer at a time.
    """
    transfer_id = await transfers.create_transfer(db, scope, body.invitation_token)
    set_location(response, f"/v1/orgs/{scope.org_id}/transfers/{transfer_id}")
    return await _get_transfer(request, db, scope, transfer_id)


@router.get("", summary="List transfers")
async def list_transfers(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[TransferOut]:
    """List the transfers of this org, those that leave it and those that arrive in it, the newest first. The call
    changes nothing."""
    return await transfer_queries.list_transfers(db, scope.org_id, paging)


@router.get("/{transfer_id}", summary="Read a transfer")
async def read_transfer(request: Request, scope: Reader, transfer_id: UUID, db: ReadableDb) -> TransferDetailOut:
    """Read one transfer. While the transfer waits, the answer has a preview of what would move. The call changes
    nothing.

    Read the transfer just before you decide on it. Send the version of the preview with the decision.
    """
    return await _get_transfer(request, db, scope, transfer_id)


@router.delete("/{transfer_id}", summary="Withdraw a transfer", status_code=204, responses=problems(TransferDecided))
async def withdraw_transfer(scope: Requester, transfer_id: UUID, db: WriteDb) -> None:
    """The org that requested the transfer withdraws it while it is pending. The org remains under its present
    superior."""
    await transfers.withdraw_transfer(db, scope, transfer_id)


@router.put(
    "/{transfer_id}/release",
    summary="Release an org to a new superior",
    responses=problems(TransferDecided, PreviewStale),
)
async def release_org_to_new_superior(
    request: Request, scope: Decider, transfer_id: UUID, body: TransferDecision, db: WriteDb
) -> TransferDetailOut:
    """An admin of the present superior consents to the transfer. The org stays under that superior until the new one
    accepts it.

    If the hierarchy has changed since the preview (409 `preview-stale`), get the transfer again, check its new preview,
    and send the new version.
    """
    await transfers.release_org_to_new_superior(db, scope, transfer_id, body.preview)
    return await _get_transfer(request, db, scope, transfer_id)


@router.put(
    "/{transfer_id}/acceptance",
    summary="Accept an org from another superior",
    responses=problems(
        TransferDecided,
        TransferNotReleased,
        PreviewStale,
        AlreadyCertified,
        WouldCloseCircle,
        SiblingNameTaken,
        OrgClosed,
    ),
)
async def accept_transfer(
    request: Request, scope: Decider, transfer_id: UUID, body: TransferDecision, db: WriteDb
) -> TransferDetailOut:
    """An admin of the new superior accepts the org. It moves now, with its whole subtree, in one transaction. The
    hierarchy of past days does not change.

    If the hierarchy has changed since the preview (409 `preview-stale`), get the transfer again, check its new preview,
    and send the new version. If another subordinate has the same name (409 `sibling-name-taken`), rename one of the
    two first.
    """
    await transfers.accept_transfer(db, scope, transfer_id, body.preview)
    return await _get_transfer(request, db, scope, transfer_id)


@router.put("/{transfer_id}/refusal", summary="Refuse a transfer", responses=problems(TransferDecided))
async def refuse_transfer(
    request: Request, scope: Decider, transfer_id: UUID, body: RefusalCreate, db: WriteDb
) -> TransferDetailOut:
    """An admin of the present or of the new superior refuses the transfer, with a reason that the admins of the org can
    read. The org remains under its present superior and can request a transfer again."""
    await transfers.refuse_transfer(db, scope, transfer_id, body.reason)
    return await _get_transfer(request, db, scope, transfer_id)


async def _get_transfer(request: Request, db: Readable, scope: OrgScope, transfer_id: UUID) -> TransferDetailOut:
    suppress_below = SETTINGS.get(request).withhold_below
    return await transfer_queries.get_transfer(db, scope, transfer_id, suppress_below=suppress_below)
