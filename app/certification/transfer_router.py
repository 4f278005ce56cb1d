"""An org moves to another superior, over HTTP (S20): asked, released, accepted."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

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

router = APIRouter(prefix="/v1/orgs/{org_id}/transfers", route_class=TransactionalRoute, tags=["certification"])

Reader = Annotated[OrgScope, Can(Permission.TRANSFERS_READ)]
Asker = Annotated[OrgScope, Can(Permission.TRANSFERS_ASK)]
Decider = Annotated[OrgScope, Can(Permission.TRANSFERS_DECIDE)]


@router.post(
    "",
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
async def create_transfer(request: Request, scope: Asker, body: TransferCreate, db: WriteDb) -> TransferDetailOut:
    """Ask that this org, with everything under it, go under the org whose invitation is given."""
    transfer_id = await transfers.create_transfer(db, scope, body.invitation_token)
    return await _read(request, db, scope, transfer_id)


@router.get("")
async def list_transfers(scope: Reader, db: ReadDb, paging: Annotated[Paging, paged_by(UUID)]) -> Page[TransferOut]:
    """The transfers of this org, those that leave it and those that arrive; newest first."""
    return await transfer_queries.list_transfers(db, scope.org_id, paging)


@router.get("/{transfer_id}")
async def read_transfer(request: Request, scope: Reader, transfer_id: UUID, db: ReadableDb) -> TransferDetailOut:
    """One transfer, and while it is open the preview of what moves: a decision gives its version back."""
    return await _read(request, db, scope, transfer_id)


@router.delete("/{transfer_id}", status_code=204, responses=problems(TransferDecided))
async def withdraw_transfer(scope: Asker, transfer_id: UUID, db: WriteDb) -> None:
    """Withdraw what this org asked, while it is open."""
    await transfers.withdraw_transfer(db, scope, transfer_id)


@router.put("/{transfer_id}/release", responses=problems(TransferDecided, PreviewStale))
async def release_transfer(
    request: Request, scope: Decider, transfer_id: UUID, body: TransferDecision, db: WriteDb
) -> TransferDetailOut:
    """Let the org go, as its present superior; any of its admins does. It stays until the new superior accepts."""
    await transfers.release_transfer(db, scope, transfer_id, body.preview)
    return await _read(request, db, scope, transfer_id)


@router.put(
    "/{transfer_id}/acceptance",
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
    """Take the org in, as its new superior: it moves now, with everything under it, in one transaction."""
    await transfers.accept_transfer(db, scope, transfer_id, body.preview)
    return await _read(request, db, scope, transfer_id)


@router.put("/{transfer_id}/refusal", responses=problems(TransferDecided))
async def refuse_transfer(
    request: Request, scope: Decider, transfer_id: UUID, body: RefusalCreate, db: WriteDb
) -> TransferDetailOut:
    """Refuse, as the present or the new superior, with a reason that the org's admins read."""
    await transfers.refuse_transfer(db, scope, transfer_id, body.reason)
    return await _read(request, db, scope, transfer_id)


async def _read(request: Request, db: Readable, scope: OrgScope, transfer_id: UUID) -> TransferDetailOut:
    below = SETTINGS.of(request).withhold_below
    return await transfer_queries.get_transfer(db, scope.org_id, transfer_id, withhold_below=below)
