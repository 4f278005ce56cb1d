"""Reads of transfers."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, or_, select
from sqlalchemy.orm import aliased

from app.approvals.kinds import TRANSFER
from app.certification.previews import count_what_moves, list_chain, preview_version
from app.certification.schemas import TransferDetailOut, TransferOut, TransferPreviewOut
from app.database.db import Readable
from app.database.paging import Page, Paging, fetch_page
from app.database.rows import one_or_404
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.certification import Transfer
from app.schema.orgs import Org

_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")


def _transfers() -> Select[*tuple[Any, ...]]:
    step = case((and_(TRANSFER.pending, Transfer.released_at.is_(None)), "release"), (TRANSFER.pending, "acceptance"))
    return (
        select(
            Transfer.id,
            Transfer.org_id,
            Org.name.label("org_name"),
            Transfer.from_id,
            _From.name.label("from_name"),
            Transfer.to_id,
            _To.name.label("to_name"),
            Transfer.state,
            step.label("step"),
            User.verified_name.label("requested_by"),
            Transfer.requested_at,
            Transfer.released_at,
            Transfer.decided_at,
            Transfer.reason,
            Transfer.certification_id,
        )
        .join(Org, Org.id == Transfer.org_id)
        .join(_From, _From.id == Transfer.from_id)
        .join(_To, _To.id == Transfer.to_id)
        .join(User, User.id == Transfer.requested_by)
    )


def _concern(org_id: UUID) -> ColumnElement[bool]:
    return or_(Transfer.org_id == org_id, Transfer.from_id == org_id, Transfer.to_id == org_id)


async def list_transfers(db: Readable, org_id: UUID, paging: Paging) -> Page[TransferOut]:
    """The transfers that concern the org: its own, those from it and those to it; newest first."""
    return Page[TransferOut].from_slice(
        await fetch_page(db, _transfers().where(_concern(org_id)), paging, Transfer.id.desc(), row=TransferOut)
    )


async def get_transfer(db: Readable, org_id: UUID, transfer_id: UUID, *, withhold_below: int = 3) -> TransferDetailOut:
    """One that concerns the org, with what moves while it is pending; the points of fewer people than
    `withhold_below` are not told, as in reports. Raises NotFound."""
    found = await one_or_404(db, _transfers().where(Transfer.id == transfer_id, _concern(org_id)), _Transfer)
    preview = None
    if found.state is State.PENDING:
        moving = await count_what_moves(db, found.org_id)
        preview = TransferPreviewOut(
            version=await preview_version(db, found),
            orgs=moving.orgs,
            people=moving.people,
            points=moving.points if moving.people >= withhold_below else None,
            from_chain=[above.name for above in await list_chain(db, found.from_id)],
            to_chain=[above.name for above in await list_chain(db, found.to_id)],
        )
    return TransferDetailOut(**found.model_dump(exclude={"certification_id"}), preview=preview)


class _Transfer(TransferOut):
    certification_id: UUID
